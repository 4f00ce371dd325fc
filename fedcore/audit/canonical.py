"""One form of JSON: the same content always gives the same bytes, so bytes can be signed.

Keys sorted, no spaces, UTF-8, no NaN and no infinity. Reading accepts exactly what writing makes:
whatever differs by a byte from its own canonical form is refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from fedcore.errors import Refused


def canonical(content: Mapping[str, Any]) -> bytes:
    """The canonical bytes of `content`.

    Raises `ValueError` for NaN, infinity and text that UTF-8 cannot hold, `TypeError` for what
    JSON has no form for.
    """
    text = json.dumps(
        content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return text.encode("utf-8")


def read_canonical(body: bytes, reason: str) -> dict[str, Any]:
    """The inverse of `canonical`; anything else raises `Refused` with `reason`.

    Deep nesting, doubled keys, other spellings of the same number and endless numbers are among
    what is refused. The caller bounds the length of `body`.
    """
    content = _parsed(body, reason)
    if not isinstance(content, dict):
        raise Refused(reason, "the JSON is no object")
    try:
        same = canonical(content) == body
    except (ValueError, TypeError, RecursionError):
        same = False
    if not same:
        raise Refused(reason, "the JSON is not in its canonical form")
    return content


def _parsed(body: bytes, reason: str) -> object:
    try:
        return json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError) as broken:
        raise Refused(reason, f"no JSON ({type(broken).__name__})") from None
