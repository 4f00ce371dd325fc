"""From an update to the arrays that leave: clipped and packed; what is left out is kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fedcore.audit.durable import replace_with
from fedcore.exchange import codec, packing
from fedcore.params import Array, Params, add, clip, norm, scale, schema, subtract
from fedcore.rounds.messages import Invitation
from fedcore.rounds.party.desk import Desk

# Rounding to bfloat16 makes a number longer by at most this share.
GROWTH = 2.0**-8
# What the rounding of one float32 multiplication may add.
ROUNDING = 1e-6


@dataclass(frozen=True)
class Packed:
    """`arrays` leave; `rest` is what `topk` did not send, for the party's next update."""

    arrays: Params
    rest: Params = field(default_factory=dict)


def pack(desk: Desk, asked: Invitation, update: Mapping[str, Array]) -> Packed:
    """The update as the task file's codec writes it, never longer than `clip_norm`.

    The same update to the same invitation always gives the same arrays.
    """
    name, share = desk.task.update.codec, desk.task.update.share
    whole = _with_rest(desk, update, asked.round) if name == "topk" else update
    limit = asked.clip_norm
    room = None if limit is None else limit / (1 + GROWTH) if name == "bfloat16" else limit
    whole = clip(whole, room)
    arrays = packing.pack(whole, name, share, _seed(desk, asked))
    if name == "float32" or (name != "topk" and limit is None):
        return Packed(arrays)
    seen = dict(packing.Unpacked(arrays, name, schema(whole)))
    if limit is not None and norm(seen) > limit:
        # Of int8 all floating arrays are factors of what is seen: the scales, and what is plain.
        arrays = scale(arrays, limit / norm(seen) * (1 - ROUNDING))
    return Packed(arrays, _rest(whole, seen) if name == "topk" else {})


def keep(desk: Desk, packed: Packed, number: int) -> None:
    """Keep what round `number` left out, and the one before in case the round is repeated."""
    if desk.task.update.codec != "topk":
        return
    replace_with(desk.spool / _name(number), [codec.encode(packed.rest)])
    for path in _earlier(desk, number)[:-1]:
        path.unlink(missing_ok=True)


def _with_rest(desk: Desk, update: Mapping[str, Array], number: int) -> Params:
    """The update and what the newest round before `number` left out of its own."""
    earlier = _earlier(desk, number)
    if not earlier:
        return dict(update)
    rest = codec.decode(earlier[-1].read_bytes())
    return {**update, **add({name: update[name] for name in rest}, rest)}


def _rest(whole: Mapping[str, Array], seen: Mapping[str, Array]) -> Params:
    names = [name for name, array in whole.items() if packing.is_packed(name, array)]
    return subtract({name: whole[name] for name in names}, {name: seen[name] for name in names})


def _seed(desk: Desk, asked: Invitation) -> int:
    """Another one for each party, round and model."""
    return packing.seed_of(desk.task.seed, desk.party, asked.round, asked.weights.sha256)


def _earlier(desk: Desk, number: int) -> list[Path]:
    return [path for path in sorted(desk.spool.glob("rest-*")) if path.name < _name(number)]


def _name(number: int) -> str:
    return f"rest-{number:05d}.safetensors"
