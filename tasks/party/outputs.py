"""What the hospital keeps of a training: models, metrics, report, the task file as run."""

from __future__ import annotations

import json
from pathlib import Path

from fedcore.audit.durable import replace_with
from fedcore.config.columns import level_of
from fedcore.errors import NotAllowed, Refused
from fedcore.exchange import keys
from fedcore.explain.report import write_report
from fedcore.explain.tables import write_tables, write_tests
from fedcore.rounds import party, sealed
from fedcore.rounds.messages import Agreement, End, Hello, Record, line
from fedcore.rounds.party import Desk
from fedcore.rounds.statistics_messages import PooledStatistics
from tasks.options import step
from tasks.party.desk import desk_at
from tasks.seat import COORDINATOR, Seat
from tasks.voices import voice_of

_TOLD: dict[str, int] = {}


def tell_records(seat: str, before: int = 0) -> None:
    """Tell the voice of every round that was recorded since the last time.

    While round `before` goes on, only those before it are done; 0: all that are there.
    """
    desk, told = desk_at(seat), _TOLD.get(seat, 0)
    while told + 1 != before and (one := _record(desk, told + 1)) is not None:
        told += 1
        text = line(one, desk.task)
        voice_of(seat).tell("record", line=text, record=one.model_dump(mode="json"))
    _TOLD[seat] = told


@step("{label} · write outputs")
def write_outputs(seat: str, label: str) -> str:
    """Write the output folder if the seat has one; why the training ended."""
    place, desk = Seat.load(seat), desk_at(seat)
    public = desk.coordinator_key()
    end = sealed.read(desk.store, keys.end(desk.run), End, public)
    if place.output is not None:
        _write(place, desk, end)
    voice_of(seat).tell("end", end=end.model_dump(mode="json"))
    return end.reason


def _write(place: Seat, desk: Desk, end: End) -> None:
    folder = Path(place.output or ".")
    folder.mkdir(parents=True, exist_ok=True)
    models = {"best": (end.best, end.best_round), "final": (end.final, end.rounds)}
    for name, (ref, number) in models.items():
        body = party.usable_model(desk, ref, number)
        replace_with(folder / f"{name}.safetensors", [body])
    own = party.personal_model(desk)
    if own is not None:
        replace_with(folder / "personal.safetensors", [own])
    replace_with(folder / "federated_task.yaml", [desk.task.to_yaml().encode()])
    _write_normalisation(folder, desk)
    _write_encoding(folder, desk)
    done = _records(desk)
    write_tables(folder, done)
    write_tests(folder, end)
    key = keys.agreement(desk.run)
    agreement = sealed.read(desk.store, key, Agreement, desk.coordinator_key())
    heads, told = _ledger_heads(place, desk, end), _statistics(desk)
    hellos = _hellos(desk, agreement)
    write_report(folder / "report.html", desk.task, agreement, hellos, done, end, heads, told)
    if told is not None:
        replace_with(folder / "statistics.json", [told.model_dump_json(indent=1).encode()])
    replace_with(folder / "ledger-heads.json", [json.dumps(heads, indent=1).encode()])


def _write_normalisation(folder: Path, desk: Desk) -> None:
    """With `data.normalize: own`, what whoever uses the models here normalises images with."""
    own = desk.cohort.train.pixel_statistics
    if own is not None:
        numbers = json.dumps({"mean": own.mean, "std": own.std}, indent=1)
        replace_with(folder / "normalisation.json", [numbers.encode()])


def _write_encoding(folder: Path, desk: Desk) -> None:
    """Of a table, what whoever uses the models here makes of new rows; it stays at home."""
    own = party.own_encoding(desk)
    if own is not None:
        replace_with(folder / "encoding.json", [json.dumps(own.to_json(), indent=1).encode()])


def _ledger_heads(place: Seat, desk: Desk, end: End) -> dict[str, dict[str, object]]:
    """The heads of this party's own ledger and of the coordinator's, by owner: index and hash."""
    heads: dict[str, dict[str, object]] = {place.name: vars(desk.ledger.head())}
    theirs = end.ledgers.get(COORDINATOR)
    return heads | ({COORDINATOR: theirs.model_dump()} if theirs is not None else {})


def _hellos(desk: Desk, agreement: Agreement) -> dict[str, Hello]:
    found = {}
    for member in agreement.parties:
        key = keys.hello(member.party_id, desk.run)
        try:
            hello = sealed.read_if_there(desk.store, key, Hello, None)
        except Refused:  # the coordinator left its party out, with the reason in its ledger
            continue
        except NotAllowed:  # a party's credentials may read its own folder and the coordinator's
            continue
        if hello is not None:
            found[member.party_id] = hello
    return found


def _statistics(desk: Desk) -> PooledStatistics | None:
    if level_of(desk.task) == "none":
        return None
    key = keys.pooled_statistics(desk.run)
    return sealed.read_if_there(desk.store, key, PooledStatistics, desk.coordinator_key())


def _records(desk: Desk) -> list[Record]:
    done: list[Record] = []
    while (one := _record(desk, len(done) + 1)) is not None:
        done.append(one)
    return done


def _record(desk: Desk, number: int) -> Record | None:
    key = keys.record(desk.run, number)
    return sealed.read_if_there(desk.store, key, Record, desk.coordinator_key())
