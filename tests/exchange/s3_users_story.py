"""A bucket of a real SeaweedFS with things of several owners, and a party's access to it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config

from fedcore.config.address import Address
from fedcore.exchange.opening import open_store
from fedcore.exchange.s3_users import Credentials, create_party_user
from fedcore.exchange.store import ObjectStore

NUMBERS = itertools.count()


@dataclass(frozen=True)
class Ground:
    """A bucket with things of the coordinator and of another party, and the party's access."""

    bucket: str
    admin: Any
    store: ObjectStore
    s3: Any
    iam: Any


def access(seaweedfs, kind: str, keys: Credentials) -> Any:
    return boto3.session.Session().client(
        kind,
        endpoint_url=seaweedfs.endpoint,
        aws_access_key_id=keys.access_key,
        aws_secret_access_key=keys.secret_key,
        region_name="us-east-1",
        config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
    )


def store_of(seaweedfs, bucket: str, keys: Credentials) -> ObjectStore:
    environ = {"AWS_ACCESS_KEY_ID": keys.access_key, "AWS_SECRET_ACCESS_KEY": keys.secret_key}
    return open_store(Address("s3", seaweedfs.endpoint, bucket), environ)


def user(seaweedfs, bucket: str, party: str, runs: Sequence[str] = ()) -> Credentials:
    return create_party_user(seaweedfs.endpoint, seaweedfs.environ, bucket, party, runs)


def make_ground(seaweedfs) -> Ground:
    """A bucket of its own, with the party `a` in it, a member of run `r`."""
    bucket = f"users-{next(NUMBERS)}"
    root = Credentials(seaweedfs.access_key, seaweedfs.secret_key)
    store_of(seaweedfs, bucket, root).prepare()
    admin = access(seaweedfs, "s3", root)
    for key in (
        "coordinator/r/a",
        "coordinator/r2/x",
        "parties/b/r/x",
        "parties/ab/r/x",
        "elsewhere/x",
        "x",
    ):
        admin.put_object(Bucket=bucket, Key=key, Body=b"not yours")
    keys = user(seaweedfs, bucket, "a", ["r"])
    return Ground(
        bucket,
        admin,
        store_of(seaweedfs, bucket, keys),
        access(seaweedfs, "s3", keys),
        access(seaweedfs, "iam", keys),
    )
