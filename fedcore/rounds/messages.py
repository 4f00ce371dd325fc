"""The words that pass through the exchange: small, frozen, signed by whoever wrote them.

None holds a time of day, so whoever repeats a step writes the same bytes again; the two that do
carry a duration or a decision (`Record`, `Combined`) stand as first written.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from fedcore.config.base import Section
from fedcore.config.task import TaskFile
from fedcore.config.update import Codec

Reason = str
# Why a party is not in a round, where its update may still count in a later one: it came after the
# deadline; it was still training when the round was full; it had replied, and the round was full.
LATE, TRAINING, WAITING = "late", "training", "waiting"
NOT_YET = frozenset({LATE, TRAINING, WAITING})
# The status of a party that takes part and was not drawn for the round: no absence.
NOT_INVITED = "not_invited"
# More patients or images than any hospital has; sums of such numbers stay exact in float64.
MOST = 10**12


class ObjectRef(Section):
    """A large object in the exchange: where it lies and what it must hash to."""

    key: str = Field(max_length=512)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    size: int = Field(ge=0)


class ModelStep(ObjectRef):
    """The way to a model, packed, from the one whose bytes hash to `base`."""

    base: str = Field(pattern=r"^[0-9a-f]{64}$")


class LedgerHead(Section):
    """How far somebody's ledger had come: whoever keeps this notices later if its tail is cut."""

    index: int = Field(ge=0)
    hash: str = Field(pattern=r"^[0-9a-f]{64}$")


class Member(Section):
    """A party as the agreement names it."""

    party_id: str = Field(max_length=32)
    role: Literal["guest", "host"]

    @property
    def label(self) -> str:
        """Role and id, as shown to a person: `host-10000`."""
        return f"{self.role}-{self.party_id}"


class Agreement(Section):
    """The coordinator's first word: which task, which parties. Signing it founds the run."""

    run: str
    task: dict[str, Any]
    task_hash: str
    parties: tuple[Member, ...]
    code_version: str


class Hello(Section):
    """A party's first word: ready, with this task file and data of this contract hash."""

    run: str
    party: str
    role: Literal["guest", "host"]
    task_hash: str
    contract_hash: str
    code_version: str
    classes: tuple[str, ...]
    patients: int = Field(ge=0, le=MOST)
    images: int = Field(ge=0, le=MOST)
    quarantine: dict[str, Annotated[int, Field(ge=0, le=MOST)]]
    kept_home: tuple[str, ...] = ()
    modality: str | None = Field(None, max_length=16)
    initial: ObjectRef | None = None


class Pending(Section):
    """A party's word that its policy asks a person first; the training is neither on nor off."""

    run: str
    party: str
    task_hash: str


class Refusal(Section):
    """A party's word that it takes no part. Neither reason nor sentence holds anything of data."""

    run: str
    party: str
    task_hash: str
    reason: str = Field(pattern=r"^[a-z][a-z0-9_]{0,47}$")
    sentence: str = Field(max_length=400)


class Invitation(Section):
    """Train from these weights, in this round; `memory` is what the strategy remembers.

    `step` leads to the weights from those of the round before, where the task file asks for it.
    `not_invited` names who takes part in the training and was not drawn for this round.
    """

    run: str
    round: int = Field(ge=1)
    parties: tuple[str, ...]
    not_invited: tuple[str, ...] = ()
    weights: ObjectRef
    step: ModelStep | None = None
    task_hash: str
    clip_norm: float | None = None
    memory: ObjectRef | None = None


class Reply(Section):
    """One party's answer to an invitation. `metrics` is empty when withheld."""

    run: str
    round: int = Field(ge=1)
    trained_in: int = Field(ge=1, description="the round itself, or an earlier one that it missed")
    party: str
    base: str = Field(description="SHA-256 of the weights that the training started from")
    update: ObjectRef
    codec: Codec
    patients: int = Field(ge=1, le=MOST)
    images: int = Field(ge=1, le=MOST)
    metrics: dict[Literal["loss", "accuracy"], Annotated[float, Field(ge=-1e9, le=1e9)]]
    normaliser: float = Field(1.0, gt=0, le=1e9, description="what FedNova divides the update by")
    task_hash: str
    contract_hash: str
    code_version: str
    ledger: LedgerHead | None = None


class Combined(Section):
    """The round's new model, who is in it with which weight, and who is not and why.

    `updates` holds the SHA-256 of each admitted update, `memory` what the strategy goes on with,
    `groups` the names of the groups' sums that were added up, of a tree; `step` leads to `model`
    from the round's weights, where the task file asks for it.
    """

    run: str
    round: int = Field(ge=1)
    model: ObjectRef
    step: ModelStep | None = None
    memory: ObjectRef | None = None
    weights: dict[str, float]
    updates: dict[str, str]
    absent: dict[str, Reason]
    groups: tuple[str, ...] = ()


class FinalEvaluation(Section):
    """Score these models on the test split: name ('best', 'final') to weights."""

    run: str
    models: dict[str, ObjectRef]
    rounds: dict[str, int]


class Score(Section):
    """One party's scores by model hash; `None` where too few patients stand behind them."""

    run: str
    party: str
    round: int = Field(ge=0, description="0: the final test")
    scores: dict[str, dict[str, Any] | None]
    ledger: LedgerHead | None = None


class Numbers(Section):
    """The headline numbers of some scores (`METRICS`); absent when withheld or undefined."""

    loss: float | None = None
    accuracy: float | None = None
    balanced_accuracy: float | None = None
    auroc: float | None = None
    auprc: float | None = None
    f1: float | None = None
    concordance: float | None = None


class Averages(Section):
    """The plain mean of the parties' own headline numbers; absent where nobody has one."""

    average_loss: float | None = None
    average_accuracy: float | None = None
    average_balanced_accuracy: float | None = None
    average_auroc: float | None = None
    average_auprc: float | None = None
    average_f1: float | None = None
    average_concordance: float | None = None


class PartyResult(Numbers):
    """What a round's record says of one party; numbers are absent when withheld."""

    role: Literal["guest", "host"]
    status: str = Field(description="admitted, or why not")
    weight: float = 0.0
    staleness: int = Field(0, ge=0, description="rounds since the model that it trained from")
    patients: int = 0
    images: int = 0
    train_loss: float | None = None
    train_accuracy: float | None = None
    personal: Numbers | None = Field(None, description="of the party's own model, if it has one")


class Record(Numbers, Averages):
    """The commit marker of a round: what came of it, in numbers."""

    run: str
    round: int = Field(ge=1)
    model: ObjectRef
    parties: dict[str, PartyResult]
    train_loss: float | None = None
    train_accuracy: float | None = None
    personal: Numbers | None = Field(None, description="the parties' own models, pooled")
    bytes_up: int = 0
    bytes_down: int = 0
    seconds: float = 0.0
    ledgers: dict[str, LedgerHead] = Field(
        default_factory=dict, description="the newest known head of every ledger, by its owner"
    )


class End(Section):
    """The last word: why the training ended and which models it made."""

    run: str
    reason: str
    rounds: int
    best_round: int
    best: ObjectRef
    final: ObjectRef
    classes: tuple[str, ...]
    scores: dict[str, dict[str, dict[str, Any] | None]] = Field(
        description="model name -> party id -> test scores (fedcore.metrics.Scores as JSON)"
    )
    averages: dict[str, dict[str, float | None]] = Field(
        default_factory=dict, description="model name -> metric -> plain mean over the parties"
    )
    ledgers: dict[str, LedgerHead] = Field(
        default_factory=dict, description="the newest known head of every ledger, by its owner"
    )


def line(record: Record, task: TaskFile) -> str:
    """A round as one line, in the words of the field.

    `Epoch 10/50 - Guest Loss: 0.215 | Acc: 89.2% - Host Loss: 0.198 | ... - Federated Loss: ...`
    For survival, the concordance index stands in the accuracy's place. Who was not invited to the
    round is left out.
    """
    roles = [result.role for result in record.parties.values()]
    survival, total = task.task_type == "survival", task.federation.epochs
    parts = [
        f"{_name(party, result, roles)} {_numbers(result, survival)}"
        if result.status == "admitted"
        else f"{_name(party, result, roles)} {result.status}"
        for party, result in sorted(record.parties.items(), key=_guest_first)
        if result.status != NOT_INVITED
    ]
    parts.append(f"Federated {_numbers(record, survival)}")
    return f"Epoch {record.round}/{total} - " + " - ".join(parts)


def _guest_first(item: tuple[str, PartyResult]) -> tuple[bool, str]:
    return item[1].role != "guest", item[0]


def _name(party: str, result: PartyResult, roles: Sequence[str]) -> str:
    """`Guest`, `Host`; with several hosts the id tells them apart."""
    name = result.role.capitalize()
    return f"{name} {party}" if roles.count(result.role) > 1 else name


def _numbers(said: PartyResult | Record, survival: bool) -> str:
    loss = "withheld" if said.loss is None else f"{said.loss:.3f}"
    if survival:
        right = "withheld" if said.concordance is None else f"{said.concordance:.3f}"
        return f"Loss: {loss} | C-index: {right}"
    right = "withheld" if said.accuracy is None else f"{said.accuracy:.1%}"
    return f"Loss: {loss} | Acc: {right}"
