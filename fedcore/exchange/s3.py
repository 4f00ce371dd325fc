"""A store in an S3 bucket. The only place that knows boto3.

An object is created by a conditional write (`If-None-Match: *`), so of several writers the server
names one winner; large files go up in parts with the condition on their completion. Credentials
and pre-signed URLs never enter a message.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

from fedcore.audit import durable
from fedcore.errors import Conflict, InputError, NotAllowed, NotThere, Unreachable, problem
from fedcore.exchange.keys import require_key, require_prefix
from fedcore.exchange.s3_answers import CREDENTIALS, NO_BUCKET, BeyondTheEnd, answer, silence
from fedcore.exchange.store import require_range

MULTIPART = 32 << 20
PART = 16 << 20
REGION = "us-east-1"
Pieces = Callable[[], Iterable[bytes | memoryview]]


class S3Store:
    """An `ObjectStore` in one bucket of any S3 server that keeps conditional writes."""

    def __init__(self, endpoint: str, bucket: str, environ: Mapping[str, str]) -> None:
        """Connects on first use; `NotAllowed` when `environ` holds no credentials.

        Read from it: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, if they are there,
        AWS_SESSION_TOKEN, AWS_CA_BUNDLE, AWS_REGION.
        """
        self._bucket = bucket
        self._place = f"exchange {endpoint}/{bucket}"
        self._bucket_seen = False
        self._client = _client(endpoint, self._place, environ)

    def prepare(self) -> None:
        """Make the bucket if it is not there; quiet if it is."""
        try:
            with self._translated("the bucket"):
                self._client.head_bucket(Bucket=self._bucket)
        except NotThere:
            with self._translated("the bucket"):
                self._create_bucket()

    def put_once(self, key: str, body: bytes | memoryview) -> None:
        """See `ObjectStore`."""
        content = bytes(body)
        self._settle(
            require_key(key),
            lambda: self._put(key, content),
            len(content),
            lambda: durable.pieces_of(content),
        )

    def put_file_once(self, key: str, path: Path) -> None:
        """See `ObjectStore`."""
        with _opened(path) as file:
            size = os.fstat(file.fileno()).st_size
        write = self._put_parts if size > MULTIPART else self._put_file
        self._settle(
            require_key(key), lambda: write(key, path), size, lambda: durable.chunks_of(path)
        )

    def get(self, key: str) -> bytes:
        """See `ObjectStore`."""
        return b"".join(self._chunks(key))

    def get_range(self, key: str, start: int, length: int) -> bytes:
        """See `ObjectStore`."""
        require_range(start, length)
        if length == 0:
            self.size(key)
            return b""
        try:
            return b"".join(self._chunks(key, Range=f"bytes={start}-{start + length - 1}"))
        except BeyondTheEnd:
            return b""

    def get_to_file(self, key: str, path: Path) -> None:
        """See `ObjectStore`."""
        durable.replace_with(path, self._chunks(key))

    def size(self, key: str) -> int:
        """See `ObjectStore`."""
        require_key(key)
        try:
            with self._translated(key):
                head = self._client.head_object(Bucket=self._bucket, Key=key)
        except NotThere:
            self._require_bucket()
            raise
        return int(head["ContentLength"])

    def exists(self, key: str) -> bool:
        """See `ObjectStore`."""
        try:
            self.size(key)
        except NotThere:
            return False
        return True

    def keys(self, prefix: str = "", after: str = "") -> list[str]:
        """See `ObjectStore`."""
        require_prefix(prefix)
        found: list[str] = []
        with self._translated(prefix or "the bucket"):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=prefix, StartAfter=_bound(prefix, after)
            )
            for page in pages:
                found += [item["Key"] for item in page.get("Contents", [])]
        return sorted(key for key in found if key > after and key.startswith(prefix))

    def _settle(
        self,
        key: str,
        write: Callable[[], object],
        size: int,
        pieces: Pieces,
    ) -> None:
        """Write; when the key is taken, compare lengths first and then the bytes."""
        try:
            with self._translated(key):
                write()
        except Conflict:
            if not self._holds(key, size, pieces()):
                raise

    def _holds(self, key: str, size: int, pieces: Iterable[bytes | memoryview]) -> bool:
        try:
            same = self.size(key) == size
            return same and durable.hash_chunks(self._chunks(key)) == durable.hash_chunks(pieces)
        except NotThere:
            message = f"{self._place}: {key}: another writer is at it: try again"
            raise Unreachable(message) from None

    def _put(self, key: str, body: Any) -> None:
        self._client.put_object(Bucket=self._bucket, Key=key, Body=body, IfNoneMatch="*")

    def _put_file(self, key: str, path: Path) -> None:
        with _opened(path) as file:
            self._put(key, file)

    def _put_parts(self, key: str, path: Path) -> None:
        target: Any = {"Bucket": self._bucket, "Key": key}
        target["UploadId"] = self._client.create_multipart_upload(**target)["UploadId"]
        with contextlib.ExitStack() as undo:
            undo.callback(self._abort, target)
            parts = [
                {"PartNumber": number, "ETag": self._put_part(target, number, chunk)}
                for number, chunk in enumerate(_parts(path), start=1)
            ]
            self._client.complete_multipart_upload(
                **target, MultipartUpload={"Parts": parts}, IfNoneMatch="*"
            )
            undo.pop_all()

    def _abort(self, target: Any) -> None:
        with contextlib.suppress(BotoCoreError, ClientError):
            self._client.abort_multipart_upload(**target)

    def _put_part(self, target: Any, number: int, body: bytes) -> str:
        part = self._client.upload_part(**target, PartNumber=number, Body=body)
        return str(part["ETag"])

    def _chunks(self, key: str, **options: Any) -> Iterator[bytes]:
        require_key(key)
        with self._translated(key):
            found = self._client.get_object(Bucket=self._bucket, Key=key, **options)
            with contextlib.closing(found["Body"]) as body:
                yield from body.iter_chunks(durable.CHUNK)

    def _create_bucket(self) -> None:
        region: Any = self._client.meta.region_name
        place: Any = {"CreateBucketConfiguration": {"LocationConstraint": region}}
        try:
            self._client.create_bucket(Bucket=self._bucket, **(place if region != REGION else {}))
        except ClientError as said:
            if _code(said) not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
                raise

    def _require_bucket(self) -> None:
        """A HEAD cannot tell a missing object from a missing bucket: ask once, if allowed to."""
        if self._bucket_seen:
            return
        try:
            with contextlib.suppress(NotAllowed), self._translated("the bucket"):
                self._client.head_bucket(Bucket=self._bucket)
        except NotThere:
            raise Unreachable(f"{self._place}: {NO_BUCKET}") from None
        self._bucket_seen = True

    @contextlib.contextmanager
    def _translated(self, key: str) -> Iterator[None]:
        """Say what the server answered, or that it did not, in the exchange's own errors."""
        try:
            yield
        except ClientError as said:
            raise answer(self._place, key, _code(said), _status(said)) from said
        except ParamValidationError as odd:
            remedy = "use 3 to 63 lower-case letters, digits, - and ."
            raise InputError(problem(self._place, "bucket", self._bucket, remedy)) from odd
        except BotoCoreError as silent:
            raise silence(self._place, key, type(silent).__name__) from silent


def _client(endpoint: str, place: str, environ: Mapping[str, str]) -> Any:
    user, secret = environ.get("AWS_ACCESS_KEY_ID"), environ.get("AWS_SECRET_ACCESS_KEY")
    if not user or not secret:
        raise NotAllowed(f"{place}: no credentials: {CREDENTIALS}")
    bundle = environ.get("AWS_CA_BUNDLE")
    if bundle and not Path(bundle).is_file():
        raise InputError(problem(place, "AWS_CA_BUNDLE", bundle, "name a file of certificates"))
    try:
        return boto3.session.Session().client(
            "s3",
            endpoint_url=endpoint,
            aws_access_key_id=user,
            aws_secret_access_key=secret,
            aws_session_token=environ.get("AWS_SESSION_TOKEN"),
            region_name=environ.get("AWS_REGION", REGION),
            verify=bundle,
            config=_config(),
        )
    except (BotoCoreError, ValueError) as odd:
        remedy = "write it as http(s)://host:port/bucket"
        raise InputError(problem("exchange", "address", endpoint, remedy)) from odd


def _bound(prefix: str, after: str) -> str:
    """A key to start the listing after: somewhat before `after`, and safe with every server.

    SeaweedFS 4.48 skips by its folders' order, in which `a/b` comes before `a-b`, and takes a
    folder's own name as passed with all that is in it. So the bound ends before the first `-` or
    `.` below the prefix's folder, just under the name that is left, where both orders agree.
    """
    folder = prefix[: prefix.rfind("/") + 1]
    if not after.startswith(folder):
        return ""
    sure = folder + re.split(r"[-.]", after[len(folder) :])[0]
    parent, last = sure[:-1], sure[-1:]
    if last in ("", "/"):
        return f"{sure}!" if sure else ""
    return f"{parent}!" if last == "0" else f"{parent}{chr(ord(last) - 1)}~"


def _config() -> Config:
    # The envelopes carry hashes of their own, so the client's default checksums (three times the
    # CPU) are for servers that insist. Patience is the caller's: see `Reconnecting`.
    return Config(
        signature_version="s3v4",
        connect_timeout=5,
        read_timeout=60,
        retries={"mode": "standard", "total_max_attempts": 3},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"addressing_style": "path"},
    )


def _parts(path: Path) -> Iterator[bytes]:
    with _opened(path) as file:
        while chunk := file.read(PART):
            yield chunk


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as broken:
        remedy = "name a readable file"
        raise InputError(f"{path}: cannot be read ({broken.strerror}): {remedy}") from None


def _code(said: ClientError) -> str:
    return str(said.response.get("Error", {}).get("Code", "no code"))


def _status(said: ClientError) -> int:
    return int(said.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
