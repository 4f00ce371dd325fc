"""Names that both sides derive on their own: the run's id, without anyone telling the other."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

from fedcore.config.party import PartyFile
from fedcore.config.task import TaskFile
from fedcore.errors import InputError, problem
from fedcore.rounds.messages import Member

RUN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")


def run_id(task: TaskFile, parties: Iterable[str], name: str | None = None) -> str:
    """`name` if given; else the task's name and a hash of task file and party ids.

    The same files give the same run at every party, so the same command goes on with it.
    """
    if name is not None:
        if not RUN_NAME.fullmatch(name):
            remedy = "use up to 63 letters, digits, - and _"
            raise InputError(problem("command line", "--run", name, remedy))
        return name
    meaning = "|".join([task.fingerprint(), *sorted(parties)])
    short = hashlib.sha256(meaning.encode()).hexdigest()[:8]
    return f"{task.name.replace('.', '-')[:48]}-{short}"


def members_of(party_file: PartyFile) -> tuple[Member, ...]:
    """The parties by id, sorted: the same tuple at every party."""
    members = [Member(party_id=party.id, role=party.role) for party in party_file.parties]
    return tuple(sorted(members, key=lambda member: member.party_id))
