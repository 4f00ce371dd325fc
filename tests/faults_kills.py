"""Kill a party's command with `kill -9` at a chosen moment, start it again, compare the bits.

The moments are objects that come to stand in the exchange, so they are the same on every machine.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from command_story import Site, two_sites, until

from fedcore.config.task import TaskFile

# What happens next is what the kill interrupts.
MOMENTS = {
    "joining": "parties/{party}/*/hello.json",
    "training in round 1": "coordinator/*/rounds/00001/invitation.json",
    "between update and reply": "parties/{party}/*/rounds/00002/update.safetensors",
    "between combining and recording": "coordinator/*/rounds/00002/combined.json",
    "the final test": "coordinator/*/final/evaluation.json",
}
WHO = ("guest", "host", "both")


@dataclass(frozen=True)
class Outcome:
    """What came of one kill."""

    who: str
    moment: str
    same_bits: bool
    seconds: float


def kill_and_go_on(
    folder: Path,
    task: TaskFile,
    data: Mapping[str, Path],
    expected: tuple[str, str],
    who: str,
    moment: str,
    **environ: str,
) -> Outcome:
    """Start guest and host, kill `who` at `moment`, start it again, wait for both to finish."""
    exchange = folder / "exchange"
    guest, host = two_sites(folder, task, data, str(exchange), **environ)
    victims = {"guest": [guest], "host": [host], "both": [guest, host]}[who]
    pattern = MOMENTS[moment].format(party="2" if who == "host" else "1")
    try:
        guest.start()
        host.start()
        until(lambda: any(exchange.glob(pattern)), f"{moment} of {who}")
        for site in victims:
            site.kill()
        killed = time.monotonic()
        for site in victims:
            site.start()
        _finish(guest, host)
    finally:
        guest.end()
        host.end()
    same = guest.bits() == host.bits() == expected
    return Outcome(who, moment, same, time.monotonic() - killed)


def _finish(guest: Site, host: Site) -> None:
    assert guest.wait() == 0, guest.printed
    assert host.wait() == 0, host.printed
