"""Admission: a training is let in by the hospital's policy, or by a person, or turned away.

A deployed session calls, inside its flow and before anything else,

    seat = admission.admit(home, run)

and gets the path of the `Seat` to go on with; its Prefect page shows the steps `policy` and, where
a person is asked, `approval`. A `JobRefused` is raised once both sides know of the refusal: the
flow ends with its sentence, and nothing is to be tried again. To hear what is waited for, attach a
voice to `admission.seat_path(home, run)` first. After the data were read, `session.preprocess`
asks for the policy's minimum cohort by itself.
"""

from __future__ import annotations

from fedcore.errors import RunMismatch
from fedcore.rounds.consent.judging import agreed_task
from tasks.options import step
from tasks.party.doorstep import Doorstep
from tasks.seat import Seat


def seat_path(home: str, run: str) -> str:
    """Where the seat will lie: the name under which voices are attached, known beforehand."""
    return str(Doorstep.of(home, run).seat_path)


def admit(home: str, run: str, reconnect_interval: float = 5.0) -> str:
    """Ask the policy, then a person if it says so; the path of the saved seat.

    Raises `JobRefused`, or `InputError` for a home, policy or key that cannot be used.
    """
    label = Doorstep.of(home, run).file.local.label
    if policy(home, run, label) == "ask":
        approval(home, run, label)
    return take_seat(home, run, reconnect_interval)


@step("{label} · policy")
def policy(home: str, run: str, label: str) -> str:
    """What the hospital's policy says to this training: `accept` or `ask`."""
    return Doorstep.of(home, run).gate().consult().decision


@step("{label} · approval")
def approval(home: str, run: str, label: str) -> str:
    """Wait, however long, until a person here approves; who it was."""
    return Doorstep.of(home, run).gate().await_approval()


def take_seat(home: str, run: str, reconnect_interval: float = 5.0) -> str:
    """Write the seat of a training that was let in: all of it from the signed agreement."""
    door = Doorstep.of(home, run)
    agreement, signer = door.gate().agreement()
    task = agreed_task(agreement)
    if task is None:
        raise RunMismatch(f"run {run}: its task file is not what its hash says: ask for a new run")
    seat = Seat(
        run=run,
        owner=door.party,
        task=task,
        members=agreement.parties,
        exchange=door.exchange,
        state=str(door.home),
        data=str(door.data),
        pretrain=None if door.pretrain is None else str(door.pretrain),
        output=str(door.home / "runs" / run / "output"),
        coordinator_key=signer,
        modality=door.file.local.modality,
        policy=door.policy(),
        reconnect_interval=reconnect_interval,
    )
    return seat.save()


def require_cohort(seat: str, patients: int) -> None:
    """Raise `JobRefused` when the hospital's policy demands more training patients than these."""
    place = Seat.load(seat)
    if place.policy is not None and patients < place.policy.min_cohort:
        Doorstep.of(place.state, place.run).gate().require_cohort(patients)
