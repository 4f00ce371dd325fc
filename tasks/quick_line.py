"""A line to Prefect for questions that may go unanswered: opened once, each question tried once.

To open a client, or to make Prefect's settings anew for each question, costs more than a question.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.context import SettingsContext, get_settings_context
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, Settings


class QuickLine:
    """Asks the API that the settings name when it is asked."""

    def __init__(self, patience: float) -> None:
        """An answer may take `patience` seconds; nothing is opened yet."""
        self._patience = patience
        self._opened: tuple[str, Settings, SyncPrefectClient] | None = None

    @contextmanager
    def open(self) -> Iterator[SyncPrefectClient]:
        """The client; inside, what fails is not tried again."""
        url, around = str(PREFECT_API_URL.value()), get_settings_context()
        if self._opened is None or self._opened[0] != url:
            once = around.settings.copy_with_update(updates={PREFECT_CLIENT_MAX_RETRIES: 0})
            client = get_client(sync_client=True, httpx_settings={"timeout": self._patience})
            self._opened = (url, once, client)
        _, settings, client = self._opened
        with SettingsContext(profile=around.profile, settings=settings):
            yield client
