"""The coordinator's seat is taken when the exchange can be reached, and not before."""

from __future__ import annotations

import json
import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest
from fault_proxy import fault_proxy
from rounds_story import key_of, task_file
from servers import SeaweedFS

from fedcore.errors import Interrupted
from fedcore.rounds.waiting import Watch
from flows.deployed_seat import Wish, take_seat
from flows.hub import registry
from flows.hub.home import Hub
from flows.hub.registry import PartyEntry
from flows.hub.secret_store import FILE

pytestmark = pytest.mark.servers


def hub_at(folder: Path, port: int, seaweedfs: SeaweedFS) -> Hub:
    """A hub whose exchange answers at `port`, with one party that joined and one yet to come."""
    hub = Hub.create(folder / "hub", {"s3": port, "prefect": 1, "mlflow": 2})
    path = hub.home / "secrets" / FILE
    path.write_text(
        json.dumps({**json.loads(path.read_text()), "exchange": [*seaweedfs.environ.values()]})
    )
    for party, role, status in (("1", "guest", "joined"), ("2", "host", "invited")):
        entry = PartyEntry(
            party_id=party,
            role=role,
            serial=1,
            mark=secrets.token_hex(16),
            status=status,
            access_key="x",
            public_key=key_of(party).public,
            known_serial=int(status == "joined"),
        )
        registry.save(hub, entry)
    return hub


def test_a_training_that_is_started_without_the_exchange_begins_when_it_is_back(
    seaweedfs: SeaweedFS, tmp_path: Path
) -> None:
    tried, mended, said = Event(), Event(), []

    def hear(sentence: str) -> None:
        said.append(sentence)
        tried.set()

    with fault_proxy(seaweedfs.endpoint) as line, ThreadPoolExecutor() as pool:
        hub = hub_at(tmp_path, line.port, seaweedfs)
        line.cut()
        watch = Watch(time.monotonic, lambda _: mended.wait(0.05), hear)
        taken = pool.submit(take_seat, hub, Wish(task_file().to_yaml(), "one"), watch)
        assert tried.wait(60)
        assert not taken.done()
        line.mend()
        mended.set()
        seat = taken.result(60)
    assert [one.party_id for one in seat.members] == ["1"]
    assert seat.path.exists()
    assert "the exchange cannot be reached" in said[0]


def test_a_training_that_is_stopped_while_it_waits_for_the_exchange_ends(
    seaweedfs: SeaweedFS, tmp_path: Path
) -> None:
    def stopped(_: float) -> None:
        raise Interrupted("stopped")

    with fault_proxy(seaweedfs.endpoint) as line:
        hub = hub_at(tmp_path, line.port, seaweedfs)
        line.cut()
        with pytest.raises(Interrupted):
            take_seat(hub, Wish(task_file().to_yaml(), "one"), Watch(time.monotonic, stopped))
