"""What an NVFlare client runs in a job: answer every model at once with a perturbed one."""

from __future__ import annotations

import nvflare.client as flare
from neutral import perturbed

if __name__ == "__main__":
    flare.init()
    while flare.is_running():
        given = flare.receive()
        flare.send(
            flare.FLModel(
                params=perturbed(given.params),
                metrics={"loss": 0.5, "accuracy": 0.75},
                meta={"NUM_STEPS_CURRENT_ROUND": 10},
            )
        )
