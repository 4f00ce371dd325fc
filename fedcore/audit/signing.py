"""Who someone is: an Ed25519 key (RFC 8032) in a file that only its owner can read."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from fedcore.audit import durable
from fedcore.errors import InputError

Random = Callable[[int], bytes]
PUBLIC_KEY = re.compile(r"[0-9a-f]{64}")
SIGNATURE = re.compile(r"[0-9a-f]{128}")


@dataclass(frozen=True)
class SigningKey:
    """A private key; `public` is the part to give away, as 64 hex digits."""

    private: Ed25519PrivateKey = field(repr=False)

    @classmethod
    def generate(cls, random: Random) -> Self:
        """A key from 32 bytes of `random` (`os.urandom`, or a seeded source in a test)."""
        return cls(Ed25519PrivateKey.from_private_bytes(random(32)))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a key file; `InputError` when missing, readable by others, or no Ed25519 key."""
        try:
            mode, content = path.stat().st_mode, path.read_bytes()
        except OSError as broken:
            remedy = "give the path of a signing key"
            raise InputError(f"{path}: cannot be read ({broken.strerror}): {remedy}") from None
        if mode & 0o077:
            raise InputError(f"{path}: others can read this private key: run chmod 600 on it")
        return cls(_private_key(content, path))

    @classmethod
    def load_or_create(cls, path: Path, random: Random) -> Self:
        """The key at `path`, made first if there is none; racing processes end with one key."""
        if not path.exists():
            cls.generate(random).save(path)
        return cls.load(path)

    def save(self, path: Path) -> bool:
        """Write the key with mode 600 unless the file exists already; whether it was written."""
        pem = self.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            return durable.publish(durable.write_part(path.parent, [pem], mode=0o600), path)
        except OSError as broken:
            remedy = "choose a folder that can be written"
            raise InputError(f"{path}: cannot be written ({broken.strerror}): {remedy}") from None

    @property
    def public(self) -> str:
        """The public key as 64 lower-case hex digits."""
        return self.private.public_key().public_bytes_raw().hex()

    def sign(self, message: bytes) -> str:
        """The signature of `message` as 128 hex digits; the same message, the same signature."""
        return self.private.sign(message).hex()


def verify(public: str, message: bytes, signature: str) -> bool:
    """Whether `signature` (hex) over `message` was made with the key of `public` (hex)."""
    if not (PUBLIC_KEY.fullmatch(public) and SIGNATURE.fullmatch(signature)):
        return False
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public))
        key.verify(bytes.fromhex(signature), message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _private_key(content: bytes, path: Path) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(content, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise InputError(f"{path}: holds no Ed25519 private key in PEM form: restore it")
    return key
