"""Admission: each reply is checked whole before its update counts, or quarantined with a reason."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from fedcore.errors import NotThere, Refused
from fedcore.exchange import codec
from fedcore.params import Array, Params, Schema, norm, require_finite, schema
from fedcore.rounds import sealed
from fedcore.rounds.coordinator.asking import REPLIED, reply_of
from fedcore.rounds.coordinator.desk import Desk
from fedcore.rounds.messages import Invitation, ObjectRef, Reply
from fedcore.strategies import Contribution, weight_of

# A clipped update may exceed its bound by the rounding of one float32 multiplication.
NORM_SLACK = 1.0 + 1e-5
# Without a clip norm, an update so many times as long as the model is no honest one.
MOST_TIMES = 1e4


@dataclass
class Admission:
    """Who is in a round by now with which weight and reply, and who is not and why."""

    desk: Desk
    invitation: Invitation
    expected: Schema
    longest: float
    weights: dict[str, float] = field(default_factory=dict)
    replies: dict[str, Reply] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)

    @contextmanager
    def contributions(
        self, answers: Mapping[str, str], *, keeping: bool
    ) -> Iterator[Iterator[Contribution]]:
        """What `answers` names, in the order of party ids, checked one after the other.

        Updates come as arrays in memory, or, `keeping`, as views of files that last as long as
        the context. Who is refused is left out and stands in `absent`.
        """
        self.absent = {party: answer for party, answer in answers.items() if answer != REPLIED}
        parties = sorted(answers.keys() - self.absent.keys())
        if not keeping:
            yield (one for party in parties if (one := self._admitted(party, None)) is not None)
            return
        with tempfile.TemporaryDirectory(prefix="updates-") as name:
            folder = Path(name)
            yield (one for party in parties if (one := self._admitted(party, folder)) is not None)

    @property
    def verdicts(self) -> dict[str, str]:
        """Every party that was asked, and `replied` or why it is not in."""
        return {**self.absent, **dict.fromkeys(self.weights, REPLIED)}

    def _admitted(self, party: str, folder: Path | None) -> Contribution | None:
        try:
            reply = reply_of(self.desk, self.invitation, party)
            update = self._opened(reply.update, folder)
            self._require_fit(party, update)
        except (Refused, NotThere) as refused:
            reason = refused.reason if isinstance(refused, Refused) else "update_missing"
            self.absent[party] = reason
            return None
        weighting = self.desk.task.federation.weighting
        weight = weight_of(weighting, reply.patients, reply.images)
        self.weights[party], self.replies[party] = weight, reply
        return Contribution(
            party=party,
            weight=weight,
            update=update,
            normaliser=reply.normaliser,
            staleness=self.invitation.round - reply.trained_in,
        )

    def _opened(self, ref: ObjectRef, folder: Path | None) -> Mapping[str, Array]:
        most = most_bytes(self.expected)
        if folder is None:
            return codec.decode(sealed.fetch(self.desk.store, ref, most), self.expected)
        path = folder / f"{ref.sha256}.safetensors"
        sealed.fetch_to_file(self.desk.store, ref, path, most)
        return codec.Lazy(codec.Tensors.from_file(path, self.expected))

    def _require_fit(self, party: str, update: Mapping[str, Array]) -> None:
        require_finite(update)
        if norm(update) > self.longest * NORM_SLACK:
            raise Refused("norm", f"the update of {party} is longer than {self.longest:g}")


def longest_update(invitation: Invitation, start: Params) -> float:
    """The L2 norm that no admitted update exceeds: as agreed, or what no training reaches."""
    if invitation.clip_norm is not None:
        return invitation.clip_norm
    return MOST_TIMES * max(norm(start), 1.0)


def shared_schema(desk: Desk, start: Params) -> Schema:
    """Names, dtypes and shapes that an update must have: the model's, less what stays home."""
    hello = desk.hello(desk.guest.party_id)
    home = set(hello.kept_home) if hello else set()
    return {name: kind for name, kind in schema(start).items() if name not in home}


def most_bytes(expected: Schema) -> int:
    """The size of an honest update: its values, and room for the header's names and offsets."""
    values = sum(np.dtype(kind).itemsize * math.prod(shape) for kind, shape in expected.values())
    return values + 4096 + sum(256 + 2 * len(name) for name in expected)
