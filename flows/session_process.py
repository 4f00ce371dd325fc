"""A party session as a process of its own: `python -m flows.session_process SEAT`.

It imports torch while its parent still starts Prefect, reads the Prefect API's URL as the first
line of standard input, and tells what happens as JSON lines on standard output. When standard
input closes, the parent is gone and the session ends at once.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from typing import IO, Any

from fedcore.errors import FedcoreError
from flows.process_group import end_own_group
from tasks.seat import Seat
from tasks.voices import Voice, attach

PARENT_GONE = 75


class ParentVoice(Voice):
    """Tells the parent process, one JSON object a line."""

    def __init__(self, out: IO[str]) -> None:
        """Speak on `out`."""
        self._out, self._lock = out, threading.Lock()

    def say(self, message: str) -> None:
        """Pass on a sentence for the person who watches."""
        self.tell("say", message=message)

    def tell(self, event: str, **details: Any) -> None:
        """Pass on an event with its numbers and names."""
        with self._lock:
            self._out.write(json.dumps({"event": event, **details}) + "\n")
            self._out.flush()


def main(seat: str) -> int:
    """Be a session: 0 at the end, otherwise an `error` event and the error's exit code."""
    voice = ParentVoice(events_pipe())
    attach(seat, voice)
    place = Seat.load(seat)
    try:
        # Before the wait for Prefect, because torch takes seconds to import.
        import fedcore.rounds.party  # noqa: F401, PLC0415

        os.environ["PREFECT_API_URL"] = sys.stdin.readline().strip()
        threading.Thread(target=_end_with_parent, daemon=True).start()
        # After the wait: Prefect reads its settings when it is imported.
        from flows.party_session import party_session  # noqa: PLC0415

        party_session(seat, place.run, place.member(place.owner).label)
    except FedcoreError as error:
        voice.tell("error", message=str(error), exit_code=error.exit_code)
        return error.exit_code
    return 0


def events_pipe() -> IO[str]:
    """Standard output as the parent's pipe for events alone.

    Workers do not inherit it, so the parent sees its end when the session dies; and what a library
    prints goes to standard error, the log.
    """
    events = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return events


def _end_with_parent() -> None:
    sys.stdin.read()
    end_own_group(PARENT_GONE)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
