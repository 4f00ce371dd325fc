"""Approval: what a person is asked, as a file, and what was decided, as entries of the ledger.

The file is only the notice: what counts is the signed entry, for this run, task file and
coordinator alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from fedcore.audit.durable import replace_with
from fedcore.audit.entry import Entry
from fedcore.audit.ledger import Ledger
from fedcore.config.base import Section
from fedcore.config.policy import Leaving
from fedcore.config.task import TaskFile
from fedcore.errors import InputError
from fedcore.rounds.consent.judging import Fault, agreed_task
from fedcore.rounds.consent.wording import Plain, in_plain_words
from fedcore.rounds.messages import Agreement

APPROVED, REFUSED = "job_approved", "job_refused"
State = Literal["pending", "approved", "refused"]


class Request(Section):
    """`approvals/RUN.json`: a training that waits (or waited) for a person's word."""

    state: State = "pending"
    party: str
    coordinator: str
    data: str
    agreement: Agreement

    @property
    def run(self) -> str:
        """The training's name."""
        return self.agreement.run

    def task(self) -> TaskFile:
        """The task file that is to be approved; `InputError` when it is not what its hash says."""
        task = agreed_task(self.agreement)
        if task is None:
            raise InputError(
                f"run {self.run}: its task file does not hash to what is to be approved: "
                "remove the file, and the session asks again"
            )
        return task

    def plain(self, leaving: Leaving) -> Plain:
        """What would run and leave, in plain words."""
        return in_plain_words(self.agreement, self.task(), leaving)

    def save(self, folder: Path) -> None:
        """Write the notice."""
        path = folder / f"{self.run}.json"
        replace_with(path, [self.model_dump_json(indent=1).encode()])


@dataclass(frozen=True)
class Decision:
    """The last word on a training: approved or refused, by whom, and why not."""

    state: Literal["approved", "refused"]
    by: str
    fault: Fault


def subject_of(agreement: Agreement, coordinator_key: str) -> dict[str, str]:
    """What a decision is about: this run, this task file, this coordinator, nothing else."""
    return {"run": agreement.run, "task": agreement.task_hash, "coordinator": coordinator_key}


def approve(ledger: Ledger, agreement: Agreement, coordinator_key: str, by: str) -> Entry:
    """Write the approval into the ledger; raises `InputError` after a refusal."""
    standing = decisions(ledger.entries(), agreement, coordinator_key)
    if standing is not None and standing.state == "refused":
        raise InputError(
            f"run {agreement.run}: it was refused by {standing.by} and the coordinator has that "
            "word: ask for a training with a new name"
        )
    return ledger.append_once(APPROVED, {**subject_of(agreement, coordinator_key), "by": by})


def refuse(
    ledger: Ledger, agreement: Agreement, coordinator_key: str, by: str, fault: Fault
) -> Entry:
    """Write the refusal into the ledger, once; it is the last word on this training."""
    subject = {**subject_of(agreement, coordinator_key), "by": by}
    return ledger.append_once(
        REFUSED, {**subject, "reason": fault.reason, "sentence": fault.sentence}
    )


def decisions(
    entries: Iterable[Entry], agreement: Agreement, coordinator_key: str
) -> Decision | None:
    """What was decided on exactly this training; a refusal outweighs every approval."""
    about = subject_of(agreement, coordinator_key)
    found: Decision | None = None
    for entry in entries:
        if any(entry.subject.get(name) != value for name, value in about.items()):
            continue
        by, texts = str(entry.subject.get("by")), entry.subject
        if entry.kind == REFUSED:
            fault = Fault(str(texts.get("reason")), str(texts.get("sentence")))
            return Decision("refused", by, fault)
        if entry.kind == APPROVED:
            found = Decision("approved", by, Fault("", ""))
    return found


def read_request(folder: Path, run: str) -> Request:
    """The notice of that run; `InputError` says what waits instead."""
    path = folder / f"{run}.json"
    known = sorted(one.stem for one in folder.glob("*.json"))
    if run not in known:
        waiting = f"what has asked: {', '.join(known)}" if known else "nothing has asked so far"
        raise InputError(f"run {run}: it does not wait for an approval here ({waiting})")
    try:
        return Request.model_validate(json.loads(path.read_bytes()))
    except (OSError, ValueError, ValidationError):
        raise InputError(
            f"{path}: it is no request for approval: remove it, and the session asks again"
        ) from None


def requests(folder: Path) -> list[Request]:
    """All notices that can be read, by the names of their runs."""
    return [read_request(folder, path.stem) for path in sorted(folder.glob("*.json"))]
