"""What an S3 server's answer means in the exchange's own errors. Knows no boto3: codes only."""

from __future__ import annotations

from fedcore.errors import Conflict, ExchangeError, NotAllowed, NotThere, Unreachable

REFUSED = frozenset({401, 403})
NO_BUCKET = "the bucket is not there (yet): the coordinator makes it, or name another one"
CREDENTIALS = (
    "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to a user who may do this in this bucket"
)


class BeyondTheEnd(ExchangeError):
    """The object is there and ends before the range that was asked for."""


def answer(place: str, key: str, code: str, status: int) -> ExchangeError:
    """The error for what the server at `place` said about `key`: S3's code and HTTP's status."""
    what = f"{place}: {key}: {code} ({status})"
    known: dict[int, ExchangeError] = {
        404: NotThere(f"{place}: {key} is not there"),
        409: Conflict(f"{place}: {key} is written already, with other bytes"),
        412: Conflict(f"{place}: {key} is written already, with other bytes"),
        416: BeyondTheEnd(what),
    }
    if code == "NoSuchBucket":
        return Unreachable(f"{place}: {NO_BUCKET}")
    if code == "RequestTimeTooSkewed":
        return NotAllowed(f"{what}: set this machine's clock")
    if status in REFUSED or code in ("InvalidAccessKeyId", "SignatureDoesNotMatch"):
        return NotAllowed(f"{what}: {CREDENTIALS}")
    return known.get(status) or Unreachable(f"{what}: see that the server is well and has room")


def silence(place: str, key: str, kind: str) -> ExchangeError:
    """The error for no usable answer at all; `kind` is the name of the client's error."""
    if kind in ("NoCredentialsError", "PartialCredentialsError"):
        return NotAllowed(f"{place}: no credentials: {CREDENTIALS}")
    if kind == "SSLError":
        remedy = "set AWS_CA_BUNDLE to the file of the authority that signed it"
        return Unreachable(f"{place}: the server's certificate is not trusted: {remedy}")
    remedy = "see that the server runs, and that address and network are right"
    return Unreachable(f"{place}: no answer for {key} ({kind}): {remedy}")
