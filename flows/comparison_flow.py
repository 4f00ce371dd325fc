"""The flow of a comparison: read the data once, train cell after cell, publish table and plot.

It runs on a machine that holds all data. It can be killed at any line and started again: the cells
that are finished stay, and the one that was under way goes on with its round.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from prefect import flow
from prefect.artifacts import create_markdown_artifact

from fedcore.comparison import page, result
from fedcore.comparison.plan import Comparison
from fedcore.comparison.result import CellResult
from fedcore.comparison.table import AVERAGE, personal_trial, trial_of
from fedcore.comparison.workshop import Workshop, data_hash, prepared
from fedcore.errors import FedcoreError, InputError
from fedcore.explain.wording import number
from flows import cell_child
from flows.cell_child import CellFailed, Trainer, trainer_of
from flows.cell_process import DATA
from tasks.options import once
from tasks.tracking_client import TrackingAway
from tasks.tracking_comparison import ComparisonTracking
from tasks.voices import voice_of


class Incomplete(FedcoreError):
    """Some cells failed; the others are in the table."""


@flow(
    name="comparison",
    flow_run_name="{run}",
    persist_result=False,
    validate_parameters=False,
)
def comparison(output: str, run: str) -> str:
    """Train what is missing of the comparison in the `output` folder; the table's path."""
    try:
        read_data(output)
        failures = _train_all(output)
        table = publish(output, len(failures))
    except (FedcoreError, KeyboardInterrupt) as error:
        _note_end(output, error)
        raise
    finally:
        cell_child.stop(output)
    if failures:
        raise Incomplete(_sentence(failures))
    return table


@once("read the data")
def read_data(output: str) -> str:
    """Read and preprocess all parties' data in the trainer's process; a hash of what there is."""
    _trainer(output).do(DATA, lambda event: _tell(output, event))
    return data_hash(Workshop(Path(output)))


@once("{label}")
def run_cell(output: str, cell: str, label: str) -> str:
    """Train a cell in the trainer's process and tell MLflow; the name of its result's file."""
    voice = voice_of(output)
    voice.tell("cell", label=label)
    _trainer(output).do(cell, lambda event: _tell(output, event))
    place = Comparison.load(Workshop(Path(output)).state)
    done = result.found(Path(output), place)[cell]
    with _as_far_as_mlflow_is_there(output):
        _tracking(output).log(done)
    voice.tell("cell_done", label=label, result=_in_short(place, done), seconds=done.seconds)
    return result.path_of(Path(output), done.cell).name


@once("table and plot")
def publish(output: str, failed: int) -> str:
    """Write the files, log them and every cell in MLflow, show the table in Prefect; its path."""
    place = Comparison.load(Workshop(Path(output)).state)
    done = list(result.found(Path(output), place).values())
    report = page.Report(place, done)
    files = page.write(Path(output), report)
    create_markdown_artifact(page.markdown(report), key="comparison", description=place.run)
    with _as_far_as_mlflow_is_there(output):
        tracking = _tracking(output)
        for one in done:  # what MLflow missed while it was away
            tracking.log(one)
        tracking.finish(files, failed=failed)
        voice_of(output).tell("tracked", uri=tracking.uri)
    return str(files[0])


def _train_all(output: str) -> list[str]:
    """Train every missing cell; why cells failed. A mistake in what was given ends it all."""
    place = Comparison.load(Workshop(Path(output)).state)
    failures = []
    for cell in result.missing(place, result.found(Path(output), place)):
        try:
            run_cell(output, cell.name, cell.label)
        except CellFailed as failed:
            if failed.exit_code == InputError.exit_code:
                raise
            failures.append(str(failed))
            voice_of(output).say(str(failed))
    return failures


def _in_short(place: Comparison, done: CellResult) -> str:
    """A cell's test scores in a few words: a local model's at home, otherwise the average."""
    where = done.cell.party or AVERAGE
    metric = place.task.federation.select_by.removeprefix("average_")
    told = f"test {metric} {number(trial_of(done).value(where, metric))}"
    if done.personal:
        told += f", personal {number(personal_trial(done).value(where, metric))}"
    return told


def _sentence(failures: list[str]) -> str:
    return (
        f"{len(failures)} of the trainings failed ({failures[0]}): the table holds the others; "
        "run the same command again to try them again"
    )


def _tracking(output: str) -> ComparisonTracking:
    workshop = Workshop(Path(output))
    return ComparisonTracking.open(Comparison.load(workshop.state), data_hash(workshop))


@contextlib.contextmanager
def _as_far_as_mlflow_is_there(output: str) -> Iterator[None]:
    """MLflow is never a reason to stop; what it missed is written when the table is published."""
    try:
        yield
    except TrackingAway as away:
        voice_of(output).say(f"{away} (the same command writes it then)")


def _note_end(output: str, error: FedcoreError | KeyboardInterrupt) -> None:
    """Let MLflow say why it ended, if it has heard of it; the kind alone, which names no file."""
    if not prepared(Workshop(Path(output))):
        return
    with _as_far_as_mlflow_is_there(output):
        killed = isinstance(error, KeyboardInterrupt)
        _tracking(output).stop(type(error).__name__, killed=killed)


def _tell(output: str, event: dict[str, object]) -> None:
    details = {name: value for name, value in event.items() if name != "event"}
    voice_of(output).tell(str(event["event"]), **details)


def _trainer(output: str) -> Trainer:
    return trainer_of(output, Workshop(Path(output)).state / "trainings.log")
