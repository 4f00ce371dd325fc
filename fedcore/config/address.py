"""Where the parties meet: an address as people write it, told apart and checked.

What travels in plain http can be read and changed on its way, so it may not leave the machine
unless somebody says that it may.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import SplitResult, urlsplit

from fedcore.errors import InputError, PartyFileError, problem

DEFAULT_BUCKET = "fedcore"
FORMS = "write host:port or http(s)://host:port/bucket (S3), or a folder that all parties see"
PLACEHOLDER = re.compile(r"<?\w+>?:<?port>?", re.IGNORECASE)
HOST_AND_PORT = re.compile(r"(\[[0-9A-Fa-f:]+\]|[A-Za-z0-9][A-Za-z0-9._-]+):(\d+)")
# What is meant as a machine and would be a strange name of a folder: 10.0.0.1, host:abc, ftp://x.
NO_FOLDER = re.compile(r"\d+(\.\d+){3}|[A-Za-z0-9.-]{2,}:.*|\[.*\].*|\s*")
PLAIN_HTTP = "FEDCORE_ALLOW_PLAIN_HTTP"
BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


@dataclass(frozen=True)
class Address:
    """Where the exchange is: a local folder, or an S3 endpoint with a bucket."""

    kind: Literal["folder", "s3"]
    location: str
    bucket: str = DEFAULT_BUCKET

    def __str__(self) -> str:
        """As a person would write it."""
        return self.location if self.kind == "folder" else f"{self.location}/{self.bucket}"


def parse_address(text: str, path: Path | str) -> Address:
    """Tell a folder from an S3 endpoint: `IP:PORT`, `http(s)://host[:port][/bucket]`, or a path.

    `path` names the file that the address stands in; `PartyFileError` says what is wrong with it.
    """
    if text.startswith(("http://", "https://")):
        return _endpoint(text, path)
    if HOST_AND_PORT.fullmatch(text):
        return _endpoint(f"http://{text}", path)
    if PLACEHOLDER.fullmatch(text):
        raise _wrong(path, text, f"this is the placeholder: {FORMS}")
    folder = text.removeprefix("file://")
    if NO_FOLDER.fullmatch(folder):
        raise _wrong(path, text, FORMS)
    return Address("folder", folder)


def is_loopback(name: str) -> bool:
    """Whether a host name or address is this machine's own, without asking anybody."""
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def require_private(url: str, environ: Mapping[str, str], where: Path | str) -> str:
    """The URL itself; `InputError` for plain http to anything but this machine.

    It is allowed where `environ` holds FEDCORE_ALLOW_PLAIN_HTTP=1. `where` names the file or
    setting that the URL stands in. For the exchange, Prefect's API and MLflow alike.
    """
    parts = _split(url)
    plain = url.lower().startswith("http://")
    if not plain or environ.get(PLAIN_HTTP) == "1" or is_loopback(_name(parts)):
        return url
    remedy = (
        "what travels by plain http can be read and changed on its way: write https:// and, for a "
        "certificate of your own, set AWS_CA_BUNDLE (exchange), PREFECT_API_SSL_CERT_FILE or "
        "MLFLOW_TRACKING_SERVER_CERT_PATH; in a network that you trust set "
        f"{PLAIN_HTTP}=1"
    )
    raise InputError(problem(where, "address", _without_user(url), remedy))


def _name(parts: SplitResult | None) -> str:
    return (parts.hostname or "") if parts else ""


def _without_user(url: str) -> str:
    return re.sub(r"//[^/@]*@", "//", url)


def _endpoint(text: str, path: Path | str) -> Address:
    parts = _split(text)
    if parts is None or not parts.hostname or parts.query or parts.fragment:
        raise _wrong(path, text, FORMS)
    if "@" in parts.netloc:
        shown = text.replace(parts.netloc.rpartition("@")[0], "...")
        raise _wrong(path, shown, "leave user and password out, the environment holds the keys")
    bucket = parts.path.strip("/") or DEFAULT_BUCKET
    if not BUCKET.fullmatch(bucket):
        rule = "name a bucket of 3 to 63 small letters, digits, dots and hyphens after the host"
        raise _wrong(path, text, rule)
    return Address("s3", f"{parts.scheme}://{parts.netloc}", bucket)


def _split(text: str) -> SplitResult | None:
    """The parts of a URL; `None` when brackets do not close or the port is none."""
    try:
        parts = urlsplit(text)
        return None if parts.port == 0 else parts
    except ValueError:
        return None


def _wrong(path: Path | str, text: str, remedy: str) -> PartyFileError:
    return PartyFileError(problem(path, "address", text, remedy))
