"""Ending a training: the final test, the last word, and the files of the coordinator."""

from __future__ import annotations

from pathlib import Path

from fedcore.audit.durable import replace_with
from fedcore.audit.signing import SigningKey
from fedcore.exchange import keys
from fedcore.explain.figures import write_figures
from fedcore.explain.matrix import matrix_of
from fedcore.explain.report import write_report
from fedcore.explain.statistics_tables import read_statistics
from fedcore.rounds import coordinator, sealed
from fedcore.rounds.messages import Agreement, End
from tasks.coordinator.desk import desk_at
from tasks.options import step
from tasks.seat import Seat


@step("final test · ask")
def request_final_test(seat: str) -> list[str]:
    """Ask all parties to score the best and the final model; the ids of the parties."""
    desk = desk_at(seat)
    coordinator.request_final_test(desk)
    return list(desk.hellos())


@step("final test · {label}")
def await_final_score(seat: str, party: str, label: str, until: float | None) -> str:
    """Wait for one party's test scores; `scored` or `late`."""
    return coordinator.await_score(desk_at(seat), 0, party, until)


@step("conclude")
def conclude(seat: str) -> str:
    """Write the last word; why the training ended."""
    return coordinator.conclude(desk_at(seat)).reason


def forget_rest(seat: str) -> None:
    """Remove from the exchange what is left of a training that has ended, less its models."""
    coordinator.forget_rest(desk_at(seat))


def finished(seat: str) -> End | None:
    """The end of the training if it has ended."""
    return coordinator.finished(desk_at(seat))


def agreement_of(seat: str) -> Agreement:
    """What the run was founded with."""
    desk = desk_at(seat)
    key: SigningKey = desk.key
    return sealed.read(desk.store, keys.agreement(desk.run), Agreement, key.public)


def write_artifacts(seat: str, folder: Path, end: End) -> Path:
    """Report, figures, task file and the ledger's head for the tracking server; the folder."""
    desk, agreement = desk_at(seat), agreement_of(seat)
    folder.mkdir(parents=True, exist_ok=True)
    done, hellos, head = coordinator.records(desk), desk.hellos(), desk.ledger.head()
    heads = {"coordinator": {"index": head.index, "hash": head.hash}}
    told = coordinator.pooled(desk)
    write_report(folder / "report.html", desk.task, agreement, hellos, done, end, heads, told)
    write_figures(folder, agreement, done, end, read_statistics(told, desk.task, end.classes))
    if told is not None:
        replace_with(folder / "statistics.json", [told.model_dump_json(indent=1).encode()])
    table = matrix_of(agreement, end)
    if table is not None:
        replace_with(folder / "matrix.csv", [table.to_csv().encode()])
    replace_with(folder / "federated_task.yaml", [desk.task.to_yaml().encode()])
    text = f'{{"index": {head.index}, "hash": "{head.hash}"}}\n'
    replace_with(folder / "ledger-head.json", [text.encode()])
    return folder


def fetch_best(seat: str, folder: Path, end: End) -> Path:
    """The best model as a safetensors file in `folder`."""
    path = folder / "best.safetensors"
    replace_with(path, [sealed.fetch(desk_at(seat).store, end.best)])
    return path


def working_folder(seat: str) -> Path:
    """The coordinator's own folder of this run."""
    place = Seat.load(seat)
    return place.folder / "runs" / place.run / "coordinator"
