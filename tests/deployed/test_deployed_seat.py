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

from fedcore.audit.signing import SigningKey
from fedcore.errors import Interrupted, ModelError, NotAllowed
from fedcore.exchange import keys
from fedcore.exchange.opening import open_store
from fedcore.exchange.s3_users import create_party_user
from fedcore.exchange.store import ObjectStore
from fedcore.rounds import coordinator
from fedcore.rounds.coordinator import Desk
from fedcore.rounds.waiting import Watch
from flows.deployed_seat import Wish, take_seat
from flows.hub import reading, registry
from flows.hub.home import Hub
from flows.hub.registry import PartyEntry
from flows.hub.secret_store import FILE

pytestmark = pytest.mark.servers


def hub_at(folder: Path, port: int, seaweedfs: SeaweedFS) -> Hub:
    """A hub whose exchange answers at `port`, with one party that joined and one yet to come.

    Both have users of their own at the exchange.
    """
    hub = Hub.create(folder / "hub", {"s3": port, "prefect": 1, "mlflow": 2})
    path = hub.home / "secrets" / FILE
    path.write_text(
        json.dumps({**json.loads(path.read_text()), "exchange": [*seaweedfs.environ.values()]})
    )
    place = (seaweedfs.endpoint, seaweedfs.environ, hub.exchange.bucket)
    for party, role, status in (("1", "guest", "joined"), ("2", "host", "invited")):
        entry = PartyEntry(
            party_id=party,
            role=role,
            serial=1,
            mark=secrets.token_hex(16),
            status=status,
            access_key=create_party_user(*place, party).access_key,
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


def test_a_founded_training_goes_on_without_its_file_and_after_a_revocation(
    seaweedfs: SeaweedFS, tmp_path: Path
) -> None:
    hub = hub_at(tmp_path, int(seaweedfs.endpoint.rpartition(":")[2]), seaweedfs)
    host = registry.entry(hub, "2")
    registry.save(hub, host.model_copy(update={"status": "joined", "known_serial": 1}))
    path = tmp_path / "task.yaml"
    path.write_text(task_file().to_yaml())
    watch = Watch(time.monotonic, lambda _: None)
    first = take_seat(hub, Wish(str(path), "founded"), watch)
    lead = Desk(
        run=first.run,
        task=first.task,
        members=first.members,
        store=first.store(watch, hub.exchange_environ()),
        key=SigningKey.load(hub.coordinator_key_path),
        ledger=first.ledger(),
        watch=watch,
        code_version="test",
    )
    coordinator.found(lead)
    path.unlink()
    registry.save(hub, registry.entry(hub, "2").model_copy(update={"status": "revoked"}))
    pinned = Wish(first.task.model_dump(mode="json"), first.run, ["1", "2"])
    again = take_seat(hub, pinned, watch)
    assert (again.members, again.task, again.pinned) == (first.members, first.task, first.pinned)


def test_first_weights_from_a_file_or_the_exchange_lie_where_the_members_can_read_them(
    seaweedfs: SeaweedFS, tmp_path: Path
) -> None:
    hub = hub_at(tmp_path, int(seaweedfs.endpoint.rpartition(":")[2]), seaweedfs)
    watch = Watch(time.monotonic, lambda _: None)
    store = open_store(hub.exchange, hub.exchange_environ())
    (tmp_path / "start.safetensors").write_bytes(b"of a file")
    path = tmp_path / "task.yaml"
    path.write_text(task_file().to_yaml().replace("weights: null", "weights: start.safetensors"))
    store.put_once("kept/start.safetensors", b"of the exchange")
    wishes = {
        "of a file": Wish(str(path), "file"),
        "of the exchange": Wish(
            task_file().to_yaml(), "object", weights="exchange:kept/start.safetensors"
        ),
    }
    for body, wish in wishes.items():
        for _ in range(2):  # whoever was killed takes the seat again
            kind, _, key = str(take_seat(hub, wish, watch).task.model.weights).partition(":")
            assert (kind, key.rpartition("-")[0]) == ("exchange", f"coordinator/{wish.run}/start")
            assert store.get(key) == body.encode()


@pytest.mark.parametrize(
    ("weights", "sentence"),
    [
        ("exchange:kept/none", "there is no such object in the exchange"),
        ("exchange:parties/1/x/update", "what a party sent is not for the others"),
    ],
)
def test_objects_that_no_training_starts_from(
    seaweedfs: SeaweedFS, tmp_path: Path, weights: str, sentence: str
) -> None:
    hub = hub_at(tmp_path, int(seaweedfs.endpoint.rpartition(":")[2]), seaweedfs)
    wish = Wish(task_file().to_yaml(), "none", weights=weights)
    with pytest.raises(ModelError, match=f"model.weights is '{weights}': {sentence}"):
        take_seat(hub, wish, Watch(time.monotonic, lambda _: None))


def test_first_weights_that_are_no_file_are_one_sentence(
    seaweedfs: SeaweedFS, tmp_path: Path
) -> None:
    hub = hub_at(tmp_path, int(seaweedfs.endpoint.rpartition(":")[2]), seaweedfs)
    wish = Wish(task_file().to_yaml(), "none", weights="none.safetensors")
    with pytest.raises(ModelError, match=r"model\.weights is 'none\.safetensors'"):
        take_seat(hub, wish, Watch(time.monotonic, lambda _: None))


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


def test_a_training_can_be_read_by_its_members_and_by_nobody_else(
    seaweedfs: SeaweedFS, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = hub_at(tmp_path, int(seaweedfs.endpoint.rpartition(":")[2]), seaweedfs)
    everything = open_store(hub.exchange, hub.exchange_environ())
    everything.prepare()
    member, other = (_store_of(hub, seaweedfs, party) for party in ("1", "2"))
    monkeypatch.setattr(reading, "MOST", 2)
    watch = Watch(time.monotonic, lambda _: None)
    for run in ("a", "b", "c", "b"):
        everything.put_once(f"{keys.coordinator_folder(run)}word", b"for members")
        seat = take_seat(hub, Wish(task_file().to_yaml(), run), watch)
        assert [one.party_id for one in seat.members] == ["1"]
        assert member.get(f"{keys.coordinator_folder(run)}word") == b"for members"
        for act in (other.get, other.keys):
            with pytest.raises(NotAllowed):
                act(f"{keys.coordinator_folder(run)}word")
    assert registry.entry(hub, "1").runs == ("c", "b")
    with pytest.raises(NotAllowed):
        member.get(f"{keys.coordinator_folder('a')}word")


def _store_of(hub: Hub, seaweedfs: SeaweedFS, party: str) -> ObjectStore:
    place = (seaweedfs.endpoint, seaweedfs.environ, hub.exchange.bucket)
    made = create_party_user(*place, party)
    environ = {"AWS_ACCESS_KEY_ID": made.access_key, "AWS_SECRET_ACCESS_KEY": made.secret_key}
    return open_store(hub.exchange, environ)
