"""MLflow as the coordinator sees it: a process beside it that it tells, and that may die.

Nothing here loads MLflow. What was told and not written is told again to the next process, which
finds in MLflow how far the last one came.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from fedcore.config.task import TaskFile
from fedcore.rounds.messages import Agreement, End, Hello, Record
from tasks.tracking_away import TrackingAway, TrackingBroken
from tasks.tracking_words import Answer, Ending, Failure, Training, Wish

ROOT = Path(__file__).resolve().parents[1]
# Seconds that one who has closed its output may take to be gone, as it may on a busy machine; and
# one who answers nobody any more because the wait for it was ended.
DYING, LEFT = 30.0, 1.0


class Teller:
    """One process, started at once and ready in a second or two; `close` ends it."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        """Start it; it loads MLflow while the coordinator does other things."""
        path = os.pathsep.join(filter(None, [str(ROOT), environ.get("PYTHONPATH")]))
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "tasks.tracking_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
            env={**environ, "PYTHONPATH": path},
            start_new_session=True,
        )

    def ask(self, wish: Wish) -> Answer:
        """What it answers. Raises `TrackingAway`, or `TrackingBroken` after an error of its own."""
        line = self._answered(f"{wish.model_dump_json()}\n")
        if not line:
            raise self._death()
        answer = Answer.model_validate_json(line)
        if answer.kind == "away":
            raise TrackingAway(answer.text)
        return answer

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def there(self) -> bool:
        """Whether it can be asked."""
        return self._process.poll() is None

    def close(self) -> None:
        """End it, whatever it is doing."""
        self._process.kill()
        self._process.wait()
        for end in (self._process.stdin, self._process.stdout):
            if end is not None:
                with contextlib.suppress(BrokenPipeError):
                    end.close()

    def _answered(self, wish: str) -> str:
        """Its answer; nothing from one that died. Whatever ends the wait for it ends it, too."""
        told, heard, line = self._process.stdin, self._process.stdout, ""
        patience = LEFT
        if told is None or heard is None or told.closed:
            return line
        try:
            with contextlib.suppress(BrokenPipeError):
                told.write(wish)
                told.flush()
                line = heard.readline()
            patience = DYING
        finally:
            if not line:
                self._end_within(patience)
        return line

    def _end_within(self, seconds: float) -> None:
        """Let one that dies by itself say so by its exit code; another one is killed."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.close()

    def _death(self) -> TrackingAway | TrackingBroken:
        code = self._process.wait()
        self.close()
        if code > 0:
            said = "its error is in the log of this process; correct that and start again"
            return TrackingBroken(f"the process that writes to MLflow ended by itself: {said}")
        return TrackingAway("the process that writes to MLflow was killed: it is started again")


class Told:
    """One training as a `Teller` writes it; each method does as that of `Tracking`."""

    def __init__(
        self,
        teller: Teller,
        uri: str | None,
        task: TaskFile,
        agreement: Agreement,
        hellos: Mapping[str, Hello],
    ) -> None:
        """Find or create the runs. Raises `TrackingAway`."""
        training = Training(uri=uri, task=task, agreement=agreement, hellos=dict(hellos))
        answer = teller.ask(Wish(training=training))
        self.run_id, self.uri = answer.text, answer.uri
        self._teller, self._written = teller, 0

    def sync(self, records: Sequence[Record]) -> None:
        """Write the numbers of every round that MLflow does not have yet."""
        missing = self._missing(records)
        if missing:
            self._teller.ask(Wish(records=missing))
            self._written = max(record.round for record in missing)

    def finish(self, end: End, records: Sequence[Record], artifacts: Path, weights: Path) -> str:
        """Log what is left, register the best model once, end the runs; answer `name/version`."""
        ending = Ending(end=end, artifacts=str(artifacts), weights=str(weights))
        return self._teller.ask(Wish(records=self._missing(records), ending=ending)).text

    def fail(self, reason: str, *, killed: bool = False) -> None:
        """End the runs as FAILED, or KILLED where a person stopped them."""
        self._teller.ask(Wish(failure=Failure(reason=reason, killed=killed)))

    def _missing(self, records: Sequence[Record]) -> tuple[Record, ...]:
        return tuple(record for record in records if record.round > self._written)
