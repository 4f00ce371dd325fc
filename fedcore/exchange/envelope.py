"""Small signed messages: who says what, in bytes that are the same for the same content.

An envelope is canonical JSON with `payload`, `signer` (an Ed25519 public key) and `signature`.
Nothing is added to the payload, so sealing again after a restart gives the same object again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fedcore.audit.canonical import canonical, read_canonical
from fedcore.audit.signing import SigningKey, verify
from fedcore.errors import Refused
from fedcore.exchange.store import ObjectStore

MAX_ENVELOPE = 1 << 20
DOMAIN = b"fedcore envelope 1\n"
FIELDS = frozenset({"payload", "signature", "signer"})
Payload = dict[str, Any]


@dataclass(frozen=True)
class Envelope:
    """An opened envelope whose signature holds: the payload, and the public key that signed it."""

    payload: Payload
    signer: str


def seal(payload: Mapping[str, Any], key: SigningKey) -> bytes:
    """The envelope's bytes; raises `ValueError` or `TypeError` for what JSON cannot carry."""
    signature = key.sign(DOMAIN + canonical(payload))
    return canonical({"payload": payload, "signature": signature, "signer": key.public})


def unseal(body: bytes, public: str | None = None, limit: int = MAX_ENVELOPE) -> Envelope:
    """Open an envelope of at most `limit` bytes, signed by `public` (`None`: by anyone).

    Raises `Refused` with the reason `too_large`, `not_an_envelope`, `wrong_signer` or
    `bad_signature`.
    """
    if len(body) > limit:
        raise Refused("too_large", f"{len(body)} bytes, at most {limit}")
    content = _fields(body)
    payload, signer = content["payload"], content["signer"]
    if public is not None and signer != public:
        raise Refused("wrong_signer", f"{signer[:12]} instead of {public[:12]}")
    if not verify(signer, DOMAIN + canonical(payload), content["signature"]):
        raise Refused("bad_signature", f"not made by {signer[:12]}")
    return Envelope(payload, signer)


def open_envelope(body: bytes, public: str | None = None, limit: int = MAX_ENVELOPE) -> Payload:
    """`unseal`, for who wants the payload alone."""
    return unseal(body, public, limit).payload


def fetch_envelope(
    store: ObjectStore, key: str, public: str | None = None, limit: int = MAX_ENVELOPE
) -> Envelope:
    """Read and open the envelope at `key`; of an endless object no more than `limit` is read."""
    usual = min(limit, MAX_ENVELOPE)
    body = store.get_range(key, 0, usual + 1)
    if len(body) > usual < limit:  # room is taken for what is there, not for what may be
        body = store.get_range(key, 0, min(store.size(key), limit + 1))
    return unseal(body, public, limit)


def _fields(body: bytes) -> dict[str, Any]:
    content = read_canonical(body, "not_an_envelope")
    if content.keys() != FIELDS or not isinstance(content["payload"], dict):
        raise Refused("not_an_envelope", "it has other fields than payload, signature, signer")
    if not all(isinstance(content[name], str) for name in ("signature", "signer")):
        raise Refused("not_an_envelope", "signature and signer are no text")
    return content
