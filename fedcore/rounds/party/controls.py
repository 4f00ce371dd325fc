"""SCAFFOLD's half at the party: its own control variate, which never leaves the spool.

What leaves is how the control changes in a round, beside the update. The party's control and the
coordinator's must tell one story: so a round's change counts at the party, too, only once the
coordinator has combined the update that it came with. What was lost, refused or cut off leaves the
control where it was, and a round that is repeated starts from the same one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from fedcore.audit.durable import hash_file, replace_with
from fedcore.errors import RunMismatch
from fedcore.exchange import codec, keys
from fedcore.params import (
    CONTROL,
    Array,
    Params,
    add,
    learned,
    part,
    require_finite,
    require_schema,
    schema,
    select,
    subtract,
)
from fedcore.rounds import sealed
from fedcore.rounds.messages import Combined, Invitation, ObjectRef
from fedcore.rounds.party.desk import Desk
from fedcore.rounds.party.standardising import standardised
from fedcore.training.gradient import mean_gradient
from fedcore.training.local import TrainResult
from fedcore.training.normaliser import normaliser
from fedcore.training.plan import plan_for


@dataclass(frozen=True)
class Controls:
    """The coordinator's control c and the party's own c_i as a round begins, by parameter name.

    Without scaffold neither names anything. `kept` is the file that c_i was read from.
    """

    common: Params = field(default_factory=dict)
    own: Params = field(default_factory=dict)
    kept: Path | None = None
    first: bool = True

    @property
    def offsets(self) -> Params:
        """The c - c_i that goes to every gradient; nothing before there is a common control."""
        return {} if self.first else subtract(self.common, self.own)


def take_up(desk: Desk, asked: Invitation, start: Mapping[str, Array]) -> Controls:
    """The controls as the round of `asked` begins, at zero where nothing was said yet.

    Raises `Refused` for a common control of other names or shapes, `RunMismatch` when the party's
    own has gone from the spool.
    """
    if desk.task.federation.strategy != "scaffold":
        return Controls()
    shared = desk.shared
    zeros: Params = {
        name: np.zeros_like(array) for name, array in learned(select(start, shared)).items()
    }
    if asked.memory is None:
        return Controls(zeros, zeros)
    common = _common(desk, asked.memory)
    require_schema(common, schema(zeros))
    require_finite(common)
    kept = _kept(desk, asked.round)
    own = codec.decode(kept.read_bytes(), schema(zeros)) if kept is not None else zeros
    return Controls(common, own, kept, first=False)


def turn(desk: Desk, held: Controls, start: Params, result: TrainResult) -> Params:
    """How the party's control changes by what was trained from `start`.

    Karimireddy et al. 2020, algorithm 1, line 12. Option I: c_i becomes the gradient of the
    party's loss at `start`. Option II: c_i becomes c_i - c + (start - trained) / (K lr), the mean
    of the gradients that made the update; with a course of learning rates or momentum K is
    FedNova's normaliser, by which that stays true.
    """
    if not held.own:
        return {}
    if desk.task.federation.control == "option_1":
        rows = standardised(desk, desk.cohort.train)
        found = mean_gradient(desk.network, start, rows, desk.task)
        return subtract({**_zeros(held.own), **select(found, held.own.keys() & found)}, held.own)
    plan = plan_for(desk.task)
    span = plan.lr * normaliser(plan, result.rates)
    return {
        name: _mean_less(start[name], result.params[name], span, common)
        for name, common in held.common.items()
    }


def keep(desk: Desk, held: Controls, turned: Params, number: int, sha256: str) -> None:
    """Keep the control as it will be once the update that hashes to `sha256` has been combined."""
    if not held.own:
        return
    path = desk.spool / f"control-{number:05d}-{sha256}.safetensors"
    replace_with(path, [codec.encode(add(held.own, turned))])
    for other in desk.spool.glob("control-*.safetensors"):
        if other not in (path, held.kept):
            other.unlink(missing_ok=True)


def _common(desk: Desk, ref: ObjectRef) -> Params:
    """What the coordinator remembers, fetched once, also if this process ends in between."""
    path = desk.spool / f"memory-{ref.sha256[:16]}.safetensors"
    if not path.exists() or hash_file(path) != ref.sha256:
        sealed.fetch_to_file(desk.store, ref, path)
    for other in desk.spool.glob("memory-*.safetensors"):
        if other != path:
            other.unlink(missing_ok=True)
    return part(codec.decode(path.read_bytes()), CONTROL)


def _kept(desk: Desk, number: int) -> Path | None:
    """The control after the newest round before `number` that has combined an update of ours."""
    public = desk.coordinator_key()
    for one in range(number - 1, 0, -1):
        combined = sealed.read_if_there(desk.store, keys.combined(desk.run, one), Combined, public)
        sha256 = combined.updates.get(desk.party) if combined is not None else None
        if sha256 is not None:
            return _file_of(desk, sha256)
    return None


def _file_of(desk: Desk, sha256: str) -> Path:
    for path in desk.spool.glob(f"control-*-{sha256}.safetensors"):
        return path
    raise RunMismatch(
        f"{desk.member.label}: the control variate that belongs to run {desk.run} is not in "
        "this party's spool any more: put its folder back, or start a new training with --run NAME "
        "at every party"
    )


def _zeros(params: Params) -> Params:
    return {name: np.zeros_like(array) for name, array in params.items()}


def _mean_less(start: Array, trained: Array, span: float, common: Array) -> Array:
    """(start - trained) / span - common, reckoned in float64."""
    way = start.astype(np.float64) - trained.astype(np.float64)
    return np.asarray(way / span - common.astype(np.float64), dtype=common.dtype)
