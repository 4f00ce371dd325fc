"""Statistics before a training: told once, checked, pooled, and never a reason to stop."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from failing_store import Failing
from rounds_story import CLASSES, RUN, Time, asking, key_of, task_file
from worlds import opened, world

from fedcore.audit.ledger import Ledger
from fedcore.config.columns import layouts
from fedcore.config.policy import EVERYTHING, Leaving
from fedcore.config.task import TaskFile
from fedcore.data.cohort import Cohort
from fedcore.errors import Unreachable
from fedcore.exchange import keys
from fedcore.exchange.memory import MemoryStore
from fedcore.models.catalogue import build
from fedcore.params import digest
from fedcore.rounds import party
from fedcore.rounds.messages import Member
from fedcore.simulation import Outcome, simulate_cohorts
from fedcore.statistics import ColumnSummary, pool_columns, read_columns


@pytest.fixture(scope="module")
def cohorts(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Cohort]:
    return opened(tmp_path_factory.mktemp("hospitals"))


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
