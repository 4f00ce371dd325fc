"""What a person sees while a training runs: a live table, a line per round, and sentences."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from flows.cli_screen import printable

LONGEST_SENTENCE, LONGEST_CELL = 2000, 40


@dataclass
class Row:
    """One local party as the live table shows it."""

    label: str
    phase: str = "starting"
    done: int = 0
    total: int = 0
    loss: float | None = None
    patients: str = ""


class Terminal:
    """A live table on a terminal; plain lines where there is none (a log file, CI)."""

    def __init__(self, labels: dict[str, str], console: Console | None = None) -> None:
        """`labels` maps party ids to how they are shown."""
        self.console = console or Console(highlight=False, soft_wrap=True)
        self._rows = {party: Row(label) for party, label in labels.items()}
        self._live = Live(get_renderable=self._table, console=self.console, refresh_per_second=4)
        self._lock = threading.Lock()
        self._rounds_shown = 0
        self.told: dict[str, dict[str, Any]] = {}

    def start(self) -> None:
        """Show the table where there is a terminal."""
        if self.console.is_terminal:
            self._live.start()

    def stop(self) -> None:
        """Take the table away."""
        if self.console.is_terminal:
            self._live.stop()

    def say(self, message: str) -> None:
        """A sentence above the table; what it quotes may come from elsewhere."""
        self.console.print(Text(_shown(message, LONGEST_SENTENCE)), soft_wrap=True)

    def hear(self, party: str, event: dict[str, Any]) -> None:
        """Take in one event of a party's session or of the coordinator."""
        with self._lock:
            self.told[event["event"]] = event
            handler = getattr(self, f"_on_{event['event']}", None)
            if handler is not None:
                handler(party, event)

    def _on_say(self, party: str, event: dict[str, Any]) -> None:
        label = self._rows[party].label if party in self._rows else party
        self.say(f"{label}: {event['message']}")

    def _on_progress(self, party: str, event: dict[str, Any]) -> None:
        row = self._rows[party]
        row.phase, row.done, row.total = event["phase"], event["done"], event["total"]
        row.loss = event["loss"] if event["loss"] is not None else row.loss

    def _on_data(self, party: str, event: dict[str, Any]) -> None:
        row = self._rows[party]
        row.phase, row.patients = "waiting", str(event["patients"])
        self.say(
            f"{row.label}: {event['images']} {event.get('unit', 'image')}s of "
            f"{event['patients']} patients{_quarantine(event)}"
        )
        for note in event.get("notes", []):
            self.say(f"{row.label}: {note}")

    def _on_record(self, _: str, event: dict[str, Any]) -> None:
        """A round is told by every session and by the coordinator; it is shown once."""
        number = event["record"]["round"]
        if number > self._rounds_shown:
            self._rounds_shown = number
            self.say(event["line"])

    def _table(self) -> Table:
        table = Table(box=None, pad_edge=False)
        for name in ("party", "patients", "now", "", "loss"):
            table.add_column(name)
        for row in self._rows.values():
            bar = ProgressBar(total=max(row.total, 1), completed=row.done, width=30)
            loss = "" if row.loss is None else f"{row.loss:.3f}"
            label, patients, phase = map(_cell, (row.label, row.patients, row.phase))
            table.add_row(label, patients, phase, bar, loss)
        return table


def _cell(text: str) -> Text:
    return Text(_shown(text, LONGEST_CELL))


def _shown(text: str, longest: int) -> str:
    """Without control characters, and cut to what a person reads."""
    cut = text if len(text) <= longest else text[: longest - 3] + "..."
    return printable(cut)


def _quarantine(event: dict[str, Any]) -> str:
    counts, things = event["quarantine"], "rows" if event.get("unit") == "row" else "files"
    if not counts:
        return ", nothing quarantined"
    reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(counts.items()))
    return f", {sum(counts.values())} {things} quarantined ({reasons})"
