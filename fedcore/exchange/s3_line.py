"""The line to an S3 server: sockets, time-outs and pace. Of boto3 it knows the transport only.

A time-out here means that nothing moved, never that a transfer took long. Bodies are given to the
socket in small blocks, each with a time-out of its own, and the kernel is told to keep little that
is unsent: with its usual buffers of megabytes a slow line looks dead for minutes, and then the
wait for the answer has to cover what is still in the buffer.
"""

from __future__ import annotations

import base64
import functools
import os
import socket
import ssl
from collections.abc import Mapping
from typing import Any

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError
from botocore.httpsession import URLLib3Session
from botocore.loaders import Loader
from botocore.utils import get_environ_proxies

from fedcore.errors import InputError, NotAllowed, problem
from fedcore.exchange.s3_answers import CREDENTIALS
from fedcore.exchange.sources import Source, md5
from fedcore.exchange.throttle import SMALL, Throttle

STALL_SECONDS = 60.0
CONNECT_SECONDS = 10.0
BLOCK = 64 << 10
UNSENT = 64 << 10
# Who waits for many parties asks for all of them at a time; what has no place here is closed.
KEPT_OPEN = 64
TYPE = "application/vnd.safetensors"
REGION = "us-east-1"


class Body:
    """A stretch of a source, read in small blocks; boto3 takes it for a file of that length."""

    def __init__(self, source: Source, start: int, length: int) -> None:
        """The bytes of `source` from `start`, `length` of them."""
        self._source, self._start, self._length = source, start, length
        self._at = 0

    def __len__(self) -> int:
        """How many bytes there are in all."""
        return self._length

    def read(self, amount: int = -1, most: int = 1 << 20) -> bytes | memoryview:
        """The next bytes, at most `amount` and at most `most` of them."""
        left = self._length - self._at
        wanted = min(left, most, amount if amount >= 0 else left)
        block = self._source.read_at(self._start + self._at, wanted)
        self._at += len(block)
        return block

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place in the stretch; the place."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._length}[whence]
        self._at = min(max(0, base + offset), self._length)
        return self._at

    def tell(self) -> int:
        """The place in the stretch."""
        return self._at


class Paced:
    """A body on its way into the socket: small blocks, no faster than the throttle lets it."""

    def __init__(self, body: Body, throttle: Throttle) -> None:
        """Give out `body`."""
        self._body, self._throttle = body, throttle

    def __len__(self) -> int:
        """How many bytes there are in all."""
        return len(self._body)

    def read(self, amount: int = -1) -> bytes | memoryview:
        """The next block, once it may pass."""
        block = self._body.read(amount, self._throttle.block(BLOCK))
        self._throttle.up(len(block))
        return block

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """See `Body`."""
        return self._body.seek(offset, whence)

    def tell(self) -> int:
        """See `Body`."""
        return self._body.tell()


class Line:
    """Sends boto3's prepared requests: bodies with patience, all else soon given up."""

    def __init__(self, endpoint: str, verify: str | bool, throttle: Throttle, stall: float) -> None:
        """`stall` is how many seconds nothing may move."""
        self._throttle = throttle
        self._quick = _session(endpoint, verify, min(CONNECT_SECONDS, stall), stall)
        self._patient = _session(endpoint, verify, stall, stall)

    def send(self, request: Any, **_: Any) -> Any:
        """Send a request that boto3 has signed; its answer. For the event `before-send.s3`."""
        if not isinstance(request.body, Body):
            return self._quick.send(request)
        request.body = Paced(request.body, self._throttle)
        return self._patient.send(request)


def connect(
    endpoint: str, place: str, environ: Mapping[str, str], throttle: Throttle, stall: float
) -> Any:
    """An S3 client over a `Line`; `NotAllowed` without credentials, `InputError` for oddities."""
    user, secret = environ.get("AWS_ACCESS_KEY_ID"), environ.get("AWS_SECRET_ACCESS_KEY")
    if not user or not secret:
        raise NotAllowed(f"{place}: no credentials: {CREDENTIALS}")
    bundle = _checked_bundle(environ.get("AWS_CA_BUNDLE"), place)
    try:
        client = plain_session().client(
            "s3",
            endpoint_url=endpoint,
            aws_access_key_id=user,
            aws_secret_access_key=secret,
            aws_session_token=environ.get("AWS_SESSION_TOKEN"),
            region_name=environ.get("AWS_REGION", REGION),
            config=_config(),
        )
        line = Line(endpoint, bundle or True, throttle, stall)
    except (BotoCoreError, ValueError) as odd:
        remedy = "write it as http(s)://host:port/bucket"
        raise InputError(problem("exchange", "address", endpoint, remedy)) from odd
    client.meta.events.register("before-send.s3", line.send)
    client.meta.events.register("before-call.s3", _named)
    client.meta.events.register_last("before-call.s3", _unannounced)
    return client


def plain_session() -> Any:
    """A boto3 session that knows what a service can do as soon as any other one of this process.

    Its answers keep times as text: reading them takes a tenth of a request.
    """
    known = botocore.session.get_session()
    known.register_component("data_loader", _descriptions())
    known.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=str)
    return boto3.session.Session(botocore_session=known)


@functools.cache
def _descriptions() -> Loader:
    """What AWS says of its services: read once, as each copy takes 5 to 12 MB."""
    return Loader()


def _named(params: dict[str, Any], **_: Any) -> None:
    """Say what a large body is.

    Of a nameless one SeaweedFS packs each stretch that begins as if it paid, and unpacks it for
    every reader: more work than all else with it, for numbers that hardly become smaller.
    """
    if isinstance(params.get("body"), Body):
        params["headers"]["Content-Type"] = TYPE


def _unannounced(params: dict[str, Any], **_: Any) -> None:
    """Send a small body with its headers, without waiting for leave first."""
    if not isinstance(params.get("body"), Body):
        params["headers"].pop("Expect", None)


def _checked_bundle(bundle: str | None, place: str) -> str | None:
    """The file of certificates to trust, if one is named; `InputError` unless it holds some."""
    try:
        if bundle:
            ssl.create_default_context(cafile=bundle)
    except OSError as odd:
        remedy = "name a file of certificates in PEM form"
        raise InputError(problem(place, "AWS_CA_BUNDLE", bundle, remedy)) from odd
    return bundle


def body_of(source: Source) -> bytes | Body:
    """What to hand to boto3 for a whole source."""
    if source.size <= SMALL:
        return bytes(source.read_at(0, source.size))
    return Body(source, 0, source.size)


def content_md5(source: Source) -> str:
    """MD5 of a whole source as the header Content-MD5 wants it."""
    return base64.b64encode(bytes.fromhex(md5(source))).decode("ascii")


def _session(endpoint: str, verify: str | bool, connect: float, read: float) -> Any:
    # urllib3 sends under the time-out for connecting, and reads under the other one. The stubs of
    # botocore know less than the class takes.
    options: Any = {"verify": verify, "timeout": (connect, read)}
    options["socket_options"] = _socket_options()
    options["max_pool_connections"] = KEPT_OPEN
    return URLLib3Session(proxies=get_environ_proxies(endpoint), **options)


def _socket_options() -> list[tuple[int, int, int]]:
    options = [
        (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    ]
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        options.append((socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT))
    return options


def _config() -> Config:
    # The envelopes carry hashes of their own, so the client's default checksums (three times the
    # CPU) are for servers that insist, and a body is not hashed for the request's signature, too.
    # Patience is the store's and `Reconnecting`'s.
    return Config(
        signature_version="s3v4",
        retries={"mode": "standard", "total_max_attempts": 1},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"addressing_style": "path", "payload_signing_enabled": False},
    )
