"""The steps of a round at which a fault strikes, each found exactly.

A step is the request that its process sends next: the line holds it until the fault has struck.
Training sends nothing: there the process itself is stopped once it has worked for a while.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from command_story import until
from stage import COORDINATOR, HOST, PATIENCE, STRUCK, Scene

INVITATION = r"invitation\.json"
WORK = 0.3  # seconds of the processor, of a round's training that takes a second or more


@dataclass(frozen=True)
class Moment:
    """Whose line is held before which request, or after how many blocks of it."""

    name: str
    line: str = HOST
    method: str | None = None
    object: str = ""
    blocks: int = 0

    @contextmanager
    def held(self, scene: Scene) -> Iterator[None]:
        """The step is under way and waits; after the block everything goes on."""
        if self.method is None:
            with _stopped_in_training(scene):
                yield
            return
        line = scene.stage.lines[self.line]
        line.hold(scene.request(self.method, self.object), self.blocks)
        scene.until_held(self.line)
        try:
            yield
        finally:
            line.mend()


MOMENTS = (
    Moment("before the invitation", COORDINATOR, "PUT", r"invitation\.json"),
    Moment("after the invitation", HOST, "GET", INVITATION),
    Moment("while training"),
    Moment("while uploading", HOST, "PUT", r"update\.safetensors", blocks=3),
    Moment("between update and reply", HOST, "PUT", r"reply\.json"),
    Moment("while combining", COORDINATOR, "PUT", "model-"),
    Moment("combined, not yet recorded", HOST, "PUT", r"score\.json"),
    Moment("while recording", COORDINATOR, "PUT", r"record\.json"),
)


@contextmanager
def _stopped_in_training(scene: Scene) -> Iterator[None]:
    """The host's session, stopped once it has worked a while on the invitation that it read."""
    line = scene.stage.lines[HOST]
    line.hold(scene.request("GET", INVITATION))
    scene.until_held(HOST)
    process = scene.flow_process(HOST)
    begun = _cpu_seconds(process)
    line.mend()
    until(lambda: _cpu_seconds(process) > begun + WORK, "the training to be under way", PATIENCE)
    os.kill(process, signal.SIGSTOP)
    try:
        spool = scene.stage.world.hospitals[HOST].home / "runs" / scene.run / "spool"
        assert not list(spool.glob(f"*/update-{STRUCK:05d}*")), "the training is over already"
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):  # it may have been the victim
            os.kill(process, signal.SIGCONT)


def _cpu_seconds(process: int) -> float:
    """How long a process has worked by now."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
