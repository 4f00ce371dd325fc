"""Every family of strategies: the same bits, whether anything is removed or not."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from rounds_story import Time, keeping, task_file
from worlds import KnownKeys, bits, is_removed, opened

from fedcore.data.cohort import Cohort
from fedcore.exchange import keys
from fedcore.simulation import Outcome, simulate_cohorts

NAMES = ("1", "2", "3")


@pytest.fixture(scope="module")
def cohorts(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Cohort]:
    return opened(tmp_path_factory.mktemp("hospitals"), NAMES)


FAMILIES: Mapping[str, dict[str, object]] = {
    "fedavg": {},
    "fedadam": {"strategy": "fedadam"},
    "scaffold": {"strategy": "scaffold"},
    "fedper": {"strategy": "fedper"},
    "ditto": {"strategy": "ditto"},
    "median": {"strategy": "median", "hostile": 0},
    "fedbuff": {"strategy": "fedbuff"},
    "fedasync": {"strategy": "fedasync", "max_staleness": 3},
    "drawn": {"participation": 0.5, "late": "next_round"},
    "tree": {"combining": "tree", "group_size": 2},
    "tuned": {"finetune_epochs": 1, "early_stopping": {"patience": 2}},
}
SECTIONS = {
    "drawn": {"evaluation": {"cross_site": True}},
    "fedavg": {"update": {"codec": "int8", "model": "step"}, "evaluation": {"cross_site": True}},
}


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_gives_the_same_bits_whether_anything_is_removed_or_not(
    family, cohorts, tmp_path
) -> None:
    task = task_file(**{"epochs": 4, "local_steps": 1, **FAMILIES[family]})
    seen: dict[int | None, Outcome] = {}
    left = {}
    for rounds in (0, None):
        time = Time()
        place = KnownKeys(
            tmp_path / str(rounds),
            watch=time.watch(),
            wall_clock=time.clock,
            speeds={"1": 1.0, "2": 1.1, "3": 2.5},
        )
        wished = keeping(task, rounds, **SECTIONS.get(family, {}))
        seen[rounds] = simulate_cohorts(wished, cohorts, place, run="same")
        left[rounds] = [key for key in _large(place.store) if not is_removed(place.store, key)]
    assert bits(seen[0]) == bits(seen[None])
    assert [_said(one) for one in seen[0].records] == [_said(one) for one in seen[None].records]
    assert seen[0].end.scores == seen[None].end.scores
    assert len(left[None]) > 2 * len(left[0])
    ends = {seen[0].end.best.key, seen[0].end.final.key, keys.model("same", 0)}
    assert set(left[0]) == ends


def _large(store) -> list[str]:
    return [key for key in store.keys("") if key.endswith(".safetensors")]


def _said(record) -> dict[str, object]:
    """A record without the heads of the ledgers, which tell of what was removed."""
    return record.model_dump(exclude={"ledgers"})
