"""An exchange that is this process's own: which one is not."""

from __future__ import annotations

from fedcore.exchange.folder import FolderStore

BODY = memoryview(b"an update")


def test_an_exchange_that_lasts_is_nobodys_own(tmp_path):
    assert FolderStore(tmp_path).own is None
