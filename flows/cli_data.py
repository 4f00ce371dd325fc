"""`fedcore data check`: what a training would make of a data folder, for the hospital's eyes."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from fedcore import data
from fedcore.config import TaskFile, load_task_file
from flows.cli_screen import Screen

BROKEN = 2
PUBLISHED = {"task_type": "classification", "model": {}, "federation": {}}


def check(
    folder: Path,
    config: Path | None,
    state: Path | None,
    screen: Screen,
    modality: str | None = None,
) -> int:
    """Survey `folder` and report on `screen`; 0 if the contract holds, else 2.

    Raises `DataError` where folder or labels cannot be used, `TaskFileError` for the task file.
    """
    agreed = load_task_file(config) if config else TaskFile.model_validate(PUBLISHED)
    task = agreed.seen_by(modality)
    with _kept_in(state) as place:
        cohort = _survey(folder, task, place)
        return report(folder, cohort, screen)


def report(folder: Path, cohort: data.Cohort, screen: Screen) -> int:
    """Say all there is to say of a cohort; 0 if the contract holds, else 2."""
    aside, things = len(cohort.set_aside), _things(cohort)
    screen.say(
        f"{folder}: {cohort.files} {things}: {cohort.files - aside} used, {aside} quarantined; "
        f"{sum(cohort.class_counts.values())} {cohort.unit}s of {cohort.patients} patients"
    )
    _splits(cohort, screen)
    _scanners(cohort, screen)
    _quarantine(cohort, screen)
    return _verdict(cohort, screen)


def _things(cohort: data.Cohort) -> str:
    """What lies in the folder: files, or a table's rows."""
    return "rows" if cohort.unit == "row" else "files"


def _survey(folder: Path, task: TaskFile, state: Path) -> data.Cohort:
    """Read the folder, with a bar on standard error where that is a terminal."""
    console = Console(stderr=True)
    workers = data.decoding_workers(os.cpu_count() or 1)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        job = bar.add_task("reading", total=None)
        return data.survey_folder(
            folder,
            task,
            state,
            workers=workers,
            progress=lambda done, total: bar.update(job, completed=done, total=total),
        )


@contextmanager
def _kept_in(state: Path | None) -> Iterator[Path]:
    """The folder for index and cache: the given one, or one that vanishes."""
    if state is not None:
        yield state
        return
    with tempfile.TemporaryDirectory(prefix="fedcore-check-") as scratch:
        yield Path(scratch)


def _splits(cohort: data.Cohort, screen: Screen) -> None:
    screen.title(f"{cohort.unit.capitalize()}s of each class in each split")
    rows: list[list[object]] = [
        [split, cohort.split_patients[split], *(counts[name] for name in cohort.classes)]
        for split, counts in cohort.images.items()
    ]
    totals = cohort.class_counts
    rows.append(["all", cohort.patients, *(totals[name] for name in cohort.classes)])
    screen.table(["split", "patients", *cohort.classes], rows)


def _scanners(cohort: data.Cohort, screen: Screen) -> None:
    if not cohort.scanners:
        return
    screen.title("Where the used files come from")
    rows = [
        [kind if place == 0 else "", value or "(not said)", count]
        for kind, counts in cohort.scanners.items()
        for place, (value, count) in enumerate(counts.items())
    ]
    screen.table(["what", "value", "files"], rows)


def _quarantine(cohort: data.Cohort, screen: Screen) -> None:
    if not cohort.set_aside:
        return
    screen.title("Quarantined, by reason")
    counts = Counter(one.reason for one in cohort.set_aside)
    things = _things(cohort)
    screen.table(["reason", things], sorted(counts.items()))
    screen.title(f"Quarantined {things} (this list stays on this screen)")
    screen.table(["reason", things[:-1]], [[one.reason, one.path] for one in cohort.set_aside])


def _verdict(cohort: data.Cohort, screen: Screen) -> int:
    screen.title("Data contract")
    for note in cohort.notes:
        screen.mark(True, "note", note)
    for fault in cohort.faults:
        screen.mark(False, "broken", fault)
    if cohort.faults:
        return BROKEN
    screen.mark(True, "ok", f"the data contract holds (hash {cohort.contract_hash[:12]})")
    return 0
