"""What a party does in a training, verb by verb."""

from __future__ import annotations

from pathlib import Path

from fedcore.rounds import party
from fedcore.rounds.party import Request
from tasks.options import step
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
    )
    return cohort.contract_hash


@step("{label} · join")
def join(seat: str, label: str) -> str:
    """Say hello and wait until the run is founded; the agreed task file's hash."""
    weights = Seat.load(seat).weights
    desk = desk_at(seat)
    desk.store.prepare()
    party.greet(desk, Path(weights) if weights else None)
    return party.join(desk).task_hash


@step("round-{number:03d} · {label} · train")
def train(seat: str, number: int, label: str) -> str:
    """Train from the round's global model; the SHA-256 of the spooled update."""
    return party.train(desk_at(seat), number)


@step("round-{number:03d} · {label} · upload")
def upload(seat: str, number: int, label: str) -> str:
    """Send the update and the signed reply; the update's key in the exchange."""
    return party.upload(desk_at(seat), number).update.key


@step("round-{number:03d} · {label} · evaluate")
def evaluate(seat: str, number: int, label: str) -> int:
    """Score the round's combined model at home and send the counts; the round."""
    return party.score(desk_at(seat), number).round


@step("final test · {label} · evaluate")
def evaluate_final(seat: str, label: str) -> int:
    """Score the best and the final model on the test split and send the counts; 0."""
    return party.score_final(desk_at(seat)).round


def next_request(seat: str, since: int) -> Request | None:
    """Wait for what the coordinator asks next."""
    return party.next_request(desk_at(seat), since)
