"""Judging: what the policy says to a training. Pure: the same words in, the same verdict out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fedcore.config.policy import Policy
from fedcore.config.task import TaskFile, parse_task_file
from fedcore.errors import TaskFileError
from fedcore.rounds.messages import Agreement


@dataclass(frozen=True)
class Fault:
    """One reason against a training: a word to count, a sentence to read; nothing of the data."""

    reason: str
    sentence: str


@dataclass(frozen=True)
class Verdict:
    """What follows from the policy; `faults` are all reasons of a refusal, the gravest first."""

    decision: Literal["accept", "ask", "refuse"]
    faults: tuple[Fault, ...] = ()

    @property
    def reason(self) -> str:
        """The gravest fault's word; empty unless refused."""
        return self.faults[0].reason if self.faults else ""

    @property
    def sentence(self) -> str:
        """All faults as one sentence; empty unless refused."""
        return "; ".join(fault.sentence for fault in self.faults)


def judge(
    policy: Policy, agreement: Agreement, coordinator_key: str, data: Path | None = None
) -> Verdict:
    """Accept, ask or refuse a training that `coordinator_key` signed, before anything is read.

    `data` is the folder that would be read. Whoever calls has filled in the policy's defaults
    (`coordinators`, `data`) from the party file; what is still `None` sets no bound.
    """
    task = agreed_task(agreement)
    if task is None:
        said = "the agreement's task file cannot be read by this version, or is not what it hashes"
        return Verdict("refuse", (Fault("task_unreadable", said),))
    bounds = (_who(policy, coordinator_key), _what(policy, task), _where(policy, data))
    faults = tuple(fault for some in bounds for fault in some)
    if faults:
        return Verdict("refuse", faults)
    accepted = policy.decide == "accept" or agreement.task_hash in policy.task_files
    return Verdict("accept" if accepted else "ask")


def judge_cohort(policy: Policy, patients: int) -> Verdict:
    """Refuse a training in which fewer training patients than `min_cohort` would take part."""
    if patients >= policy.min_cohort:
        return Verdict("accept")
    said = (
        f"it has fewer training patients than its policy demands (min_cohort {policy.min_cohort})"
    )
    return Verdict("refuse", (Fault("small_cohort", said),))


def agreed_task(agreement: Agreement) -> TaskFile | None:
    """The task file inside an agreement; `None` unless it is one and hashes as announced."""
    try:
        task = parse_task_file(json.dumps(agreement.task), "the agreed task")
    except TaskFileError:
        return None
    return task if task.fingerprint() == agreement.task_hash else None


def _who(policy: Policy, coordinator_key: str) -> Iterator[Fault]:
    if policy.coordinators is not None and coordinator_key not in policy.coordinators:
        said = (
            f"trainings of the coordinator with the key {coordinator_key[:12]}... are not allowed"
        )
        yield Fault("unknown_coordinator", said)


def _what(policy: Policy, task: TaskFile) -> Iterator[Fault]:
    model, federation = task.model.name, task.federation
    if not policy.leaving.update:
        yield Fault("update_stays", "its policy lets no update leave (leaving.update)")
    if task.evaluation.cross_site and not policy.leaving.local_model:
        said = (
            "its policy lets no other hospital receive its local model (leaving.local_model), "
            "which the task file's evaluation.cross_site asks for"
        )
        yield Fault("local_model_stays", said)
    if policy.secure_aggregation:
        said = "its policy demands secure aggregation, which the task file does not promise"
        yield Fault("no_secure_aggregation", said)
    if policy.max_epsilon is not None:
        said = "its policy demands differential privacy, which the task file does not promise"
        yield Fault("no_differential_privacy", said)
    if policy.models is not None and model not in policy.models:
        said = f"its policy allows the models {_listed(policy.models)}, and not {model}"
        yield Fault("model", said)
    if policy.strategies is not None and federation.strategy not in policy.strategies:
        allowed = _listed(policy.strategies)
        said = f"its policy allows the strategies {allowed}, and not {federation.strategy}"
        yield Fault("strategy", said)
    if policy.max_rounds is not None and federation.epochs > policy.max_rounds:
        said = f"its policy allows {policy.max_rounds} rounds, and not {federation.epochs}"
        yield Fault("rounds", said)


def _where(policy: Policy, data: Path | None) -> Iterator[Fault]:
    if policy.data is None or data is None:
        return
    place = data.resolve()
    if not any(place.is_relative_to(Path(folder).resolve()) for folder in policy.data):
        said = "its policy does not allow the data folder that its party file names"
        yield Fault("data_folder", said)


def _listed(names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
    return shown or "(none)"
