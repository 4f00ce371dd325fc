"""What a party does in a training, verb by verb.

Each verb can be done again, so a full disk is waited out and nothing that was done is lost.
"""

from __future__ import annotations

from pathlib import Path

from fedcore.config.columns import level_of
from fedcore.rounds import party
from fedcore.rounds.party import Request
from fedcore.rounds.waiting import with_room
from tasks.options import step
from tasks.party import admission
from tasks.party.desk import cohort_at, desk_at
from tasks.seat import Seat
from tasks.voices import voice_of


@step("{label} · preprocess")
def preprocess(seat: str, label: str) -> str:
    """Read and check the data folder; the data contract's hash."""
    cohort = cohort_at(seat)
    voice_of(seat).tell(
        "data",
        patients=cohort.patients,
        images=sum(len(part) for part in (cohort.train, cohort.validation, cohort.test)),
        quarantine=dict(cohort.quarantine),
        notes=list(cohort.notes),
        unit=cohort.unit,
    )
    admission.require_cohort(seat, cohort.train.patients)
    return cohort.contract_hash


@step("{label} · join")
def join(seat: str, label: str) -> str:
    """Say hello and wait until the run is founded; the agreed task file's hash."""
    weights = Seat.load(seat).weights
    desk = desk_at(seat)
    party.greet(desk, Path(weights) if weights else None)
    return party.join(desk).task_hash


def tells_statistics(seat: str) -> bool:
    """Whether the task file asks what the data looks like."""
    return level_of(desk_at(seat).task) != "none"


@step("{label} · statistics")
def tell_statistics(seat: str, label: str) -> int:
    """Tell what may be told of the data; the number of columns, 0 where all is withheld."""
    desk = desk_at(seat)
    told = with_room(lambda: party.tell_statistics(desk), desk.watch)
    return len(told.columns or ()) if told is not None else 0


@step("round-{number:03d} · {label} · train")
def train(seat: str, number: int, label: str) -> str:
    """Train from the round's global model; the SHA-256 of the spooled update, or `late`."""
    desk = desk_at(seat)
    return with_room(lambda: party.train(desk, number), desk.watch) or "late"


@step("round-{number:03d} · {label} · upload")
def upload(seat: str, number: int, label: str) -> str:
    """Send the update and the signed reply; the update's key, or `late` if it missed the round."""
    desk = desk_at(seat)
    reply = with_room(lambda: party.upload(desk, number), desk.watch)
    return reply.update.key if reply is not None else "late"


@step("round-{number:03d} · {label} · evaluate")
def evaluate(seat: str, number: int, label: str) -> int:
    """Score the round's combined model at home and send the counts; the round."""
    desk = desk_at(seat)
    with_room(lambda: party.score(desk, number), desk.watch)
    return number


@step("final test · {label} · evaluate")
def evaluate_final(seat: str, label: str) -> int:
    """Score the best and the final model on the test split and send the counts; 0."""
    desk = desk_at(seat)
    with_room(lambda: party.score_final(desk), desk.watch)
    return 0


def next_request(seat: str, since: int) -> Request | None:
    """Wait for what the coordinator asks next."""
    return party.next_request(desk_at(seat), since)
