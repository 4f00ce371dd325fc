"""Faults of lines, and of what the exchange answers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from command_story import until
from fault_kinds import Act, Fault
from stage import COORDINATOR, HOST, PATIENCE, Scene

from fedcore.exchange import keys

CUT_SECONDS, HALF_OPEN_SECONDS = 60.0, 30.0
ANSWERS = (
    (403, "AccessDenied"),
    (500, "InternalError"),
    (503, "SlowDown"),
)


def of_lines() -> list[Fault]:
    """What cables do."""
    return [
        Fault("network", f"cut for {CUT_SECONDS:.0f} s", _cut),
        Fault("network", "20 % of the packets lost, 300 ms delay", _lossy),
        Fault("network", "half-open connections for 30 s", _half_open),
    ]


def of_answers() -> list[Fault]:
    """What the exchange answers."""
    found = [
        Fault(
            "exchange answers", f"{status} {code}, three times, to {side}", _answers(side, status)
        )
        for status, code in ANSWERS
        for side in (COORDINATOR, HOST)
    ]
    return [
        *found,
        Fault("exchange answers", "truncated bodies, three times, to the coordinator", _truncated),
        Fault("exchange answers", "truncated bodies, three times, to the host", _truncated_model),
        Fault("exchange answers", "a changed byte in a body, to the coordinator", _corrupted),
    ]


def _cut(scene: Scene) -> str:
    scene.until_there(keys.invitation(scene.run, 2))
    scene.strike()
    with _away(scene):
        let_pass(CUT_SECONDS)
    return "the hospital waited and went on"


@contextmanager
def _away(scene: Scene) -> Iterator[None]:
    """The hospital's cable is cut; where there is none, its line to the exchange."""
    cable = scene.stage.world.net.at(HOST).cable
    broken = cable or scene.stage.lines[HOST]
    broken.cut()
    try:
        yield
    finally:
        broken.mend()


def _lossy(scene: Scene) -> str:
    """From the first round's record on, to the end of the training."""
    scene.until_there(keys.record(scene.run, 1))
    scene.strike()
    cable = scene.stage.world.net.at(HOST).cable
    if cable is None:
        scene.stage.lines[HOST].delay(0.3)
        return "delay alone (no namespaces here): slower, nothing else"
    cable.lose(0.2)
    cable.delay(0.15)
    lost = cable.lost
    scene.until_there(keys.record(scene.run, 2))
    return f"slower, nothing else ({cable.lost - lost} packets lost in the round)"


def _half_open(scene: Scene) -> str:
    scene.until_there(keys.invitation(scene.run, 2))
    line = scene.stage.lines[HOST]
    scene.strike()
    line.half_open()
    let_pass(HALF_OPEN_SECONDS)
    line.mend()
    return "the hospital waited and went on"


def _answers(side: str, status: int) -> Act:
    code = dict(ANSWERS)[status]
    name = "record" if side == COORDINATOR else "reply"

    def act(scene: Scene) -> str:
        line, pattern = scene.stage.lines[side], scene.request("PUT", rf"{name}\.json")
        line.answer(status, code, times=3, pattern=pattern)
        line.wait_for(pattern, timeout=PATIENCE)
        scene.strike()
        if (side, status) == (COORDINATOR, 403):
            return _started_by_hand(scene)
        return "tried again"

    return act


def _started_by_hand(scene: Scene) -> str:
    """Refused credentials are for a person to look at: the flow run ends with a sentence."""
    scene.until_failed()
    scene.stage.lines[COORDINATOR].mend()
    scene.begin()
    return "it ended with a sentence; a person started it again, and it went on"


def _truncated(scene: Scene) -> str:
    return _spoil(scene, COORDINATOR, r"update\.safetensors", "truncate")


def _truncated_model(scene: Scene) -> str:
    return _spoil(scene, HOST, "model-", "truncate")


def _corrupted(scene: Scene) -> str:
    return _spoil(scene, COORDINATOR, r"update\.safetensors", "corrupt")


def _spoil(scene: Scene, side: str, name: str, how: str) -> str:
    line, pattern = scene.stage.lines[side], scene.request("GET", name)
    if how == "truncate":
        line.truncate(10_000, times=3, pattern=pattern)
    else:
        line.corrupt(50_000, times=1, pattern=pattern)
    line.wait_for(pattern, timeout=PATIENCE)
    scene.strike()
    return "read again"


def let_pass(seconds: float) -> None:
    """Let the fault last."""
    until_then = time.monotonic() + seconds
    until(lambda: time.monotonic() >= until_then, "the fault to last", seconds + 10)
