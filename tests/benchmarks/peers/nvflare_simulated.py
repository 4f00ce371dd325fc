"""The neutral work in NVFlare's simulator; run by the Python of NVFlare's own environment.

`python nvflare_simulated.py PARTIES ROUNDS default|eager MARKS`, see nvflare_job.py. All clients at
the same time, which is NVFlare's default.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from nvflare_job import job
from processes import nothing_left


def main() -> None:
    parties, rounds, pace, marks = sys.argv[1:]
    with nothing_left(), tempfile.TemporaryDirectory(prefix="nv-") as folder:
        os.environ["HOME"] = folder
        made = job(int(parties), int(rounds), pace, Path(marks))
        failed = made.simulator_run(str(Path(folder) / "work"), n_clients=int(parties))
    if failed:
        sys.exit(f"the simulator ended with {failed}")


if __name__ == "__main__":
    main()
