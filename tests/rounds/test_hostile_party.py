"""A party that signs whatever it likes: its reply is out with a reason, and the round goes on."""

from __future__ import annotations

import os
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rounds_story import RUN, ByHand, key_of

from fedcore.errors import InputError
from fedcore.exchange import codec, keys
from fedcore.exchange.envelope import seal
from fedcore.exchange.folder import FolderStore
from fedcore.exchange.memory import MemoryStore
from fedcore.metrics import Scores
from fedcore.rounds import coordinator, sealed
from fedcore.rounds.coordinator.combining import combined_of
from fedcore.rounds.messages import Hello, Reply, Score

GOOD = {"count": np.array(2, np.int64), "weight": np.ones(4, np.float32)}
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)


class Replaceable(MemoryStore):
    """An exchange whose server lets a party replace its own objects, as some do."""

    def __init__(self) -> None:
        super().__init__()
        self.replaced: dict[str, bytes] = {}

    def view(self, key: str) -> memoryview:
        return memoryview(self.replaced.get(key) or super().view(key))


def honest_round(world: ByHand) -> dict:
    """Parties 1 and 3 have answered; what an honest reply of party 2 would say."""
    invitation = world.open()
    for party in ("1", "3"):
        world.reply(invitation, party, GOOD)
    ref = sealed.reference(keys.update("2", RUN, 1), codec.encode(GOOD))
    world.store.put_once(ref.key, codec.encode(GOOD))
    reply = Reply(
        run=RUN,
        round=1,
        trained_in=1,
        party="2",
        base=invitation.weights.sha256,
        update=ref,
        codec="float32",
        patients=10,
        images=20,
        metrics={},
        task_hash=invitation.task_hash,
        contract_hash="c" * 64,
        code_version="test",
    )
    return reply.model_dump(mode="json")


def write_reply(world: ByHand, body: bytes) -> None:
    world.store.put_once(keys.reply("2", RUN, 1), body)


def expect_the_others_alone(world: ByHand, *reasons: str) -> None:
    world.combine()
    combined = combined_of(world.desk, 1)
    assert set(combined.weights) == {"1", "3"}
    assert combined.absent["2"] in reasons


def test_an_envelope_of_a_gigabyte_is_refused_and_never_read(tmp_path) -> None:
    store = FolderStore(tmp_path / "exchange")
    store.prepare()
    world = ByHand(tmp_path, store=store)
    honest_round(world)
    path = tmp_path / "exchange" / keys.reply("2", RUN, 1)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        os.ftruncate(file.fileno(), 1 << 30)
    tracemalloc.start()
    expect_the_others_alone(world, "too_large")
    assert tracemalloc.get_traced_memory()[1] < 64 << 20
    tracemalloc.stop()


@pytest.mark.parametrize(
    "key",
    [
        "parties/2/../3/chest-1/rounds/00001/update.safetensors",
        "../../etc/passwd",
        "/etc/passwd",
        "parties/2//chest-1/rounds/00001/update.safetensors",
        "coordinator/chest-1/rounds/00000/model.safetensors",
        "parties/3/chest-1/rounds/00001/update.safetensors",
        "",
    ],
)
def test_a_reply_that_points_elsewhere_is_refused_and_nothing_is_fetched(key, tmp_path) -> None:
    world = ByHand(tmp_path)
    reply = honest_round(world)
    reply["update"]["key"] = key
    write_reply(world, seal(reply, key_of("2")))
    expect_the_others_alone(world, "wrong_key")


def test_no_store_takes_a_key_that_climbs(tmp_path) -> None:
    for key in ("parties/2/../3/x", "../x", "a/./b", "/x", "a//b", ".hidden"):
        with pytest.raises(InputError):
            FolderStore(tmp_path).put_once(key, b"x")


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(Reply.model_fields)), JSON)
def test_a_signed_reply_with_any_value_in_any_field_stops_no_round(
    tmp_path_factory, field, value
) -> None:
    world = ByHand(tmp_path_factory.mktemp("hostile"))
    reply = honest_round(world) | {field: value}
    write_reply(world, seal(reply, key_of("2")))
    world.combine()
    assert {"1", "3"} <= set(combined_of(world.desk, 1).weights)


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_in_place_of_a_reply_stop_no_round(tmp_path_factory, body) -> None:
    world = ByHand(tmp_path_factory.mktemp("hostile"))
    honest_round(world)
    write_reply(world, body)
    expect_the_others_alone(world, "not_an_envelope", "bad_signature", "wrong_signer")


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(sorted(Hello.model_fields)), JSON)
def test_a_signed_hello_with_any_value_in_any_field_stops_no_training(
    tmp_path_factory, field, value
) -> None:
    world = ByHand(tmp_path_factory.mktemp("hostile"), deadline=30)
    honest = Hello(
        run=RUN,
        party="2",
        role="host",
        task_hash=world.task.fingerprint(),
        contract_hash="c" * 64,
        code_version="test",
        classes=("NORMAL", "PNEUMONIA"),
        patients=10,
        images=20,
        quarantine={},
    ).model_dump(mode="json")
    world.store.put_once(keys.hello("2", RUN), seal(honest | {field: value}, key_of("2")))
    world.parties = ("1", "3")
    assert {"1", "3"} <= set(world.open().parties)


@pytest.mark.parametrize("loss_sum", [10**400, -(10**400), 1.7e308, -1.7e308])
def test_scores_that_no_sum_can_hold_stop_no_record(loss_sum, tmp_path) -> None:
    world = ByHand(tmp_path)
    write_reply(world, seal(honest_round(world), key_of("2")))
    world.combine()
    sha256 = combined_of(world.desk, 1).model.sha256
    for party in ("1", "3"):
        world.score(1, party, sha256, right=8, wrong=2)
    truth = np.zeros(4, np.int64)
    honest = Scores.of(np.full((4, 2), 0.5), truth, 1.0, patients=4).to_json()
    said = Score(run=RUN, party="2", round=1, scores={sha256: honest | {"loss_sum": loss_sum}})
    world.store.put_once(keys.score("2", RUN, 1), seal(said.model_dump(mode="json"), key_of("2")))
    record = coordinator.record(world.desk, 1, 1.0)
    assert record.parties["2"].loss is None
    assert record.accuracy == pytest.approx(0.8)


@pytest.mark.parametrize("replaced", ["reply", "hello"])
def test_a_party_that_replaces_its_words_after_they_counted_stops_no_record(
    replaced, tmp_path
) -> None:
    store = Replaceable()
    world = ByHand(tmp_path, store=store)
    write_reply(world, seal(honest_round(world), key_of("2")))
    world.combine()
    sha256 = combined_of(world.desk, 1).model.sha256
    world.score(1, "1", sha256, right=8, wrong=2)
    key = {"reply": keys.reply, "hello": lambda party, run, _: keys.hello(party, run)}[replaced]
    store.replaced[key("2", RUN, 1)] = b"something else"
    world.restart()
    record = coordinator.record(world.desk, 1, 1.0)
    assert record.parties["2"].status == "admitted"
    assert record.parties["2"].train_loss is None
    assert record.accuracy == pytest.approx(0.8)
    assert "reply_changed" in [kind for kind, _ in world.desk.ledger.story()]


@settings(max_examples=40, deadline=None)
@given(JSON, st.sampled_from(["scores", "round", "party", "run"]))
def test_signed_scores_with_any_value_stop_no_record(tmp_path_factory, value, field) -> None:
    world = ByHand(tmp_path_factory.mktemp("hostile"))
    reply = honest_round(world)
    write_reply(world, seal(reply, key_of("2")))
    world.combine()
    sha256 = combined_of(world.desk, 1).model.sha256
    for party in ("1", "3"):
        world.score(1, party, sha256, right=8, wrong=2)
    score = Score(run=RUN, party="2", round=1, scores={}).model_dump(mode="json")
    changed = {sha256: value} if field == "scores" else value
    world.store.put_once(keys.score("2", RUN, 1), seal(score | {field: changed}, key_of("2")))
    record = coordinator.record(world.desk, 1, 1.0)
    assert record.parties["1"].accuracy == pytest.approx(0.8)
    assert record.accuracy is not None
