"""How a cell of a table is written: one text for one value, and rules that a cell satisfies.

`1`, `1.0` and `01` are one value: tables of different hospitals write the same thing differently.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

COMPARED = re.compile(r"(.+?)\s*(>=|<=|==|!=|>|<)\s*([^<>=!]+)")
LISTED = re.compile(r"(.+?)\s+(not in|in)\s*[\[{(](.*)[\]})]")
RULES = "write a column, or a rule such as 'num > 0', 'num == 1' or 'state in {dead, relapsed}'"


def number_of(text: str) -> float | None:
    """The finite number that a text says; `None` for anything else."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def canonical(value: object) -> str:
    """One text for one value: trimmed, and numbers in their shortest form (`1.0` is `1`)."""
    text = str(value).strip()
    found = number_of(text)
    if found is None:
        return text
    return str(int(found)) if found.is_integer() and abs(found) < 2**53 else repr(found)


def written(value: object) -> str:
    """`canonical` for a value that stands in a task file; `ValueError` for true and false."""
    if isinstance(value, bool):
        raise ValueError("put yes, no, true and false in quotes: they are words here")
    if value is None or isinstance(value, dict | list | tuple):
        raise ValueError("write a number or a word, in quotes if it looks like something else")
    return canonical(value)


@dataclass(frozen=True)
class Rule:
    """`column operator value`, or `column in {values}`: true or false of a cell.

    Without an operator, the cell itself is meant.
    """

    column: str
    operator: str = ""
    values: tuple[str, ...] = ()

    @classmethod
    def read(cls, text: str) -> Rule:
        """Read a rule as people write it; `ValueError` for a comparison with no number."""
        if (listed := LISTED.fullmatch(text)) is not None:
            values = tuple(canonical(part.strip(" '\"")) for part in listed[3].split(","))
            if not all(values):
                raise ValueError(f"a value in the list is empty: {RULES}")
            return cls(listed[1].strip(), listed[2], values)
        if (compared := COMPARED.fullmatch(text)) is None:
            if re.search(r"[<>=!]", text) or not text.strip():
                raise ValueError(RULES)
            return cls(text.strip())
        operator, value = compared[2], canonical(compared[3].strip(" '\""))
        if operator not in ("==", "!=") and number_of(value) is None:
            raise ValueError(f"{operator} compares numbers: {RULES}")
        return cls(compared[1].strip(), operator, (value,))

    def holds(self, cell: str) -> bool | None:
        """Whether it is true of a cell; `None` where numbers are compared and the cell is none."""
        if self.operator in ("in", "==", "not in", "!="):
            return (canonical(cell) in self.values) == (self.operator in ("in", "=="))
        ours, theirs = number_of(cell), number_of(self.values[0])
        if ours is None or theirs is None:
            return None
        return {">": ours > theirs, "<": ours < theirs, ">=": ours >= theirs, "<=": ours <= theirs}[
            self.operator
        ]
