"""Numbers and lists as a reader wants them: `84.2 %`, `3.4 MiB`, `2 h 05 min`, `1-3, 7`."""

from __future__ import annotations

import math
from collections.abc import Iterable

UNKNOWN = "\N{EN DASH}"


def number(value: float | None, digits: int = 3) -> str:
    """A plain number; a dash where it is unknown or undefined."""
    return UNKNOWN if value is None or math.isnan(value) else f"{value:.{digits}f}"


def percent(value: float | None) -> str:
    """A share as percent with one digit; a dash where it is unknown or undefined."""
    return UNKNOWN if value is None or math.isnan(value) else f"{value:.1%}"


def size(count: int) -> str:
    """Bytes in the largest unit that leaves at least one before the point."""
    value, unit = float(count), "bytes"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{value:,.0f} {unit}" if unit == "bytes" else f"{value:,.1f} {unit}"


def duration(seconds: float) -> str:
    """Seconds below two minutes, then minutes, then hours and minutes."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02d} min"


def ranges(numbers: Iterable[int]) -> str:
    """Rounds, with neighbours drawn together: `1-3, 7`."""
    spans: list[list[int]] = []
    for value in sorted(set(numbers)):
        if spans and value == spans[-1][1] + 1:
            spans[-1][1] = value
        else:
            spans.append([value, value])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in spans)
