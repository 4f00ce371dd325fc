"""`fedcore party pending` and `approve`: a person at the hospital decides on a training.

Works without the network: the session that waits has written down what it was asked, and goes on
by itself once the word stands in the hospital's ledger.
"""

from __future__ import annotations

import getpass
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fedcore.errors import InputError
from fedcore.rounds.consent import Fault, Request, approval, read_request, requests
from flows.party.home import PartyHome
from tasks.party.doorstep import Doorstep

Say = Callable[[str], None]
BY_A_PERSON = "by_a_person"
NO_REASON = "a person at this hospital decided so"
MOST_SAID = 300


@dataclass(frozen=True)
class Word:
    """What the person types: approve, or refuse with a reason that the coordinator is told."""

    refuse: bool = False
    reason: str | None = None
    sure: bool = False


def pending(home: Path, say: Say) -> None:
    """List the trainings that wait for a word, and how to give it."""
    place = PartyHome.load(home)
    waiting = [one for one in requests(place.approvals) if _decision(place, one) is None]
    if not waiting:
        say("no training waits for approval")
    for one in waiting:
        task = one.task()
        say(
            f"{one.run}: {task.model.name}, {task.federation.epochs} rounds by "
            f"{task.federation.strategy}; task file {one.agreement.task_hash}; "
            f"coordinator {one.coordinator[:12]}..."
        )
        say(f"  fedcore party approve {one.run} --home {shlex.quote(str(home))}")


def decide(
    home: Path, run: str, word: Word, say: Say, confirm: Callable[[str], bool], by: str
) -> bool:
    """Show what would run and leave, ask, and write the word down; whether it was approved.

    Raises `InputError` for a training that does not wait, or was decided otherwise before.
    """
    place = PartyHome.load(home)
    asked = read_request(place.approvals, run)
    if asked.party != place.party_id:
        raise InputError(f"{place.approvals / run}.json: it is of party {asked.party}: remove it")
    _tell(place, asked, say)
    if word.refuse:
        return _refuse(place, asked, word, say, confirm, by)
    if not (word.sure or confirm("Approve this training?")):
        say("nothing was decided: the training goes on waiting")
        return False
    approval.approve(
        Doorstep.of(str(place.home), run).ledger(), asked.agreement, asked.coordinator, by
    )
    asked.model_copy(update={"state": "approved"}).save(place.approvals)
    say(f"approved by {by}: the training begins by itself")
    return True


def person() -> str:
    """Who types: the user of the operating system, as the ledger names him."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user without a name
        return "a user without a name"


def _refuse(
    place: PartyHome,
    asked: Request,
    word: Word,
    say: Say,
    confirm: Callable[[str], bool],
    by: str,
) -> bool:
    said = "".join(letter for letter in (word.reason or NO_REASON) if letter.isprintable())
    said = said.strip()[:MOST_SAID] or NO_REASON
    say(f"The coordinator will be told: {said}")
    if not (word.sure or confirm("Refuse this training for good?")):
        say("nothing was decided: the training goes on waiting")
        return False
    ledger = Doorstep.of(str(place.home), asked.run).ledger()
    approval.refuse(ledger, asked.agreement, asked.coordinator, by, Fault(BY_A_PERSON, said))
    asked.model_copy(update={"state": "refused"}).save(place.approvals)
    say(f"refused by {by}: the session tells the coordinator and ends")
    return False


def _decision(place: PartyHome, asked: Request) -> approval.Decision | None:
    ledger = Doorstep.of(str(place.home), asked.run).ledger()
    return approval.decisions(ledger.entries(), asked.agreement, asked.coordinator)


def _tell(place: PartyHome, asked: Request, say: Say) -> None:
    """All that the person should know before the word, in plain words."""
    policy = Doorstep.of(str(place.home), asked.run).policy()
    say(f"Training {asked.run}, of the coordinator with the key {asked.coordinator}")
    say(f"Task file {asked.agreement.task_hash}")
    say(f"Data folder {asked.data}")
    for line in asked.plain(policy.leaving).lines():
        say(line)
