"""What a person sees while a comparison runs: a line per training, and where it stands."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from rich.console import Console

from fedcore.errors import amount
from flows.cli_screen import Screen, printable
from tasks.voices import Voice


class ComparisonVoice(Voice):
    """Speaks on `screen`; on a terminal a line below it says what is under way."""

    def __init__(self, screen: Screen, wanted: int, done: int) -> None:
        """Count `done` of `wanted` trainings upwards."""
        self._screen, self._wanted, self._done = screen, wanted, done
        console = Console()
        self._status = console.status("starting") if console.is_terminal else None
        self._label = ""
        self.uri: str | None = None

    def shown(self) -> AbstractContextManager[object]:
        """Within it, what is under way is shown."""
        return self._status or nullcontext()

    def say(self, message: str) -> None:
        """A sentence."""
        self._screen.say(message)

    def tell(self, event: str, **details: Any) -> None:
        """What happens: data that is read, a training that begins, comes on, and ends."""
        handler = getattr(self, f"_on_{event}", None)
        if handler is not None:
            handler(details)

    def _on_reading(self, told: dict[str, Any]) -> None:
        self._show(f"{told['party']}: {told['done']} of {told['total']} files read")

    def _on_data(self, told: dict[str, Any]) -> None:
        things = amount(told["set_aside"], "row" if told["unit"] == "row" else "file")
        aside = f", {things} set aside" if told["set_aside"] else ""
        test = f", {told['test_images']} of them for the test" if told["test_images"] else ""
        self.say(
            f"{told['party']}: {amount(told['images'], told['unit'])} of "
            f"{amount(told['patients'], 'patient')}{test}{aside}"
        )

    def _on_cell(self, told: dict[str, Any]) -> None:
        self._label = told["label"]
        self._show(self._label)

    def _on_round(self, told: dict[str, Any]) -> None:
        self._show(f"{self._label}: round {told['round']} is done")

    def _on_cell_done(self, told: dict[str, Any]) -> None:
        self._done += 1
        line = f"{self._done} of {self._wanted}: {told['label']}: {told['result']}"
        self.say(f"{line} ({told['seconds']:.1f} s of rounds)")

    def _on_tracked(self, told: dict[str, Any]) -> None:
        self.uri = told["uri"]

    def _show(self, text: str) -> None:
        if self._status:
            self._status.update(printable(text))
