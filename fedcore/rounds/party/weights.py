"""Global models as they come in, and what of the model stays at home."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from fedcore.audit.durable import readable, replace_with
from fedcore.errors import Refused
from fedcore.exchange import codec
from fedcore.models.state import schema_of
from fedcore.params import Array, Params, require_finite, require_schema
from fedcore.rounds import sealed
from fedcore.rounds.messages import ObjectRef
from fedcore.rounds.party.desk import Desk


def open_model(desk: Desk, ref: ObjectRef) -> Params:
    """The referenced global model, checked against size, hash, schema and for finite values.

    Fetched once: a model that was scored after one round is where the next round starts.
    """
    expected, near = schema_of(desk.network), desk.near.model(ref.sha256)
    if near is not None:
        require_schema(near, expected)
        return near
    params = codec.views(_fetched(desk, ref), expected)
    require_finite(params)
    desk.near.keep_model(ref.sha256, params)
    return params


def with_home(desk: Desk, params: Mapping[str, Array], number: int) -> Params:
    """The model as this party uses it in round `number`: with its own kept-home part, if any.

    The newest part kept in a round before `number` counts, so a repeated round starts the same.
    """
    kept = [path for path in sorted(desk.spool.glob("home-*")) if path.name < _home_name(number)]
    if not kept:
        return dict(params)
    return {**params, **codec.decode(kept[-1].read_bytes())}


def keep_home(desk: Desk, trained: Mapping[str, Array], number: int) -> None:
    """Keep what the task file leaves at home (the norms, the head) for the next round."""
    home = {name: trained[name] for name in sorted(desk.home)}
    if home:
        replace_with(desk.spool / _home_name(number), [codec.encode(home)])


def to_score(desk: Desk, ref: ObjectRef, number: int) -> Params:
    """The model after round `number` as this party would use it."""
    try:
        return with_home(desk, open_model(desk, ref), number + 1)
    except Refused as refused:
        raise Refused(refused.reason, f"the global model of round {number}") from None


def usable_model(desk: Desk, ref: ObjectRef, number: int) -> memoryview:
    """The model after round `number` as a file that works here: with what stayed at home."""
    return codec.encode(to_score(desk, ref, number))


def _fetched(desk: Desk, ref: ObjectRef) -> bytes | memoryview:
    """The model's bytes, from the spool if they are there and whole."""
    if desk.near.shared:  # opened once for all: no file would save anything
        return sealed.fetch(desk.store, ref)
    path = desk.spool / f"model-{ref.sha256[:16]}.safetensors"
    body = _read(path) if path.exists() else b""
    if hashlib.sha256(body).hexdigest() == ref.sha256:
        return body
    sealed.fetch_to_file(desk.store, ref, path)
    _keep_newest(desk.spool, path)
    return _read(path)


def _read(path: Path) -> bytes:
    with readable(path):
        return path.read_bytes()


def _home_name(number: int) -> str:
    return f"home-{number:05d}.safetensors"


def _keep_newest(spool: Path, newest: Path, count: int = 3) -> None:
    """Bound the disk space of fetched models."""
    models = sorted(spool.glob("model-*"), key=lambda path: path.stat().st_mtime_ns)
    for path in models[:-count]:
        if path != newest:
            path.unlink(missing_ok=True)
