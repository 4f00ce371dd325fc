"""What of a hospital's troubles its coordinator is told: their kind, never their text.

An error's text may name files and folders of the hospital. It goes to the worker's own log;
Prefect, which belongs to the coordinator, hears the kind and where the text is.
"""

from __future__ import annotations

import logging
import re
from types import TracebackType
from typing import Any, Self

from fedcore.errors import FedcoreError, Interrupted, JobRefused, Superseded

LOCAL = logging.getLogger("fedcore")
# These say nothing of data or machine: both sides are meant to read them.
OPEN = (JobRefused, Interrupted, Superseded)
HERE = "its text stays at the hospital, in the log of its worker"
KIND = re.compile(
    r"\b([A-Z][A-Za-z]*(?:Error|Refused|Broken|Mismatch|Failed|There|Allowed|Room))\b"
)


class KeptAtHome(FedcoreError):
    """A session ended by an error whose text stays at the hospital."""


class Discreet:
    """Within it, an error becomes one that may be shown; its text goes to the local log."""

    def __enter__(self) -> Self:
        """Nothing to prepare."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Raise `KeptAtHome` in place of an error that nobody wrote for the coordinator's eyes."""
        if error is None or isinstance(error, OPEN) or not isinstance(error, Exception):
            return
        LOCAL.error("the session ends: %s", error, exc_info=error)
        raise KeptAtHome(f"{type(error).__name__}: {HERE}") from None


def scrub(item: dict[str, Any]) -> dict[str, Any]:
    """An event or log line for Prefect, without the text of an error."""
    body = item["body"]
    if item["kind"] == "log":
        if body.get("level", 0) < logging.WARNING:
            return item
        return {**item, "body": {**body, "message": _kind_of(str(body.get("message")))}}
    payload, resource = dict(body.get("payload") or {}), dict(body.get("resource") or {})
    for name in ("validated_state", "initial_state"):
        if payload.get(name):
            payload[name] = _quiet(payload[name], "message")
    resource = _quiet(resource, "prefect.state-message")
    return {**item, "body": {**body, "payload": payload, "resource": resource}}


def _quiet(told: dict[str, Any], field: str) -> dict[str, Any]:
    """The same without a message's text; few states have one, and errors' are among them."""
    return {**told, field: _kind_of(told[field])} if told.get(field) else told


def _kind_of(text: str) -> str:
    found = KIND.search(text)
    return f"{found[1] if found else 'an error'}: {HERE}"
