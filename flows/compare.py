"""`fedcore compare`: strategies side by side on data that lies on this machine.

The command's own process never imports torch: it runs the flow, and the trainings run in a process
beside it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from fedcore.comparison import result
from fedcore.comparison.page import FILES, Report
from fedcore.comparison.plan import FILE, Comparison
from fedcore.comparison.workshop import Workshop
from fedcore.errors import InputError, Interrupted
from flows import seat_lock
from flows.cli_screen import Screen
from flows.compare_plan import Wish, plan
from flows.comparison_voice import ComparisonVoice
from flows.farewell import looking_at_mlflow, looking_at_prefect, short
from flows.federated_train import QUIET
from flows.plain_line import reach
from flows.supervisor import Api, Prefect
from tasks.voices import attach

STOPPED = "stopped; finished trainings are kept: run the same command again to go on"


def run(wish: Wish, screen: Screen, environ: Mapping[str, str]) -> None:
    """Compare, and say what came out; raises `FedcoreError` in one sentence."""
    comparison = plan(wish, environ)
    workshop = Workshop(wish.output.resolve())
    held = f"{wish.output}: a comparison is under way here: wait for it or choose another --output"
    try:
        with seat_lock.hold(workshop.state / "comparison.lock", held):
            _require_same(comparison, workshop, wish.output)
            comparison.save(workshop.state)
            _say_what_is_done(comparison, workshop, screen)
            _work(comparison, workshop, screen)
    except KeyboardInterrupt:
        raise Interrupted(STOPPED) from None


def _require_same(comparison: Comparison, workshop: Workshop, output: Path) -> None:
    """One folder holds one comparison; more strategies and seeds may join it."""
    if not (workshop.state / FILE).exists():
        return
    before = Comparison.load(workshop.state)
    kept = [
        (one.run, one.task.fingerprint(), one.guest, one.modalities) for one in (before, comparison)
    ]
    if kept[0] != kept[1] or before.parties.keys() != comparison.parties.keys():
        raise InputError(
            f"{output}: it holds comparison {before.run} of another task file, other settings or "
            "other parties: choose another --output"
        )


def _say_what_is_done(comparison: Comparison, workshop: Workshop, screen: Screen) -> None:
    done, wanted = result.found(workshop.output, comparison), comparison.cells()
    there = f", {len(done)} of them finished before" if done else ""
    parties = ", ".join(sorted(comparison.parties))
    screen.say(f"{comparison.run}: {len(wanted)} trainings at {parties}{there}")


def _work(comparison: Comparison, workshop: Workshop, screen: Screen) -> None:
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    prefect = Prefect(workshop.state / "prefect")
    done = len(result.found(workshop.output, comparison))
    voice = ComparisonVoice(screen, len(comparison.cells()), done)
    attach(str(workshop.output), voice)
    try:
        with voice.shown():
            api = prefect.api()
            os.environ.update(reach(api.url, api.home))
            _flow(comparison, workshop)
    finally:
        prefect.stop()
        show(comparison, workshop, screen)
    for line in _farewell(workshop, voice.uri, api):
        screen.say(line)


def _flow(comparison: Comparison, workshop: Workshop) -> None:
    # Only now: Prefect reads its settings when it is imported.
    from flows.comparison_flow import comparison as story  # noqa: PLC0415
    from flows.federated_training import send_what_is_queued  # noqa: PLC0415

    try:
        story(str(workshop.output), comparison.run)
    finally:
        send_what_is_queued()


def show(comparison: Comparison, workshop: Workshop, screen: Screen) -> None:
    """The table of the cells there are, on the screen; `*` marks the best strategy."""
    report = Report(comparison, list(result.found(workshop.output, comparison).values()))
    for grid in report.grids()[:1]:
        screen.title(f"{grid.title} (* the best strategy)")
        screen.table(grid.columns, [[_marked(cell) for cell in row] for row in grid.rows])


def _marked(cell: str) -> str:
    return f"{cell.strip('*')} *" if cell.startswith("**") else cell


def _farewell(workshop: Workshop, uri: str | None, api: Api) -> Iterator[str]:
    """Where everything lies and how to look at it."""
    table, plot = (short(workshop.output / name) for name in ("comparison.md", FILES[-1]))
    yield ""
    yield f"  table      {table} (and .csv, .html; every value in cells.csv)"
    yield f"  plot       {plot}"
    if uri:
        yield f"  MLflow UI  {looking_at_mlflow(uri)}"
    yield f"  Prefect UI {looking_at_prefect(api.url, api.home)}"
