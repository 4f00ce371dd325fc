"""What an S3 server's answer means in the exchange's own errors. Knows no boto3: codes only."""

from __future__ import annotations

import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from fedcore.errors import Conflict, ExchangeError, NotAllowed, NotThere, Unreachable
from fedcore.exchange.store import Busy

REFUSED = frozenset({401, 403})
# S3 servers refuse what was signed by a clock that is further off.
SKEW_SECONDS = 15 * 60.0
LONGEST_REST = 600.0
NO_BUCKET = "the bucket is not there (yet): the coordinator makes it, or name another one"
CREDENTIALS = (
    "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to a user who may do this in this bucket"
)
TRUST = "set AWS_CA_BUNDLE to the file of the authority that signed it"
# What OpenSSL says of a certificate -> what is wrong, and what to do.
DISTRUST = {
    "certificate has expired": (
        "the certificate has expired: ask the coordinator for a new one, or set this clock"
    ),
    "certificate is not yet valid": "the certificate is not valid yet: set this machine's clock",
    "mismatch": "the certificate is for another name: use the address that stands in it",
    "doesn't match": "the certificate is for another name: use the address that stands in it",
    "WRONG_VERSION_NUMBER": "no TLS is spoken there: write http:// in the address, or correct it",
    "record layer failure": "no TLS is spoken there: write http:// in the address, or correct it",
    "CERTIFICATE_VERIFY_FAILED": f"the certificate is not trusted: {TRUST}",
}


class BeyondTheEnd(ExchangeError):
    """The object is there and ends before the range that was asked for."""


class UploadGone(ExchangeError):
    """The multipart upload is not known (any more): finished, aborted, or never begun."""


class TimedOut(Unreachable):
    """Nothing moved for as long as one is ready to wait; trying again at once would hide it."""


@dataclass(frozen=True)
class Answer:
    """What the server said: S3's code, HTTP's status, and two headers where it sent them."""

    code: str
    status: int
    date: str | None = None
    retry_after: str | None = None


def answer(place: str, key: str, said: Answer, now: float) -> ExchangeError:
    """The error for what the server at `place` said about `key`, at `now` by this machine."""
    what = f"{place}: {key}: {said.code} ({said.status})"
    known: dict[int, ExchangeError] = {
        404: NotThere(f"{place}: {key} is not there"),
        409: Conflict(f"{place}: {key} is written already, with other bytes"),
        412: Conflict(f"{place}: {key} is written already, with other bytes"),
        416: BeyondTheEnd(what),
    }
    if said.code == "NoSuchBucket":
        return Unreachable(f"{place}: {NO_BUCKET}")
    if said.code == "NoSuchUpload":
        return UploadGone(what)
    if said.status in REFUSED or said.code in ("InvalidAccessKeyId", "SignatureDoesNotMatch"):
        return _refusal(place, what, said, now)
    if said.status == 400 and place.startswith("exchange http://"):
        return Unreachable(f"{what}: if the server speaks https, write https:// in the address")
    if said.status in (429, 503):
        return Busy(f"{what}: the exchange is overloaded", _rest(said.retry_after))
    return known.get(said.status) or Unreachable(
        f"{what}: see that the server is well and has room"
    )


def silence(place: str, key: str, kind: str, detail: str = "") -> ExchangeError:
    """The error for no usable answer; `kind` names the client's error, `detail` is its text."""
    if kind in ("NoCredentialsError", "PartialCredentialsError"):
        return NotAllowed(f"{place}: no credentials: {CREDENTIALS}")
    if kind in ("SSLError", "ConnectionClosedError") and (distrust := _distrust(detail)):
        return TimedOut(f"{place}: {distrust}")
    if kind == "SSLError":
        return TimedOut(f"{place}: the certificate is not trusted: {TRUST}")
    remedy = "see that the server runs, and that address and network are right"
    sentence = f"{place}: no answer for {key} ({kind}): {remedy}"
    late = kind in ("ReadTimeoutError", "ConnectTimeoutError") or "timed out" in detail
    return TimedOut(sentence) if late else Unreachable(sentence)


def _refusal(place: str, what: str, said: Answer, now: float) -> ExchangeError:
    """No right; or a clock so far off that no signature holds, which can be waited out."""
    theirs = _moment(said.date)
    off = theirs is not None and abs(theirs - now) > SKEW_SECONDS
    if not off and said.code != "RequestTimeTooSkewed":
        return NotAllowed(f"{what}: {CREDENTIALS}")
    there = "another time" if theirs is None else _utc(theirs)
    return Unreachable(
        f"{place}: the clocks differ: it is {_utc(now)} here and {there} there ({said.code}): "
        "set this machine's clock, or have the exchange's set"
    )


def _distrust(detail: str) -> str:
    return next((said for sign, said in DISTRUST.items() if sign in detail), "")


def _rest(header: str | None) -> float:
    """Seconds of a Retry-After header; the form with a date is rare and counts as none."""
    return min(float(header), LONGEST_REST) if header and header.strip().isdigit() else 0.0


def _moment(header: str | None) -> float | None:
    try:
        return parsedate_to_datetime(header).timestamp() if header else None
    except ValueError:
        return None


def _utc(moment: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(moment))
