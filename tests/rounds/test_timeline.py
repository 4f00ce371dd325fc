"""Whole trainings with a clock of their own: who is waited for, and the same bits when stopped."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from failing_store import Failing
from rounds_story import Time, task_file
from worlds import KnownKeys, bits, opened, stories

from fedcore.data.cohort import Cohort
from fedcore.errors import InputError, Unreachable
from fedcore.exchange.memory import MemoryStore
from fedcore.rounds.timeline import Timeline
from fedcore.simulation import World, simulate_cohorts

# Training images of the three: the slow one is so slow that the others are done four times first.
SPEEDS = {"1": 1.0, "2": 1.1, "3": 5.0}


@pytest.fixture(scope="module")
def cohorts(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Cohort]:
    return opened(tmp_path_factory.mktemp("hospitals"), ("1", "2", "3"))


def world(folder: Path, store: MemoryStore | None = None, **more: object) -> World:
    time = Time()
    return KnownKeys(folder, store or MemoryStore(), time.watch(), wall_clock=time.clock, **more)


def buffered(**federation: object):
    return task_file(**{"strategy": "fedbuff", "buffer_size": 2, "epochs": 4, **federation})


def test_fedbuff_that_waits_for_all_is_fedavg_to_the_bit(cohorts, tmp_path) -> None:
    plain = simulate_cohorts(task_file(), cohorts, world(tmp_path / "a"))
    full = buffered(buffer_size=3, epochs=2)
    assert bits(simulate_cohorts(full, cohorts, world(tmp_path / "b"))) == bits(plain)


def test_a_round_that_waits_for_all_lasts_as_long_as_its_slowest_party(cohorts, tmp_path) -> None:
    outcome = simulate_cohorts(task_file(), cohorts, world(tmp_path, speeds=SPEEDS))
    slowest = max(SPEEDS[name] * len(one.train) for name, one in cohorts.items())
    assert [record.seconds for record in outcome.records] == [slowest, slowest]


def test_time_changes_no_bit_of_a_training_that_waits_for_all(cohorts, tmp_path) -> None:
    plain = simulate_cohorts(task_file(), cohorts, world(tmp_path / "a"))
    timed = simulate_cohorts(task_file(), cohorts, world(tmp_path / "b", speeds=SPEEDS))
    assert bits(timed) == bits(plain)


def test_a_slow_party_delays_nobody_and_its_update_counts_when_it_is_done(
    cohorts, tmp_path
) -> None:
    outcome = simulate_cohorts(buffered(epochs=8), cohorts, world(tmp_path, speeds=SPEEDS))
    seconds = {name: SPEEDS[name] * len(one.train) for name, one in cohorts.items()}
    assert max(record.seconds for record in outcome.records) <= max(seconds["1"], seconds["2"])
    said = [record.parties["3"] for record in outcome.records]
    assert [one.status for one in said].count("admitted") == 1
    assert {one.status for one in said} == {"admitted", "training"}
    counted = next(one for one in said if one.status == "admitted")
    assert counted.staleness == said.index(counted) >= 3


def test_fedasync_takes_one_reply_at_a_time(cohorts, tmp_path) -> None:
    task = task_file(strategy="fedasync", epochs=5)
    outcome = simulate_cohorts(task, cohorts, world(tmp_path, speeds=SPEEDS))
    for record in outcome.records:
        assert [one.status for one in record.parties.values()].count("admitted") == 1


def test_what_is_too_old_when_it_is_done_is_begun_anew(cohorts, tmp_path) -> None:
    task = buffered(epochs=8, max_staleness=1)
    outcome = simulate_cohorts(task, cohorts, world(tmp_path, speeds=SPEEDS))
    assert {record.parties["3"].status for record in outcome.records} == {"training"}


@pytest.mark.parametrize("after", [False, True], ids=["before the write", "after the write"])
def test_an_asynchronous_training_stopped_at_every_write_ends_with_the_same_bits(
    after, cohorts, tmp_path
) -> None:
    task = buffered(epochs=5, local_steps=1)
    speeds = {"1": 1.0, "2": 1.1, "3": 2.5}
    whole = simulate_cohorts(task, cohorts, world(tmp_path / "whole", speeds=speeds))
    assert any(record.parties["3"].staleness for record in whole.records)
    exchange, stops, outcome = MemoryStore(), 0, None
    while outcome is None:
        failing = Failing(exchange, after=after)
        try:
            outcome = simulate_cohorts(
                task, cohorts, world(tmp_path / "cut", failing, speeds=speeds)
            )
        except Unreachable:
            stops += 1
    assert stops >= 20
    assert bits(outcome) == bits(whole)
    said, expected = ([(o.parties, o.seconds) for o in one.records] for one in (outcome, whole))
    assert said == expected
    ours, theirs = stories(outcome), stories(whole)
    assert {owner: sorted(map(str, ours[owner])) for owner in ours} == {
        owner: sorted(map(str, theirs[owner])) for owner in theirs
    }


def test_speeds_name_every_party(cohorts, tmp_path) -> None:
    with pytest.raises(InputError, match=r"World\.speeds: party 2"):
        simulate_cohorts(task_file(), cohorts, world(tmp_path, speeds={"1": 1.0, "3": 1.0}))


def test_a_timeline_that_is_replayed_stands_where_it_stood() -> None:
    seconds = {"a": 2.0, "b": 3.0, "c": 7.0}
    lived, again = Timeline(seconds), Timeline(seconds)
    for number in (1, 2, 3):
        lived.open(number, seconds)
        heard = [lived.next_done()[0] for _ in range(2)]
        again.replay(number, seconds, heard)
    assert lived == again
