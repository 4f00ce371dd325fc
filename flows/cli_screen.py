"""How the commands speak: lines and tables for a person, plain text where no terminal listens."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

PLAIN_WIDTH = 200


class Screen:
    """Standard output; colours and widths follow the terminal where there is one."""

    def __init__(self, console: Console | None = None) -> None:
        """Speak on `console`, by default on standard output."""
        self._console = console or _standard_output()

    def say(self, text: str = "") -> None:
        """One line, as it is."""
        self._console.print(Text(printable(text)), soft_wrap=True)

    def title(self, text: str) -> None:
        """A heading over what follows."""
        self._console.print()
        self._console.print(Text(printable(text), style="bold"), soft_wrap=True)

    def mark(self, good: bool, word: str, text: str) -> None:
        """A line that begins with a word in green or red."""
        line = Text.assemble((f"{word:<8}", "green" if good else "bold red"), printable(text))
        self._console.print(line, soft_wrap=True)

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Rows under `columns`; numbers stand to the right."""
        found = [list(row) for row in rows]
        table = Table(box=None, pad_edge=False, header_style="dim")
        for place, name in enumerate(columns):
            numbers = bool(found) and all(isinstance(row[place], int) for row in found)
            table.add_column(name, justify="right" if numbers else "left", overflow="fold")
        for row in found:
            table.add_row(*(Text(printable(str(cell))) for cell in row))
        self._console.print(table)


def printable(text: str) -> str:
    """The text without what could steer a terminal or break its encoding: names of files may."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)


def _standard_output() -> Console:
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=PLAIN_WIDTH)
