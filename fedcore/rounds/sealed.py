"""Messages and models on their way into and out of the exchange: sealed, checked, written once."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from fedcore.audit.signing import SigningKey
from fedcore.config.base import Section
from fedcore.errors import Conflict, NotThere, Refused
from fedcore.exchange.envelope import MAX_ENVELOPE, fetch_envelope, seal
from fedcore.exchange.store import ObjectStore
from fedcore.rounds.group_messages import GroupSum
from fedcore.rounds.messages import Combined, End, ObjectRef, Record
from fedcore.rounds.statistics_messages import PooledStatistics

M = TypeVar("M", bound=Section)
# What the coordinator says of every party by itself, and how large that may be: for ten thousand.
OF_ALL_PARTIES = (Combined, End, GroupSum, PooledStatistics, Record)
MAX_OF_ALL = 512 << 20
TRIES = 2
ROUND = re.compile(r"/rounds/(\d{5})/[^/]+$")


def publish(store: ObjectStore, key: str, message: Section, signer: SigningKey) -> bytes:
    """Seal and write a message; the bytes written. `Conflict` if other bytes stand there."""
    body = seal_message(message, signer)
    store.put_once(key, body)
    return body


def seal_message(message: Section, signer: SigningKey) -> bytes:
    """The message's canonical bytes, signed."""
    return seal(message.model_dump(mode="json"), signer)


def settle(store: ObjectStore, key: str, message: M, signer: SigningKey) -> M:
    """Write a decision unless one of ours stands already; the one that stands, from now on.

    A restarted coordinator, or a second one with the same key, thereby follows the first.
    """
    try:
        publish(store, key, message, signer)
    except Conflict:
        return read(store, key, type(message), signer.public)
    return message


def read(store: ObjectStore, key: str, kind: type[M], public: str | None) -> M:
    """Fetch, verify and parse a message; `Refused` when any of it fails, `NotThere` if absent.

    A message must be of the run (and round) under whose key it lies: a signature alone would also
    hold for an old message that somebody copied there.
    """
    # The coordinator wrote them, by a key that is known.
    large = kind in OF_ALL_PARTIES and public is not None
    limit = MAX_OF_ALL if large else MAX_ENVELOPE
    payload = fetch_envelope(store, key, public, limit).payload
    try:
        message = kind.model_validate(payload)
    except ValidationError:
        raise Refused("malformed", f"{key} is no {kind.__name__}") from None
    _require_place(message, key)
    return message


def _require_place(message: Section, key: str) -> None:
    """Raise `Refused` when a message lies under the key of another run or round."""
    run = getattr(message, "run", None)
    if run is not None and f"/{run}/" not in key:
        raise Refused("wrong_run", f"{key} holds a message of run {run}")
    place, number = ROUND.search(key), getattr(message, "round", None)
    if place is not None and number != int(place[1]):
        raise Refused("wrong_round", f"{key} holds a message of round {number}")


def read_if_there(store: ObjectStore, key: str, kind: type[M], public: str | None) -> M | None:
    """`read`, or `None` while nothing is there."""
    try:
        return read(store, key, kind, public)
    except NotThere:
        return None


def writer_of(store: ObjectStore, key: str) -> str:
    """The public key that signed the message at `key`; `Refused` if the signature fails."""
    return fetch_envelope(store, key).signer


def reference(key: str, body: bytes | memoryview) -> ObjectRef:
    """What a message says of a large object."""
    return ObjectRef(key=key, sha256=hashlib.sha256(body).hexdigest(), size=len(body))


def put_hashed(store: ObjectStore, ref: ObjectRef, body: memoryview) -> None:
    """Write the large object that `ref` says of what its writer has hashed just now."""
    if store.own is not None:
        store.own.put_hashed_once(ref.key, body, ref.sha256)
    else:
        store.put_once(ref.key, body)


def put_hashed_file(store: ObjectStore, ref: ObjectRef, path: Path) -> None:
    """Write the large object that `ref` says of a file that this process wrote and hashed."""
    if store.own is not None:
        store.own.put_hashed_file_once(ref.key, path, ref.sha256)
    else:
        store.put_file_once(ref.key, path)


def put_again(store: ObjectStore, ref: ObjectRef, standing: str, body: memoryview) -> None:
    """Write the large object that `ref` says, which stands at another key; `body` is the same."""
    if store.own is not None:
        store.own.put_again(ref.key, standing, body, ref.sha256)
    else:
        store.put_once(ref.key, body)


def fetch_to_file(store: ObjectStore, ref: ObjectRef, path: Path, most: int | None = None) -> None:
    """The referenced bytes as a local file, going on with what a cut left; `Refused` as `fetch`."""
    _require_size(store, ref, most)
    for _ in range(TRIES):
        if store.get_to_file(ref.key, path) == ref.sha256:
            return
        path.unlink()
    raise _wrong_hash(ref)


def fetch(store: ObjectStore, ref: ObjectRef, most: int | None = None) -> memoryview:
    """The referenced bytes; `Refused` unless size and hash are as announced.

    More than `most` bytes are refused before anything is fetched. What a line has changed on the
    way is fetched once more: whoever wrote it is not to blame for that.
    """
    _require_size(store, ref, most)
    for _ in range(TRIES):
        body, found = _hashed(store, ref.key)
        if found == ref.sha256:
            return body
    raise _wrong_hash(ref)


def _hashed(store: ObjectStore, key: str) -> tuple[memoryview, str]:
    """An object and its hash, made anew unless its writer is this process and nobody else was."""
    known = None if store.own is None else store.own.known(key)
    if known is not None:
        return known
    body = store.view(key)
    return body, hashlib.sha256(body).hexdigest()


def _require_size(store: ObjectStore, ref: ObjectRef, most: int | None) -> None:
    if most is not None and ref.size > most:
        raise Refused("too_large", f"{ref.key} announces {ref.size} bytes, at most {most} fit")
    if store.size(ref.key) != ref.size:
        raise Refused("wrong_size", f"{ref.key} is not of {ref.size} bytes")


def _wrong_hash(ref: ObjectRef) -> Refused:
    return Refused("wrong_hash", f"{ref.key} does not hash to {ref.sha256[:12]}")
