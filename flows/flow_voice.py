"""The voice of a deployed flow: Prefect's page and the worker's log, instead of a terminal."""

from __future__ import annotations

import logging
import threading
from typing import Any

from prefect.exceptions import MissingContextError
from prefect.logging import get_run_logger

from fedcore.errors import Interrupted
from tasks.voices import Voice

# Set when the worker asks this process to come to an end.
STOPPED = threading.Event()
LOCAL = logging.getLogger("fedcore")
LOCAL.setLevel(logging.INFO)  # Prefect sets the root logger to WARNING when a flow begins


class FlowVoice(Voice):
    """Patient: nobody sits in front of it. `open_words`: sentences may go to Prefect's page."""

    patient = True

    def __init__(self, stopped: threading.Event, *, open_words: bool) -> None:
        """End all waits when `stopped` is set."""
        self._stopped, self._open = stopped, open_words

    def say(self, message: str) -> None:
        """A sentence for whoever looks at the flow run, or only for the hospital's own log."""
        _logger(self._open).info(message)

    def tell(self, event: str, **details: Any) -> None:
        """A recorded round is shown as its line; the rest is for terminals."""
        if event == "record":
            _logger(True).info(details["line"])

    def pause(self, seconds: float) -> None:
        """Sleep, unless the flow run was cancelled."""
        if self._stopped.wait(seconds):
            raise Interrupted("the flow run was stopped; a new one of the same run goes on with it")


def _logger(on_the_page: bool) -> Any:
    """The flow run's or task run's own logger where there is one."""
    try:
        return get_run_logger() if on_the_page else LOCAL
    except MissingContextError:
        return LOCAL
