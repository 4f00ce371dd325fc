"""The cross-site evaluation: every party's last local model, scored everywhere."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from rounds_story import RUN, ByHand, model, task_file
from sharing_story import arrays_of
from worlds import opened, world

from fedcore.config.task import TaskFile
from fedcore.data.cohort import Cohort
from fedcore.exchange import keys
from fedcore.exchange.memory import MemoryStore
from fedcore.rounds import coordinator
from fedcore.rounds.coordinator.local_models import publish_local_models
from fedcore.simulation import simulate_cohorts


@pytest.fixture(scope="module")
def cohorts(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Cohort]:
    return opened(tmp_path_factory.mktemp("hospitals"))


def cross_site(task: TaskFile) -> TaskFile:
    content = task.model_dump(mode="json") | {"evaluation": {"cross_site": True}}
    return TaskFile.model_validate(content)


def test_the_cross_site_evaluation_scores_every_local_model_everywhere(cohorts, tmp_path) -> None:
    """The rebuilt local model is the invitation's plus the party's own update, array by array."""
    place = world(tmp_path)
    outcome = simulate_cohorts(cross_site(task_file()), cohorts, place)
    assert outcome.end.scores.keys() == {"best", "final", "local-1", "local-2"}
    assert all(found.keys() == {"1", "2"} for found in outcome.end.scores.values())
    assert all(one for found in outcome.end.scores.values() for one in found.values())
    objects = arrays_of(place)
    start = next(arrays for key, arrays in objects.items() if "00001/model" in key)
    for party in "12":
        update = next(
            arrays for key, arrays in objects.items() if re.search(f"s/{party}/.*00002/upd", key)
        )
        local = next(arrays for key, arrays in objects.items() if f"final/local-{party}" in key)
        assert all(np.array_equal(local[name], start[name] + update[name]) for name in start)
    shown = [one for kind, one in outcome.ledgers["coordinator"].story() if "shown" in kind]
    assert [one["party"] for one in shown] == ["1", "2"]


def test_what_travels_beside_the_parameters_is_no_part_of_a_local_model(cohorts, tmp_path) -> None:
    task = task_file(strategy="scaffold", epochs=1, training={"optimizer": "sgd"})
    outcome = simulate_cohorts(cross_site(task), cohorts, world(tmp_path))
    assert outcome.end.scores.keys() == {"best", "final", "local-1", "local-2"}


def test_local_models_are_not_shown_unless_asked_for(cohorts, tmp_path) -> None:
    place = world(tmp_path)
    simulate_cohorts(task_file(epochs=1), cohorts, place)
    assert not [key for key in place.store.keys("") if "local-" in key]


def test_a_party_whose_update_has_vanished_is_left_out_and_noted(tmp_path) -> None:
    hand = ByHand(tmp_path, ("1", "2"))
    invitation = hand.open()
    for party in "12":
        hand.reply(invitation, party, model(1.0))
    hand.combine(1)
    done = [coordinator.record(hand.desk, 1, 1.0)]
    kept = MemoryStore()
    for key in hand.store.keys(""):
        if key != keys.update("2", RUN, 1):
            kept.put_once(key, hand.store.get(key))
    assert publish_local_models(replace(hand.desk, store=kept), done).keys() == {"local-1"}
    story = hand.desk.ledger.story()
    assert [one["party"] for kind, one in story if kind == "local_model_missing"] == ["2"]
