"""The process that writes a training to MLflow: `python -m tasks.tracking_process`.

It is one of its own because MLflow's client, with all that it loads, is half as large as the rest
of the coordinator, which holds models. It is told what to do line by line on standard input and
answers each on standard output; when the input closes, the coordinator is gone, and it ends at
once.
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from queue import SimpleQueue
from typing import IO

from tasks.tracking import Tracking, TrackingAway
from tasks.tracking_words import Answer, Wish

PARENT_GONE = 75


def main() -> None:
    """Do what is wished until nobody wishes anything more."""
    told, wishes = _told(), SimpleQueue[str]()
    threading.Thread(target=_listen, args=(wishes,), daemon=True).start()
    tracking: Tracking | None = None
    while True:
        wish = Wish.model_validate_json(wishes.get())
        try:
            if (one := wish.training) is not None:
                tracking = Tracking.open(one.uri, one.task, one.agreement, one.hellos)
            answer = _done(tracking, wish)
        except TrackingAway as away:
            answer = Answer(kind="away", text=str(away))
        told.write(answer.model_dump_json() + "\n")
        told.flush()


def _done(tracking: Tracking | None, wish: Wish) -> Answer:
    """Do it; what is answered is the model's version, or else MLflow's id of the run."""
    if tracking is None:
        return Answer(kind="away", text="no training was opened")
    text = tracking.run_id
    if wish.ending is not None:
        ending = wish.ending
        places = Path(ending.artifacts), Path(ending.weights)
        text = tracking.finish(ending.end, wish.records, *places)
    elif wish.failure is not None:
        tracking.fail(wish.failure.reason, killed=wish.failure.killed)
    elif wish.records:
        tracking.sync(wish.records)
    return Answer(kind="done", text=text, uri=tracking.uri)


def _listen(wishes: SimpleQueue[str]) -> None:
    """Hear the coordinator; what it wished for before it died is not to be done any more."""
    for line in sys.stdin:
        wishes.put(line)
    os._exit(PARENT_GONE)


def _told() -> IO[str]:
    """Standard output for answers alone; what a library prints goes to the log."""
    told = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return told


if __name__ == "__main__":
    main()
