"""The tables of a comparison: medians over the repeats, and ratios within the same run."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from arms import AGAINST, DEPLOYED, Arm
from measuring import Figures

PAGE = Path(__file__).resolve().parents[3] / "docs" / "results-peers.md"
Runs = Mapping[tuple[int, Arm], Sequence[Figures]]
# A cell is made of an arm's runs and of those of each arm with the same number of parties.
Cell = Callable[[Sequence[Figures], Mapping[str, Sequence[Figures]]], str]
MISSING = "-"


def table(runs: Runs, kind: str, repeats: int) -> str:
    """All rows of one kind; failed runs are counted in the row, the others make its figures."""
    heads, cells = zip(*_columns(kind), strict=True)
    lines = [["parties", "arm", *heads], ["---"] * (len(heads) + 2)]
    for (parties, arm), found in runs.items():
        if arm.kind == kind:
            beside = {one.name: runs[parties, one] for at, one in _of_kind(runs, kind, parties)}
            row = [cell(found, beside) if found else MISSING for cell in cells]
            lines.append([str(parties), _named(arm, found, repeats), *row])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines).replace("| --- ", "|---")


def write(text: str) -> None:
    PAGE.write_text(text, "utf-8")


def machine() -> str:
    """Cores and how busy they were."""
    one, five, _ = os.getloadavg()
    return (
        f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python "
        f"{platform.python_version()}; load {one:.1f} over the last minute, {five:.1f} over five."
    )


def _columns(kind: str) -> Iterator[tuple[str, Cell]]:
    yield "s per round", _value("seconds", 2)
    yield from ((f"to {peer}", _ratio("seconds", peer)) for peer in AGAINST[kind])
    yield "lowest-highest", _span
    yield "CPU s per round", _value("processor", 2)
    yield "start, s", _value("start", 1)
    yield f"start to {AGAINST[kind][0]}", _ratio("start", AGAINST[kind][0])
    if kind == DEPLOYED:
        yield "handed in, s", _value("submitted", 1)
    yield "combining, MB", _value("combining", 0)
    yield "largest, MB", _value("largest", 0)


def _of_kind(runs: Runs, kind: str, parties: int) -> list[tuple[int, Arm]]:
    return [(at, arm) for at, arm in runs if at == parties and arm.kind == kind]


def _named(arm: Arm, found: Sequence[Figures], repeats: int) -> str:
    failed = repeats - len(found)
    return f"{arm.name} ({failed} of {repeats} runs failed)" if failed else arm.name


def _value(name: str, digits: int) -> Cell:
    def cell(found: Sequence[Figures], _: Mapping) -> str:
        middle = _median(found, name)
        return MISSING if middle is None else f"{middle:.{digits}f}"

    return cell


def _ratio(name: str, peer: str) -> Cell:
    def cell(found: Sequence[Figures], beside: Mapping[str, Sequence[Figures]]) -> str:
        mine, theirs = _median(found, name), _median(beside.get(peer, ()), name)
        return MISSING if mine is None or theirs is None else f"{mine / theirs:.2f}"

    return cell


def _span(found: Sequence[Figures], _: Mapping) -> str:
    seconds = [one.seconds for one in found]
    return f"{min(seconds):.2f}-{max(seconds):.2f}"


def _median(found: Sequence[Figures], name: str) -> float | None:
    values = [value for one in found if (value := getattr(one, name)) is not None]
    return statistics.median(values) if values else None
