"""From an address to a store: the one place that chooses."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fedcore.config.party import Address
from fedcore.exchange.folder import FolderStore
from fedcore.exchange.store import ObjectStore


def open_store(address: Address, environ: Mapping[str, str]) -> ObjectStore:
    """The store at `address`. Nothing is reached, made or changed yet.

    For S3, `environ` holds AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, optionally
    AWS_SESSION_TOKEN, AWS_CA_BUNDLE and AWS_REGION; `NotAllowed` without the first two.
    """
    if address.kind == "folder":
        return FolderStore(Path(address.location).expanduser())
    # boto3 takes half a second to import and is not needed with a folder.
    from fedcore.exchange.s3 import S3Store  # noqa: PLC0415

    return S3Store(address.location, address.bucket, environ)
