"""Global models as they come in, and what of the model stays at home."""

from __future__ import annotations

import hashlib
import mmap
import os
from collections.abc import Mapping
from pathlib import Path

from fedcore.audit.durable import readable, replace_and_hash, replace_with
from fedcore.errors import NotThere, Refused
from fedcore.exchange import codec
from fedcore.exchange.model_step import after_step
from fedcore.params import Array, Params, Schema, require_finite, require_schema
from fedcore.rounds import sealed
from fedcore.rounds.messages import Combined, ModelStep, ObjectRef
from fedcore.rounds.party.desk import Desk


def open_model(desk: Desk, ref: ObjectRef, step: ModelStep | None = None) -> Params:
    """The referenced global model, checked against size, hash, schema and for finite values.

    Fetched once: a model that was scored after one round is where the next round starts. Where a
    `step` leads to it from a model that is here, the step alone is fetched.
    """
    expected, near = desk.schema, desk.near.model(ref.sha256)
    if near is not None:
        require_schema(near, expected)
        return near
    body: bytes | memoryview | None = _spooled(desk, ref.sha256)
    if body is None and step is not None:
        body = _stepped(desk, ref, step, expected)
    params = codec.views(_fetched(desk, ref) if body is None else body, expected)
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


def after_round(desk: Desk, combined: Combined) -> Params:
    """The model that a round made as this party would use it."""
    return to_score(desk, combined.model, combined.round, combined.step)


def to_score(desk: Desk, ref: ObjectRef, number: int, step: ModelStep | None = None) -> Params:
    """The model after round `number` as this party would use it."""
    try:
        return with_home(desk, open_model(desk, ref, step), number + 1)
    except Refused as refused:
        raise Refused(refused.reason, f"the global model of round {number}") from None


def usable_model(desk: Desk, ref: ObjectRef, number: int) -> memoryview:
    """The model after round `number` as a file that works here: with what stayed at home."""
    return codec.encode(to_score(desk, ref, number))


def _fetched(desk: Desk, ref: ObjectRef) -> bytes | memoryview:
    """The whole model's bytes, kept in the spool, too."""
    if desk.near.shared:  # opened once for all: no file would save anything
        return sealed.fetch(desk.store, ref)
    path = _place(desk, ref.sha256)
    sealed.fetch_to_file(desk.store, ref, path)
    _keep_newest(desk.spool, path)
    return _read(path)


def _stepped(desk: Desk, ref: ObjectRef, step: ModelStep, expected: Schema) -> memoryview | None:
    """The bytes of the model that the step leads to, hashed as the whole's are.

    `None` where only the whole will do: the model that the step leads from is not here, the step
    is refused or gone, or what comes of it is not the model.
    """
    base = _held(desk, step.base, expected)
    if base is None:
        return None
    try:
        packed = codec.Tensors.from_bytes(_fetched_step(desk, step))
        body = codec.encode(after_step(base, packed, desk.task.update.codec, expected))
        _keep(desk, ref, body)
    except (Refused, NotThere) as refused:
        reason = refused.reason if isinstance(refused, Refused) else "not_there"
        desk.watch.say(f"the step to the model is no use ({reason}): the whole model is fetched")
        return None
    return body


def _held(desk: Desk, sha256: str, expected: Schema) -> Params | None:
    """The model of that hash if it is here: in memory, or in the spool."""
    near = desk.near.model(sha256)
    if near is not None:
        return near
    body = _spooled(desk, sha256)
    return None if body is None else codec.views(body, expected)


def _fetched_step(desk: Desk, step: ModelStep) -> bytes | memoryview:
    """Its bytes; by way of a file, where a cut transfer is to go on."""
    if desk.near.shared:
        return sealed.fetch(desk.store, step)
    path = desk.spool / f"step-{step.sha256[:16]}.safetensors"
    sealed.fetch_to_file(desk.store, step, path)
    body = _read(path)
    for old in desk.spool.glob("step-*"):
        old.unlink()
    return body


def _keep(desk: Desk, ref: ObjectRef, body: memoryview) -> None:
    """Put a model's bytes into the spool; `Refused` unless they are the referenced ones."""
    path = _place(desk, ref.sha256)
    if desk.near.shared:
        found = hashlib.sha256(body).hexdigest()
    else:
        found = replace_and_hash(path, body)
        _keep_newest(desk.spool, path)
    if found != ref.sha256:
        path.unlink(missing_ok=True)
        raise Refused("wrong_hash", f"what the step to {ref.key} leads to")


def _spooled(desk: Desk, sha256: str) -> bytes | memoryview | None:
    """The bytes of a model from the spool, if they are there and whole."""
    path = _place(desk, sha256)
    body = _read(path) if not desk.near.shared and path.exists() else b""
    return body if hashlib.sha256(body).hexdigest() == sha256 else None


def _place(desk: Desk, sha256: str) -> Path:
    return desk.spool / f"model-{sha256[:16]}.safetensors"


def _read(path: Path) -> bytes | memoryview:
    """A file of the spool as the system holds it, without a copy: such a file is never changed."""
    with readable(path), path.open("rb") as file:
        if not os.fstat(file.fileno()).st_size:
            return b""
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def _home_name(number: int) -> str:
    return f"home-{number:05d}.safetensors"


def _keep_newest(spool: Path, newest: Path, count: int = 3) -> None:
    """Bound the disk space of fetched models."""
    models = sorted(spool.glob("model-*"), key=lambda path: path.stat().st_mtime_ns)
    for path in models[:-count]:
        if path != newest:
            path.unlink(missing_ok=True)
