"""From an address to a store: the one place that chooses."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fedcore.config.address import Address, require_private
from fedcore.exchange.folder import FolderStore
from fedcore.exchange.store import ObjectStore
from fedcore.exchange.throttle import Throttle


def open_store(
    address: Address, environ: Mapping[str, str], throttle: Throttle | None = None
) -> ObjectStore:
    """The store at `address`. Nothing is reached, made or changed yet.

    For S3, `environ` holds AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, optionally
    AWS_SESSION_TOKEN, AWS_CA_BUNDLE and AWS_REGION; `NotAllowed` without the first two, and
    `InputError` for plain http beyond this machine (see `require_private`). `throttle` says how
    fast, and large objects at which hours, may travel; by default as they like.
    """
    if address.kind == "folder":
        return FolderStore(Path(address.location).expanduser(), throttle=throttle)
    require_private(address.location, environ, "exchange")
    # boto3 takes half a second to import and is not needed with a folder.
    from fedcore.exchange.s3 import S3Store  # noqa: PLC0415

    return S3Store(address.location, address.bucket, environ, throttle)
