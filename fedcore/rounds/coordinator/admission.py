"""Admission: each reply is checked whole before its update counts, or quarantined with a reason."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from fedcore.config.update import UpdateSection
from fedcore.errors import NotThere, Refused
from fedcore.exchange import codec, packing
from fedcore.models.modalities import is_foreign
from fedcore.params import (
    CONTROL,
    Array,
    Params,
    Schema,
    finite_norm,
    learned,
    norm,
    prefixed,
    schema,
)
from fedcore.rounds import sealed
from fedcore.rounds.coordinator.ahead import one_ahead
from fedcore.rounds.coordinator.asking import REPLIED, invitation_of, reply_of, staleness_of
from fedcore.rounds.coordinator.desk import Desk
from fedcore.rounds.coordinator.rebased import Rebased, is_measured, negative_variance
from fedcore.rounds.messages import Invitation, ObjectRef, Reply
from fedcore.strategies import Contribution, weight_of, weighting_of

# A clipped update may exceed its bound by the rounding of one float32 multiplication.
NORM_SLACK = 1.0 + 1e-5
# Without a clip norm, an update so many times as long as the model is no honest one.
MOST_TIMES = 1e4
Arrived = tuple[Reply, Mapping[str, Array]]


@dataclass
class Admission:
    """Who is in a round by now with which weight and reply, and who is not and why.

    `start` is the round's global model, `everyone` the weight of all members together, which
    only scaffold asks for.
    """

    desk: Desk
    invitation: Invitation
    expected: Schema
    longest: float
    start: Mapping[str, Array]
    everyone: float = 1.0
    weights: dict[str, float] = field(default_factory=dict)
    replies: dict[str, Reply] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)

    @contextmanager
    def contributions(
        self, answers: Mapping[str, str], *, keeping: bool
    ) -> Iterator[Iterator[Contribution]]:
        """What `answers` names, in the order of party ids, checked one after the other.

        Updates come as arrays in memory, or, `keeping`, as views of files that last as long as
        the context. Who is refused is left out and stands in `absent`. While one update is looked
        at, the next is fetched.
        """
        self.absent = {party: answer for party, answer in answers.items() if answer != REPLIED}
        parties = sorted(answers.keys() - self.absent.keys())
        if not keeping:
            yield self._in_order(parties, None)
            return
        with tempfile.TemporaryDirectory(prefix="updates-") as name:
            yield self._in_order(parties, Path(name))

    def judge(self, party: str) -> str:
        """`replied`, or why the reply that is there cannot count; its update is not kept."""
        for _ in self._in_order([party], None):
            pass
        return self.absent.get(party, REPLIED)

    @property
    def verdicts(self) -> dict[str, str]:
        """Every party that was asked, and `replied` or why it is not in."""
        return {**self.absent, **dict.fromkeys(self.weights, REPLIED)}

    @property
    def _measures_ahead(self) -> bool:
        """Whether who fetches has the time to measure: what is known need not be hashed."""
        return self.desk.store.own is not None

    def _in_order(self, parties: Sequence[str], folder: Path | None) -> Iterator[Contribution]:
        arriving = one_ahead(partial(self._arrived, party, folder) for party in parties)
        for party in parties:
            yield from self._alone(party, arriving, folder)

    def _alone(
        self, party: str, arriving: Iterator[Future[Arrived]], folder: Path | None
    ) -> Iterator[Contribution]:
        """The party's contribution, if any; nothing here holds it once the next is asked for."""
        contribution = self._admitted(party, next(arriving), folder)
        if contribution is not None:
            yield contribution

    def _arrived(self, party: str, folder: Path | None) -> Arrived:
        reply = reply_of(self.desk, self.invitation, party)
        # By party: two that sent the same bytes may arrive at the same time.
        path = folder and folder / f"update-{party}.safetensors"
        update = self._opened(reply.update, self._expected_of(party), path)
        if self._measures_ahead:
            self._require_fit(party, update)
        return reply, update

    def _admitted(
        self, party: str, arrived: Future[Arrived], folder: Path | None
    ) -> Contribution | None:
        try:
            reply, update = arrived.result()
            base = self._base(reply, folder)
            seen = update if base is None else Rebased(update, base, self.start, is_measured)
            if not self._measures_ahead:
                self._require_fit(party, update)
            self._require_variances(party, seen)
        except (Refused, NotThere) as refused:
            reason = refused.reason if isinstance(refused, Refused) else "update_missing"
            self.absent[party] = reason
            return None
        federation = self.desk.task.federation
        weighting = weighting_of(federation.strategy, federation.weighting)
        weight = weight_of(weighting, reply.patients, reply.images)
        self.weights[party], self.replies[party] = weight, reply
        return Contribution(
            party=party,
            weight=weight,
            update=seen,
            normaliser=reply.normaliser,
            staleness=staleness_of(self.invitation, reply),
            everyone=self.everyone,
            rebased=base and Rebased(update, base, self.start, lambda _: True),
        )

    def _base(self, reply: Reply, folder: Path | None) -> Mapping[str, Array] | None:
        """The model that a late training started from; `None` for a training of this round."""
        if reply.trained_in == self.invitation.round:
            return None
        ref = invitation_of(self.desk, reply.trained_in).weights
        if folder is None:
            return codec.decode(sealed.fetch(self.desk.store, ref))
        path = folder / f"{ref.sha256}.safetensors"
        if not path.exists():
            sealed.fetch_to_file(self.desk.store, ref, path)
        return codec.Lazy(codec.Tensors.from_file(path))

    def _expected_of(self, party: str) -> Schema:
        """What this party's update must have: not the encoders of other modalities than its own."""
        hello = self.desk.hello(party)
        modality = hello.modality if hello else None
        return {
            name: kind for name, kind in self.expected.items() if not is_foreign(name, modality)
        }

    def _opened(self, ref: ObjectRef, expected: Schema, path: Path | None) -> Mapping[str, Array]:
        agreed = self.desk.task.update
        most = most_bytes(expected, agreed)
        if path is None:
            body = codec.Tensors.from_bytes(sealed.fetch(self.desk.store, ref, most))
            return _unpacked(body, expected, agreed.codec)
        sealed.fetch_to_file(self.desk.store, ref, path, most)
        return _unpacked(codec.Tensors.from_file(path), expected, agreed.codec)

    def _require_fit(self, party: str, update: Mapping[str, Array]) -> None:
        if finite_norm(update, leaving_out=CONTROL) > self.longest * NORM_SLACK:
            raise Refused("norm", f"the update of {party} is longer than {self.longest:g}")

    def _require_variances(self, party: str, update: Mapping[str, Array]) -> None:
        """One hostile negative variance would make the whole model answer NaN."""
        name = negative_variance(self.start, update)
        if name is not None:
            raise Refused("negative_variance", f"the update of {party} takes {name} below zero")


def admission_of(desk: Desk, invitation: Invitation, start: Params) -> Admission:
    """Nobody is in yet; `start` is the round's global model."""
    scaffold = desk.task.federation.strategy == "scaffold"
    return Admission(
        desk,
        invitation,
        update_schema(desk, start),
        longest_update(invitation, start),
        start,
        weight_of_all(desk, invitation) if scaffold else 1.0,
    )


def longest_update(invitation: Invitation, start: Params) -> float:
    """The L2 norm that no admitted update exceeds: as agreed, or what no training reaches."""
    if invitation.clip_norm is not None:
        return invitation.clip_norm
    return MOST_TIMES * max(norm(start), 1.0)


def update_schema(desk: Desk, start: Params) -> Schema:
    """Names, dtypes and shapes that an update must have: the model's, less what stays home.

    With scaffold the change of each control variate is beside its parameter.
    """
    hello = desk.hello(desk.guest.party_id)
    home = set(hello.kept_home) if hello else set()
    shared = {name: array for name, array in start.items() if name not in home}
    controls = learned(shared) if desk.task.federation.strategy == "scaffold" else {}
    return schema({**shared, **prefixed(CONTROL, controls)})


def weight_of_all(desk: Desk, invitation: Invitation) -> float:
    """All members' weights together; who had not come yet counts as the mean of the others."""
    weighting, there = (
        desk.task.federation.weighting,
        {*invitation.parties, *invitation.not_invited},
    )
    hellos = [one for party, one in desk.hellos().items() if party in there]
    known = [weight_of(weighting, one.patients, one.images) for one in hellos]
    return sum(known) / len(known) * len(desk.members)


def most_bytes(expected: Schema, agreed: UpdateSection) -> int:
    """The size of an honest update: its values, and room for the header's names and offsets."""
    values = packing.most_values(expected, agreed.codec, agreed.share)
    names = packing.packed_schema(expected, agreed.codec)
    return values + 4096 + sum(256 + 2 * len(name) for name in names)


def _unpacked(body: codec.Tensors, expected: Schema, name: str) -> packing.Unpacked:
    """The update in a body, each array read when it is asked for."""
    packing.require_packed(body.schema, expected, name)
    return packing.Unpacked(codec.Lazy(body), name, expected)
