"""Calls to one S3 bucket: each asked, tried again after a quick failure, and answered in words.

What boto3 raises ends here. `S3Store` says what an object store promises in these calls.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError
from urllib3.exceptions import HTTPError

from fedcore.errors import ExchangeError, InputError, NotThere, Unreachable, problem
from fedcore.exchange.s3_answers import Answer, TimedOut, answer, silence
from fedcore.exchange.s3_line import REGION, Body, body_of, content_md5
from fedcore.exchange.s3_parts import Part, Stored
from fedcore.exchange.sources import Source
from fedcore.exchange.steady import LONGEST_PAUSE, TRIES, Changed, Opened, rest_after
from fedcore.exchange.throttle import Throttle

# Smaller than what an allocator with a threshold of 1 MiB (the coordinator's) maps anew each time.
CHUNK = 512 << 10
T = TypeVar("T")


class S3Calls:
    """One bucket through one client; raises the exchange's errors only."""

    def __init__(
        self,
        client: Any,
        bucket: str,
        place: str,
        throttle: Throttle,
        *,
        pause: Callable[[float], None],
        wall: Callable[[], float],
    ) -> None:
        """`pause` waits before another try; `wall` is this machine's time, seconds since 1970."""
        self._client, self._bucket, self._place = client, bucket, place
        self._throttle, self._pause, self._wall = throttle, pause, wall

    def ask(self, call: str, key: str, **options: Any) -> Any:
        """What the client's method `call` answers for an object."""
        return self._tried(key, lambda: self._call(call, Key=key, **options))

    def head_bucket(self) -> None:
        """`NotThere` unless the bucket is there."""
        self._tried("the bucket", lambda: self._call("head_bucket"))

    def create_bucket(self) -> None:
        """Make the bucket; quiet when somebody did so meanwhile."""
        self._tried("the bucket", self._create_bucket)

    def pages(self, prefix: str, after: str) -> list[str]:
        """All keys with the prefix, as the server lists them after the bound `after`."""
        return self._tried(prefix or "the bucket", lambda: self._pages(prefix, after))

    def put(self, key: str, source: Source) -> None:
        """Create an object unless it is there (`Conflict`).

        Its MD5 goes ahead of it: without one, SeaweedFS keeps an empty object, for good, when the
        sender dies between the headers and the first byte.
        """
        self._throttle.await_window(key, source.size)
        told = content_md5(source)
        self.ask("put_object", key, Body=body_of(source), ContentMD5=told, IfNoneMatch="*")

    def replace(self, key: str, source: Source) -> None:
        """Write a small object over the one that is there."""
        told = content_md5(source)
        self.ask("put_object", key, Body=body_of(source), ContentMD5=told)

    def head(self, key: str) -> tuple[int, str]:
        """An object's size and tag."""
        found = self.ask("head_object", key)
        return int(self._told(found, "ContentLength")), str(found.get("ETag", ""))

    def open(self, key: str, start: int, end: int | None = None, etag: str | None = None) -> Opened:
        """An object from byte `start` on (up to `end`, which is out); one try."""
        last = "" if end is None else str(end - 1)
        place = {"Range": f"bytes={start}-{last}"} if start or end is not None else {}
        with self._translated(key):
            found = self._call("get_object", Key=key, **place)
        tag = str(found.get("ETag", ""))
        size = start + int(self._told(found, "ContentLength"))
        if etag is not None and tag != etag:
            found["Body"].close()
            raise Changed(f"{self._place}: {key} is not what it was when its reading began")
        return Opened(tag, size, self._chunks(key, found["Body"]))

    def stands(self, key: str) -> bool:
        """See `s3_parts.Bucket`."""
        try:
            self.head(key)
        except NotThere:
            return False
        return True

    def begin(self, key: str, *, patient: bool) -> str:
        """See `s3_parts.Bucket`."""
        asking = self.ask if patient else self._once
        return str(asking("create_multipart_upload", key)["UploadId"])

    def open_uploads(self, key: str) -> list[str]:
        """See `s3_parts.Bucket`."""
        uploads = [one for one in self._uploads(key) if one.get("Key") == key]
        return [str(one["UploadId"]) for one in sorted(uploads, key=_begun)]

    def begun_before(self, moment: float) -> list[tuple[str, str]]:
        """See `s3_parts.Bucket`."""
        found = [one for one in self._uploads("") if _begun(one) < moment]
        return [(str(one["Key"]), str(one["UploadId"])) for one in found]

    def stored_parts(self, key: str, upload: str) -> dict[int, Stored]:
        """See `s3_parts.Bucket`."""
        stored: dict[int, Stored] = {}
        marker = 0
        while True:
            page = self.ask("list_parts", key, UploadId=upload, PartNumberMarker=marker)
            for one in page.get("Parts", []):
                stored[int(one["PartNumber"])] = Stored(str(one["ETag"]), int(one["Size"]))
            if not page.get("IsTruncated"):
                return stored
            marker = int(page["NextPartNumberMarker"])

    def send_part(self, key: str, upload: str, source: Source, part: Part) -> str:
        """See `s3_parts.Bucket`."""
        self._throttle.await_window(key, part.length)
        body = Body(source, part.start, part.length)
        options = {"UploadId": upload, "PartNumber": part.number, "Body": body}
        return str(self.ask("upload_part", key, **options)["ETag"])

    def complete(self, key: str, upload: str, tags: Mapping[int, str]) -> None:
        """See `s3_parts.Bucket`."""
        parts = [{"PartNumber": number, "ETag": tag} for number, tag in tags.items()]
        options = {"UploadId": upload, "MultipartUpload": {"Parts": parts}, "IfNoneMatch": "*"}
        self.ask("complete_multipart_upload", key, **options)

    def abort(self, key: str, upload: str) -> None:
        """See `s3_parts.Bucket`."""
        self._once("abort_multipart_upload", key, UploadId=upload)

    def _once(self, call: str, key: str, **options: Any) -> Any:
        with self._translated(key):
            return self._call(call, Key=key, **options)

    def _call(self, call: str, **options: Any) -> Any:
        if isinstance(options.get("Body"), Body):
            options["Body"].seek(0)  # an earlier try has read from it
        return getattr(self._client, call)(Bucket=self._bucket, **options)

    def _create_bucket(self) -> None:
        region = self._client.meta.region_name
        place = {"CreateBucketConfiguration": {"LocationConstraint": region}}
        try:
            self._call("create_bucket", **(place if region != REGION else {}))
        except ClientError as said:
            if said.response["Error"]["Code"] not in (
                "BucketAlreadyOwnedByYou",
                "BucketAlreadyExists",
            ):
                raise

    def _pages(self, prefix: str, after: str) -> list[str]:
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=prefix, StartAfter=after
        )
        found: list[str] = []
        for page in pages:
            self._told(page, "Name")
            found += [item["Key"] for item in page.get("Contents", [])]
        return found

    def _uploads(self, prefix: str) -> list[Mapping[str, Any]]:
        pages = self._client.get_paginator("list_multipart_uploads")
        asking = {"Bucket": self._bucket, "Prefix": prefix}
        return self._tried(
            prefix or "the bucket",
            lambda: [one for page in pages.paginate(**asking) for one in page.get("Uploads", [])],
        )

    def _told(self, found: Mapping[str, Any], name: str) -> Any:
        """A field that every S3 server sends, and no error page of something in between."""
        if name not in found:
            remedy = "see what stands between this machine and the exchange"
            raise Unreachable(f"{self._place}: an answer that no S3 server gives: {remedy}")
        return found[name]

    def _chunks(self, key: str, body: Any) -> Iterator[bytes]:
        with self._translated(key), contextlib.closing(body):
            for chunk in body.iter_chunks(self._throttle.block(CHUNK)):
                self._throttle.down(len(chunk))
                yield chunk

    def _tried(self, key: str, act: Callable[[], T]) -> T:
        """Act, and again after a quick failure; a long silence or rest is for the caller."""
        tried = 0
        while True:
            try:
                with self._translated(key):
                    return act()
            except TimedOut:
                raise
            except Unreachable as failed:
                tried += 1
                rest = rest_after(failed, tried)
                if tried == TRIES or rest > LONGEST_PAUSE:
                    raise
            self._pause(rest)

    @contextlib.contextmanager
    def _translated(self, key: str) -> Iterator[None]:
        """Say what the server answered, or that it did not, in the exchange's own errors."""
        try:
            yield
        except ClientError as said:
            raise self._answer(key, said) from said
        except ParamValidationError as odd:
            remedy = "use 3 to 63 lower-case letters, digits, - and ."
            raise InputError(problem(self._place, "bucket", self._bucket, remedy)) from odd
        except BotoCoreError as silent:
            # The sentence of some errors leaves out what they were made from.
            detail = f"{silent} {silent.kwargs.get('error')!r}"
            raise silence(self._place, key, type(silent).__name__, detail) from silent
        except HTTPError as broken:  # an error's own text that breaks off: boto3 lets it through
            raise silence(self._place, key, type(broken).__name__, str(broken)) from broken

    def _answer(self, key: str, said: ClientError) -> ExchangeError:
        meta: Mapping[str, Any] = said.response.get("ResponseMetadata", {})
        headers: Mapping[str, str] = meta.get("HTTPHeaders", {})
        code = str(said.response.get("Error", {}).get("Code", "no code"))
        status = int(meta.get("HTTPStatusCode", 0))
        heard = Answer(code, status, headers.get("date"), headers.get("retry-after"))
        return answer(self._place, key, heard, self._wall())


def _begun(upload: Mapping[str, Any]) -> float:
    """When, in seconds since 1970; what says nothing that can be read counts as new."""
    try:
        return datetime.fromisoformat(str(upload.get("Initiated"))).timestamp()
    except ValueError:
        return float("inf")
