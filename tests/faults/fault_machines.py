"""Faults of machines: disks that are full, clocks that are wrong."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from command_story import until
from fault_kinds import Act, Fault
from fault_lines import let_pass
from small_disk import ballast, small_disk
from stage import HOST, PATIENCE, Scene
from stations import Hospital

from fedcore.exchange import keys

FULL_SECONDS = 20.0
SKEWS = {"an hour ahead": "3600", "an hour behind": "-3600"}
WRONG_CLOCK = Path(__file__).with_name("wrong_clock.c")


def machines() -> list[Fault]:
    """Disks and clocks."""
    return [
        Fault("disk full", f"at the hospital, {FULL_SECONDS:.0f} s", _hospital_full),
        Fault("disk full", f"at the exchange, {FULL_SECONDS:.0f} s", _exchange_full),
        *[Fault("clock", f"the hospital's, {said}", _skewed(by)) for said, by in SKEWS.items()],
    ]


def _hospital_full(scene: Scene) -> str:
    """The disk of this run's folder at the hospital, from the first round's record on."""
    folder = scene.stage.world.hospitals[HOST].home / "runs" / scene.run
    with small_disk(folder, megabytes=16):
        scene.until_there(keys.record(scene.run, 1))
        scene.strike()
        with ballast(folder):
            let_pass(FULL_SECONDS)
        scene.end()
    return "it went on once there was room"


def _exchange_full(scene: Scene) -> str:
    """The disk of the exchange's volumes; the stage has put them on a small one."""
    scene.until_there(keys.record(scene.run, 1))
    scene.strike()
    with ballast(scene.stage.exchange_disk):
        let_pass(FULL_SECONDS)
    return "it went on once there was room"


def _skewed(by: str) -> Act:
    """The hospital's whole worker lives in another hour, until somebody sets its clock."""

    def act(scene: Scene) -> str:
        hospital = scene.stage.world.hospitals[HOST]
        with _clock(hospital, by) as wrong:
            scene.strike()
            logs = hospital.home / "worker" / "logs"
            end = keys.end(scene.run)
            store, said = scene.stage.store(), lambda: _says(logs, scene.run, "clocks differ")
            until(lambda: said() or store.exists(end), "word of the clocks, or the end", PATIENCE)
            told = said()
            wrong.unlink()
            scene.end()
        return "the session said so and waited until the clock was set" if told else "nothing"

    return act


@contextmanager
def _clock(hospital: Hospital, by: str) -> Iterator[Path]:
    """Start the worker anew with a clock that is wrong while a file exists; the file.

    Its sessions are told by the home's secrets, the only variables that they take over.
    """
    library, wrong = hospital.folder / "wrong_clock.so", hospital.folder / "wrong"
    command = ["cc", "-O1", "-shared", "-fPIC", "-o", str(library), str(WRONG_CLOCK), "-ldl"]
    subprocess.run(command, check=True)
    wrong.touch()
    names = {"LD_PRELOAD": library, "CLOCK_WRONG_BY": by, "CLOCK_WRONG_WHILE": wrong}
    path = hospital.home / "secrets.env"
    before = path.read_text()
    hospital.end()
    path.write_text(before + "".join(f"{name}={value}\n" for name, value in names.items()))
    hospital.start()
    try:
        yield wrong
    finally:
        path.write_text(before)
        hospital.end()
        hospital.start()


def _says(logs: Path, run: str, words: str) -> bool:
    return any(words in path.read_text() for path in logs.glob(f"{run}*.log"))
