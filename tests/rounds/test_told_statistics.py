"""Statistics before a training: told once, checked, pooled, and never a reason to stop."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rounds_story import CLASSES, RUN, ByHand, Time, hospitals, key_of, model, task_file

from fedcore.audit.ledger import Ledger
from fedcore.config.columns import layouts
from fedcore.config.policy import EVERYTHING, Leaving
from fedcore.config.task import TaskFile
from fedcore.data.cohort import Cohort, open_cohort
from fedcore.errors import Unreachable
from fedcore.exchange import keys
from fedcore.exchange.memory import MemoryStore
from fedcore.models.catalogue import build
from fedcore.params import digest
from fedcore.rounds import coordinator, party, sealed
from fedcore.rounds.messages import Member
from fedcore.rounds.statistics_messages import PooledStatistics, Statistics
from fedcore.simulation import Outcome, World, simulate_cohorts
from fedcore.statistics import ColumnSummary, Layout, pool_columns, read_columns


def asking(level: str = "full", least: int = 1, **federation: object) -> TaskFile:
    """The task of the stories, with statistics."""
    task = task_file(**federation)
    data = task.data.model_copy(update={"statistics": level, "min_reported": least})
    return task.model_copy(update={"data": data})


@pytest.fixture(scope="module")
def cohorts(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Cohort]:
    folder = tmp_path_factory.mktemp("hospitals")
    return {
        name: open_cohort(data, task_file(), folder / f"state-{name}")
        for name, data in hospitals(folder).items()
    }


class KnownKeys(World):
    """A world whose owners always have the same keys."""

    def key(self, owner: str):
        return key_of(owner)


def world(folder: Path, store: MemoryStore | None = None) -> World:
    time = Time()
    return KnownKeys(folder, store or MemoryStore(), time.watch(), wall_clock=time.clock)


def columns(outcome: Outcome, owner: str | None = None) -> dict[str, ColumnSummary]:
    told = outcome.statistics
    assert told is not None
    content = told.total if owner is None else told.parties[owner]
    known = read_columns(content, layouts(asking(), CLASSES), pooled=owner is None)
    return {column.name: column for column in known}


def test_pooled_pixels_and_classes_are_those_of_all_training_images(cohorts, tmp_path) -> None:
    outcome = simulate_cohorts(asking(epochs=1), cohorts, world(tmp_path))
    images = [cohort.train.batch(np.arange(len(cohort.train))) for cohort in cohorts.values()]
    pixels = np.concatenate([one.ravel() for one in images]).astype(np.float64)
    total = columns(outcome)
    assert total["pixel_value"].rows == pixels.size
    assert total["pixel_value"].mean == pytest.approx(pixels.mean(), rel=1e-12)
    assert total["pixel_value"].deviation() == pytest.approx(pixels.std(), rel=1e-12)
    found, _ = np.histogram(pixels, np.arange(0, 257, 8))
    assert list(total["pixel_value"].cells) == found.tolist()
    for split in ("train", "validation", "test"):
        wanted = [sum(one.images[split][name] for one in cohorts.values()) for name in CLASSES]
        assert list(total[f"class/{split}"].cells) == [*wanted, 0]
    each = total["images_per_patient"]
    assert each.rows == sum(cohort.train.patients for cohort in cohorts.values())


def test_the_statistics_change_no_bit_of_the_model_and_without_them_nothing_more_leaves(
    cohorts, tmp_path
) -> None:
    plain, told = world(tmp_path / "plain"), world(tmp_path / "told")
    without = simulate_cohorts(task_file(epochs=1), cohorts, plain)
    with_them = simulate_cohorts(asking(epochs=1), cohorts, told)
    assert digest(without.final) == digest(with_them.final)
    assert without.statistics is None
    assert not [key for key in plain.store.keys("") if "statistics" in key]
    more = [key for key in told.store.keys("") if "statistics" in key]
    assert len(more) == len(cohorts) + 1


def test_counts_are_fewer_columns_than_full(cohorts, tmp_path) -> None:
    outcome = simulate_cohorts(asking("counts", epochs=1), cohorts, world(tmp_path))
    assert outcome.statistics is not None
    names = [one["name"] for one in outcome.statistics.total]
    assert names == ["class/train", "class/validation", "class/test"]


class Failing(MemoryStore):
    """A store that goes away at its second new object, before or after it has come to stand."""

    def __init__(self, inner: MemoryStore, *, after: bool) -> None:
        super().__init__()
        self.inner, self.new, self.after = inner, 0, after

    def put_once(self, key: str, body: bytes | memoryview) -> None:
        self.new += not self.inner.exists(key)
        if self.new == 2 and not self.after:
            raise Unreachable("the test took the exchange away")
        self.inner.put_once(key, body)
        if self.new == 2:
            raise Unreachable("the test took the exchange away")

    def get(self, key: str) -> bytes:
        return self.inner.get(key)

    def get_range(self, key: str, start: int, length: int) -> bytes:
        return self.inner.get_range(key, start, length)

    def size(self, key: str) -> int:
        return self.inner.size(key)

    def exists(self, key: str) -> bool:
        return self.inner.exists(key)

    def keys(self, prefix: str = "", after: str = "") -> list[str]:
        return self.inner.keys(prefix, after)


@pytest.mark.parametrize("after", [False, True], ids=["before the write", "after the write"])
def test_a_training_with_statistics_stopped_at_every_write_ends_with_the_same_bits(
    after, cohorts, tmp_path
) -> None:
    task, place = asking(epochs=1), world(tmp_path / "whole")
    whole = simulate_cohorts(task, cohorts, place)
    exchange, outcome = MemoryStore(), None
    while outcome is None:
        failing = Failing(exchange, after=after)
        try:
            outcome = simulate_cohorts(task, cohorts, world(tmp_path / "cut", failing))
        except Unreachable:
            continue
    assert digest(outcome.final) == digest(whole.final)
    assert outcome.statistics == whole.statistics
    for owner, ledger in whole.ledgers.items():
        told = map(str, outcome.ledgers[owner].story())
        assert sorted(told) == sorted(map(str, ledger.story()))
    again = [key for key in exchange.keys("") if "statistics" in key]
    assert all(exchange.get(key) == place.store.get(key) for key in again)


def test_the_ledger_notes_the_statistics_before_they_leave(cohorts, tmp_path) -> None:
    place = world(tmp_path)
    outcome = simulate_cohorts(asking(epochs=1), cohorts, place)
    left = [one["key"] for kind, one in outcome.ledgers["party-2"].story() if kind == "left"]
    assert sorted(left) == place.store.keys("parties/2/")
    assert [key for key in left if key.endswith("/statistics.json")]


def party_desk(folder: Path, cohort: Cohort, task: TaskFile, leaving: Leaving) -> party.Desk:
    folder.mkdir(parents=True)
    time = Time()
    return party.Desk(
        run=RUN,
        task=task,
        member=Member(party_id="2", role="host"),
        store=MemoryStore(),
        key=key_of("2"),
        ledger=Ledger(folder / "ledger.jsonl", key_of("2"), time.clock),
        watch=time.watch(),
        code_version="test",
        cohort=cohort,
        network=build(task.model, task.seed),
        spool=folder,
        leaving=leaving,
    )


def test_a_policy_without_statistics_keeps_them_all_and_says_so(cohorts, tmp_path) -> None:
    leaving = Leaving(metrics=("loss", "scores"), min_reported=1)
    desk = party_desk(tmp_path / "2", cohorts["2"], asking(), leaving)
    told = party.tell_statistics(desk)
    assert told is not None
    assert (told.columns, told.withheld) == (None, "policy")
    assert b"cells" not in desk.store.get(keys.statistics("2", RUN))


def test_over_too_few_training_patients_nothing_is_told(cohorts, tmp_path) -> None:
    desk = party_desk(tmp_path / "2", cohorts["2"], asking(least=1000), EVERYTHING)
    told = party.tell_statistics(desk)
    assert told is not None
    assert (told.columns, told.withheld) == (None, "few_patients")


def test_the_stricter_minimum_of_task_and_policy_holds_for_every_cell(cohorts, tmp_path) -> None:
    desk = party_desk(tmp_path / "2", cohorts["2"], asking(), Leaving(min_reported=5))
    told = party.tell_statistics(desk)
    assert told is not None
    assert told.columns is not None
    by_class = [one for one in told.columns if one["name"].startswith("class/")]
    cells = [cell for one in by_class for cell in one["cells"]]
    assert all(cell is None or cell == 0 or cell >= 5 for cell in cells)
    assert None in cells


def test_what_was_told_stands_though_the_policy_changed_since(cohorts, tmp_path) -> None:
    desk = party_desk(tmp_path / "2", cohorts["2"], asking(), EVERYTHING)
    first = party.tell_statistics(desk)
    assert party.tell_statistics(replace(desk, leaving=Leaving(min_reported=6))) == first


def open_by_hand(folder: Path, **federation: object) -> ByHand:
    """Three parties that have said hello to a training with statistics."""
    story = ByHand(folder, **federation)
    task = asking("counts", **{"quorum": 1, **federation})
    story.task = task
    story.desk = replace(story.desk, task=task)
    coordinator.found(story.desk)
    for owner in story.parties:
        story.hello(owner, model())
    coordinator.welcome(story.desk)
    return story


def summaries(count: int = 20) -> tuple[dict, ...]:
    names = ("class/train", "class/validation", "class/test")
    known = [Layout(name, "categorical", labels=CLASSES, complete=True) for name in names]
    return tuple(
        ColumnSummary(layout, count, 0, (count // 2, count - count // 2, 0)).to_json()
        for layout in known
    )


def tell(story: ByHand, owner: str, signer: str | None = None, **changes: object) -> None:
    """Put a party's statistics into the exchange; `changes` lie about them."""
    message = Statistics(
        run=RUN,
        party=owner,
        task_hash=story.task.fingerprint(),
        contract_hash="c" * 64,
        patients=10,
        images=20,
        columns=summaries(),
    ).model_copy(update=changes)
    key = keys.statistics(owner, RUN)
    sealed.publish(story.store, key, message, key_of(signer or owner))


def test_each_party_and_all_together_stand_in_one_signed_object(tmp_path) -> None:
    story = open_by_hand(tmp_path)
    for owner in story.parties:
        tell(story, owner)
    pooled = coordinator.gather_statistics(story.desk)
    assert pooled is not None
    assert set(pooled.parties) == {"1", "2", "3"}
    assert pooled.total[0]["cells"] == [30, 30, 0]
    key = keys.pooled_statistics(RUN)
    assert sealed.read(story.store, key, PooledStatistics, key_of("coordinator").public) == pooled


def first_column(**changes: object) -> dict[str, object]:
    columns = summaries()
    return {"columns": (columns[0] | changes, *columns[1:])}


LIES = {
    "malformed": first_column(cells=[-3, 23, 0]),
    "wrong_party": {"party": "3"},
    "wrong_task": {"task_hash": "0" * 64},
    "data_changed": {"contract_hash": "0" * 64},
    "wrong_counts": {"patients": 11},
    "wrong_run": {"run": "other"},
    "withheld: policy": {"columns": None, "withheld": "policy"},
    "withheld: few_patients": {"columns": None, "withheld": "few_patients"},
}
MALFORMED = {
    "another column": first_column(name="age"),
    "a huge list": first_column(labels=["x"] * 10_000),
    "too few columns": {"columns": summaries()[:1]},
    "too many columns": {"columns": summaries() * 1000},
    "no columns": {"columns": ()},
}


@pytest.mark.parametrize("reason", LIES)
def test_statistics_that_do_not_fit_leave_their_party_out_with_the_reason(reason, tmp_path) -> None:
    story = open_by_hand(tmp_path)
    tell(story, "1")
    tell(story, "2", **LIES[reason])
    tell(story, "3")
    pooled = coordinator.gather_statistics(story.desk)
    assert pooled is not None
    assert pooled.absent == {"2": reason}
    assert pooled.total[0]["cells"] == [20, 20, 0]
    absent = [one for kind, one in story.desk.ledger.story() if kind == "statistics_absent"]
    assert absent == [{"party": "2", "reason": reason}]


@pytest.mark.parametrize("kind", MALFORMED)
def test_columns_that_nobody_agreed_on_are_malformed(kind, tmp_path) -> None:
    story = open_by_hand(tmp_path)
    for owner in ("1", "3"):
        tell(story, owner)
    tell(story, "2", **MALFORMED[kind])
    pooled = coordinator.gather_statistics(story.desk)
    assert pooled is not None
    assert pooled.absent == {"2": "malformed"}


def test_statistics_that_another_signed_or_that_are_no_json_are_left_out(tmp_path) -> None:
    story = open_by_hand(tmp_path)
    tell(story, "1")
    tell(story, "2", signer="3")
    story.store.put_once(keys.statistics("3", RUN), b"\xff" * 100)
    pooled = coordinator.gather_statistics(story.desk)
    assert pooled is not None
    assert pooled.absent == {"2": "wrong_signer", "3": "not_an_envelope"}


def test_a_party_that_is_late_is_absent_and_the_training_goes_on(tmp_path) -> None:
    story = open_by_hand(tmp_path, deadline=30)
    tell(story, "1")
    until = coordinator.deadline(story.desk)
    pooled = coordinator.gather_statistics(story.desk, until)
    assert pooled is not None
    assert pooled.absent == {"2": "late", "3": "late"}
    tell(story, "2")
    assert coordinator.pool_statistics(story.desk) == pooled
    weights = coordinator.adopt_initial_model(story.desk)
    assert coordinator.invite(story.desk, 1, weights).parties == ("1", "2", "3")


def test_where_nobody_tells_anything_the_total_is_empty(tmp_path) -> None:
    story = open_by_hand(tmp_path)
    for owner in story.parties:
        tell(story, owner, columns=None, withheld="policy")
    pooled = coordinator.gather_statistics(story.desk)
    assert pooled is not None
    assert pooled.total == ()


def test_a_party_reads_what_was_pooled_before_the_first_invitation(cohorts, tmp_path) -> None:
    place = world(tmp_path)
    task = asking(epochs=1)
    outcome = simulate_cohorts(task, cohorts, place)
    run = outcome.end.run
    desk = party_desk(tmp_path / "2", cohorts["2"], task, EVERYTHING)
    desk = replace(desk, store=place.store, run=run)
    party.join(desk)
    told = [columns(outcome, owner).values() for owner in ("1", "2")]
    assert party.pooled_statistics(desk) == pool_columns(told)


def test_nothing_of_the_statistics_names_a_single_value(cohorts, tmp_path) -> None:
    place = world(tmp_path)
    outcome = simulate_cohorts(asking(least=2, epochs=1), cohorts, place)
    assert outcome.statistics is not None
    text = json.dumps(outcome.statistics.model_dump(mode="json"))
    assert "patient0x" not in text
    assert not any(word in text for word in ("min", "max", "median", "quantile"))
