"""Beside the pooled value stands the plain average of the parties, where each counts the same."""

from __future__ import annotations

import numpy as np
from rounds_story import ByHand, model

from fedcore.explain.metric_words import HEADINGS
from fedcore.metrics import METRICS
from fedcore.rounds import coordinator
from fedcore.rounds.coordinator.combining import combined_of
from fedcore.rounds.messages import Averages, Numbers, PartyResult, Record


def test_record_and_end_hold_the_average_over_parties_beside_the_pooled_value(tmp_path) -> None:
    world = ByHand(tmp_path, ("1", "2"), epochs=1, select_by="average_accuracy")
    invitation = world.open()
    for party in world.parties:
        world.reply(invitation, party, {**model(0.5), "count": np.array(1, np.int64)})
    world.combine()
    sha256 = combined_of(world.desk, 1).model.sha256
    world.score(1, "1", sha256, right=18, wrong=0)
    world.score(1, "2", sha256, right=1, wrong=1)
    record = coordinator.record(world.desk, 1, 1.0)
    assert record.accuracy == 19 / 20
    assert record.average_accuracy == (1.0 + 0.5) / 2
    assert record.average_loss == (1 / 18 + 1 / 2) / 2
    coordinator.request_final_test(world.desk)
    world.score(0, "1", sha256, right=8, wrong=0)
    world.score(0, "2", sha256, right=0, wrong=2)
    end = coordinator.conclude(world.desk)
    assert end.averages["best"]["accuracy"] == 0.5
    assert end.averages["final"] == end.averages["best"]


def test_withheld_scores_make_no_average(tmp_path) -> None:
    world = ByHand(tmp_path, ("1",), epochs=1)
    world.reply(world.open(), "1", model(0.5))
    world.combine()
    record = coordinator.record(world.desk, 1, 1.0)
    assert (record.average_loss, record.average_accuracy, record.average_auroc) == (None,) * 3


def test_that_nobody_validates_is_said_once_and_in_the_first_round(tmp_path) -> None:
    world = ByHand(tmp_path, ("1",), epochs=2, early_stopping={"patience": 1})
    weights = world.open().weights
    for number in (1, 2):
        invitation = coordinator.invite(world.desk, number, weights)
        world.reply(invitation, "1", model(0.5))
        world.combine(number)
        coordinator.record(world.desk, number, 1.0)
    [sentence] = [one for one in world.said if "validation" in one]
    assert sentence.startswith("round 1 has no auroc on validation data")


def test_every_metric_has_a_field_for_all_for_one_and_for_the_average_and_a_title() -> None:
    assert {*Numbers.model_fields} == {*METRICS} == {*HEADINGS}
    assert {*Averages.model_fields} == {f"average_{name}" for name in METRICS}
    assert {*METRICS, *Averages.model_fields} <= {*Record.model_fields}
    assert {*METRICS} <= {*PartyResult.model_fields}
