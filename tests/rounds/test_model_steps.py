"""Models that come down as steps: the bits of the whole model, and the whole where a step fails."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from failing_store import Failing
from rounds_pair import Pair
from rounds_story import task_file
from worlds import KnownKeys, bits, is_removed, opened, stories, world

from fedcore.config.task import TaskFile
from fedcore.data.cohort import Cohort
from fedcore.errors import NotThere, Unreachable
from fedcore.exchange import codec, keys
from fedcore.exchange.memory import MemoryStore
from fedcore.params import Params, digest
from fedcore.rounds import party, sealed
from fedcore.rounds.messages import Combined, Invitation
from fedcore.rounds.party import Near, weights
from fedcore.simulation import World, simulate_cohorts

SMALL = ("bfloat16", "int8")
PARTIES = ("1", "2", "3")


@pytest.fixture(scope="module")
def cohorts(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Cohort]:
    return opened(tmp_path_factory.mktemp("hospitals"), PARTIES)


def stepping(task: TaskFile, name: str = "int8") -> TaskFile:
    content = task.model_dump(mode="json")
    return TaskFile.model_validate({**content, "update": {"codec": name, "model": "step"}})


class Seen(MemoryStore):
    """The exchange as one party sees it: what it fetched, and what of it is spoiled or missing."""

    def __init__(self, inner: MemoryStore, spoils: str = "", hides: str = "") -> None:
        super().__init__()
        self.inner, self.spoils, self.hides = inner, spoils, hides
        self.fetched: list[str] = []

    def put_once(self, key: str, body: bytes | memoryview) -> None:
        self.inner.put_once(key, body)

    def forget(self, key: str, note: bytes) -> None:
        self.inner.forget(key, note)

    def view(self, key: str) -> memoryview:
        if self.hides and self.hides in key:
            raise NotThere(f"the test hides {key}")
        body = self.inner.view(key)
        self.fetched.append(key.rpartition("/")[2].partition("-")[0])
        if self.spoils and self.spoils in key:
            return memoryview(bytes([*body[:-1], body[-1] ^ 1]))
        return body

    def size(self, key: str) -> int:
        return self.inner.size(key)

    def exists(self, key: str) -> bool:
        return self.inner.exists(key)

    def keys(self, prefix: str = "", after: str = "") -> list[str]:
        return self.inner.keys(prefix, after)

    def bodies(self) -> list[str]:
        """Models and steps, in the order in which they were fetched."""
        return [one for one in self.fetched if one in ("model", "model.safetensors", "step")]


def apart(folder: Path, **views: Seen) -> World:
    """A world whose parties share no memory, as in sessions of their own."""
    store = next(iter(views.values())).inner
    stores = {name.removeprefix("_"): view for name, view in views.items()}
    where, watch = world(folder), world(folder).watch
    return KnownKeys(folder, store, watch, where.wall_clock, stores=stores, near=Near())


def steps_of(place: World) -> list[tuple[Combined, Invitation]]:
    """The rounds as they stand in the exchange."""
    [run] = {key.split("/")[1] for key in place.store.keys("coordinator/")}
    count = len([key for key in place.store.keys("") if key.endswith("combined.json")])
    return [
        (
            sealed.read(place.store, keys.combined(run, number), Combined, None),
            sealed.read(place.store, keys.invitation(run, number), Invitation, None),
        )
        for number in range(1, count + 1)
    ]


def model_at(place: World, ref) -> Params:
    return codec.decode(sealed.fetch(place.store, ref))


def by_numpy(start: Params, packed: Params, name: str) -> Params:
    """Each model as its step says, by an arithmetic of the test's own."""
    made: Params = {}
    for one, array in start.items():
        sent = packed[one]
        if sent.dtype == np.uint16:
            made[one] = array + (sent.astype(np.uint32) << 16).view(np.float32)
        elif sent.dtype == np.int8:
            scales = packed[one + ":scale"].reshape(-1, *[1] * (max(1, sent.ndim) - 1))
            made[one] = array + sent.astype(np.float32) * scales
        else:
            made[one] = sent
        made[one] = made[one].reshape(array.shape)
    return made


FEDERATIONS = [
    {"strategy": "fedavg"},
    {"strategy": "fedadam"},
    {"strategy": "scaffold"},
    {"strategy": "fedbn"},
    {"strategy": "fedper"},
    {"strategy": "ditto"},
    {"strategy": "median", "hostile": 0},
    {"strategy": "fedavg", "participation": 0.5},
    {"strategy": "fedbuff", "buffer_size": 2},
    {"strategy": "fedavg", "combining": "tree", "group_size": 2},
]


@pytest.mark.parametrize(
    "federation", FEDERATIONS, ids=lambda one: "-".join(map(str, one.values()))
)
def test_with_every_strategy_each_model_is_the_one_before_and_its_step(
    federation, cohorts, tmp_path
):
    place = world(tmp_path)
    task = stepping(task_file(**federation, epochs=3, local_steps=1))
    outcome = simulate_cohorts(task, cohorts, place)
    known = steps_of(place)
    assert len(known) == 3
    for combined, invitation in known:
        assert combined.step.base == invitation.weights.sha256
        packed, start = model_at(place, combined.step), model_at(place, invitation.weights)
        assert digest(by_numpy(start, packed, "int8")) == digest(model_at(place, combined.model))
    assert [one.step for _, one in known] == [None, *[one.step for one, _ in known[:-1]]]
    assert digest(model_at(place, known[-1][0].model)) == digest(outcome.final)


@pytest.mark.parametrize("name", SMALL)
def test_parties_fetch_the_first_model_whole_and_then_steps_alone(name, cohorts, tmp_path):
    store = MemoryStore()
    task = stepping(task_file(epochs=3, local_steps=1), name)
    views = {f"_{party}": Seen(store) for party in PARTIES}
    place = apart(tmp_path / "apart", **views)
    outcome = simulate_cohorts(task, cohorts, place)
    assert [one.bodies() for one in views.values()] == [
        ["model.safetensors", "step", "step", "step"]
    ] * 3
    together = simulate_cohorts(task, cohorts, world(tmp_path / "together"))
    assert bits(outcome) == bits(together)
    assert stories(outcome) == stories(together)
    assert not list(tmp_path.rglob("step-*"))
    sizes = [(one.weights.size, one.step and one.step.size) for _, one in steps_of(place)]
    assert [one.bytes_down for one in outcome.records] == [3 * (b or a) for a, b in sizes]


def test_no_step_stays_once_the_training_has_ended(cohorts, tmp_path):
    place = world(tmp_path, MemoryStore())
    simulate_cohorts(stepping(task_file(epochs=3, local_steps=1)), cohorts, place)
    found = [key for key in place.store.keys("") if "/step-" in key]
    assert [is_removed(place.store, key) for key in found] == [True] * 3


def test_without_the_wish_there_are_no_steps(cohorts, tmp_path):
    place = world(tmp_path)
    simulate_cohorts(task_file(epochs=1), cohorts, place)
    assert not [key for key in place.store.keys("") if "step" in key]


@pytest.mark.parametrize(("name", "near"), [("bfloat16", Near()), ("int8", Near(most=2))])
def test_a_training_stopped_at_every_write_ends_with_the_same_bits(name, near, cohorts, tmp_path):
    task = stepping(task_file(epochs=3, local_steps=1), name)
    whole = simulate_cohorts(task, cohorts, world(tmp_path / "whole"))
    exchange, stops, outcome = MemoryStore(), 0, None
    while outcome is None:
        try:
            failing = Failing(exchange, after=bool(stops % 2))
            failing.size = exchange.size
            place = world(tmp_path / "cut", failing)
            outcome = simulate_cohorts(task, cohorts, dataclasses.replace(place, near=near))
        except Unreachable:
            stops += 1
    assert stops >= 10
    assert bits(outcome) == bits(whole)


def test_a_party_that_lost_its_spool_fetches_the_whole_model(cohorts, tmp_path):
    store = MemoryStore()
    view = Seen(store)
    task = stepping(task_file(epochs=3, local_steps=1))
    place = apart(tmp_path, _1=Seen(store), _2=view)

    def lose(record) -> None:
        if record.round == 1:
            for path in tmp_path.rglob("spool/*/2/model-*"):
                path.unlink()

    outcome = simulate_cohorts(task, cohorts, dataclasses.replace(place, on_record=lose))
    # Of round 2 the step from a model that is gone would be of no use.
    assert view.bodies() == ["model.safetensors", "step", "model", "step", "step"]
    assert bits(outcome) == bits(simulate_cohorts(task, cohorts, world(tmp_path / "whole")))


@pytest.mark.parametrize("spoilt", [{"spoils": "/step-"}, {"hides": "/step-"}], ids=str)
def test_a_step_that_is_changed_or_gone_is_refused_and_the_whole_model_is_fetched(
    spoilt, cohorts, tmp_path
):
    store = MemoryStore()
    view, said = Seen(store, **spoilt), list[str]()
    task = stepping(task_file(epochs=2, local_steps=1))
    place = apart(tmp_path, _2=view)
    watch = dataclasses.replace(place.watch, say=said.append)
    outcome = simulate_cohorts(task, cohorts, dataclasses.replace(place, watch=watch))
    assert [one for one in view.bodies() if one != "step"] == ["model.safetensors", *["model"] * 2]
    assert bits(outcome) == bits(simulate_cohorts(task, cohorts, world(tmp_path / "whole")))
    reason = "wrong_hash" if "spoils" in spoilt else "not_there"
    words = f"the step to the model is no use ({reason}): the whole model is fetched"
    assert said == [words] * 2


@pytest.mark.parametrize("near", [Near(), Near(most=2)], ids=["apart", "together"])
def test_a_machine_that_adds_otherwise_fetches_the_whole_model(
    near, cohorts, tmp_path, monkeypatch
):
    """The sum's SHA-256 is compared, so nobody trains on from other bits."""
    task = stepping(task_file(epochs=2, local_steps=1))
    whole = simulate_cohorts(task, cohorts, world(tmp_path / "whole"))
    right = weights.after_step

    def wrong(*args) -> Params:
        return {name: -one for name, one in right(*args).items()}

    monkeypatch.setattr(weights, "after_step", wrong)
    place = dataclasses.replace(world(tmp_path / "other"), near=near)
    assert bits(simulate_cohorts(task, cohorts, place)) == bits(whole)
    assert not list(tmp_path.rglob("step-*"))


def test_a_late_comer_fetches_the_whole_model(tmp_path):
    pair = Pair(tmp_path, deadline=1)
    task = stepping(pair.task)
    pair.task, pair.lead = task, dataclasses.replace(pair.lead, task=task)
    early, late = pair.desks = [dataclasses.replace(desk, task=task) for desk in pair.desks]
    seen = Seen(pair.store)
    late = dataclasses.replace(late, store=seen)
    pair.open()
    pair.answer(early, 1)
    pair.close(1)
    party.score(early, 1)
    pair.invite(2)
    pair.answer(late, 2)
    assert seen.bodies() == ["model"]
