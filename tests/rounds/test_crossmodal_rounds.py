"""Parties of several modalities: encoders of their own, trunk and head for all."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from modality_story import MODALITIES, crossmodal
from pydantic import ValidationError
from rounds_story import ByHand, model, task_file, write_pictures
from sharing_story import arrays_of
from worlds import bits, world

from fedcore.data.cohort import Cohort, open_cohort
from fedcore.errors import RunMismatch, TaskFileError
from fedcore.rounds import coordinator
from fedcore.simulation import simulate_cohorts


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Cohort]:
    folder, found = tmp_path_factory.mktemp("mixed"), {}
    for number, (party, modality) in enumerate(MODALITIES.items()):
        data = write_pictures(folder / party, 16, number, size=20 + 8 * (modality == "xray"))
        seen = crossmodal().seen_by(modality)
        found[party] = open_cohort(data, seen, folder / f"state-{party}")
    return found


def test_encoders_are_combined_among_the_parties_of_their_modality(mixed, tmp_path) -> None:
    """The new model by a formula of its own: per array, the mean over those that hold it."""
    place = world(tmp_path)
    simulate_cohorts(crossmodal(epochs=1), mixed, place, modalities=MODALITIES)
    objects = arrays_of(place)
    start = next(a for key, a in objects.items() if "00000/model" in key)
    after = next(a for key, a in objects.items() if "00001/model" in key)
    sent = {key.split("/")[1]: a for key, a in objects.items() if "update" in key}
    prefixes = {
        party: {name.partition(".")[0] for name in update} for party, update in sent.items()
    }
    assert prefixes["1"] == prefixes["2"] == {"encoder_ct", "trunk", "head"}
    assert prefixes["3"] == {"encoder_xray", "trunk", "head"}
    patients = {party: float(mixed[party].train.patients) for party in sent}
    for name, array in start.items():
        holders = [party for party in sorted(sent) if name in sent[party]]
        assert holders == (
            ["1", "2"] if "_ct" in name else ["3"] if "_xray" in name else ["1", "2", "3"]
        )
        if array.dtype != np.float32:
            continue
        total = sum(patients[party] * sent[party][name].astype(np.float64) for party in holders)
        mean = (total / sum(patients[party] for party in holders)).astype(np.float32)
        assert np.array_equal(after[name], array + mean)


def test_hospitals_of_several_modalities_learn_together(mixed, tmp_path) -> None:
    task = crossmodal(epochs=4, batch_size=4)
    first = simulate_cohorts(task, mixed, world(tmp_path / "a"), modalities=MODALITIES)
    again = simulate_cohorts(task, mixed, world(tmp_path / "b"), modalities=MODALITIES)
    assert first.records[-1].auroc > 0.9
    assert bits(first) == bits(again)


@pytest.mark.parametrize("strategy", ["fedbn", "fedper"])
def test_modalities_go_together_with_parts_that_stay_home(strategy, mixed, tmp_path) -> None:
    place = world(tmp_path)
    task = crossmodal(epochs=1, strategy=strategy)
    outcome = simulate_cohorts(task, mixed, place, modalities=MODALITIES)
    home = set(outcome.hellos["1"].kept_home)
    updates = [arrays for key, arrays in arrays_of(place).items() if "update" in key]
    assert not any(home & update.keys() for update in updates)


def test_a_modality_with_too_few_parties_for_a_robust_strategy_is_named_at_the_welcome(
    mixed, tmp_path
) -> None:
    sentence = r"hostile is 1: median needs 3 parties of each modality for that and ct has 2; name"
    with pytest.raises(TaskFileError, match=sentence):
        simulate_cohorts(
            crossmodal(strategy="median"), mixed, world(tmp_path), modalities=MODALITIES
        )


def test_a_draw_that_may_take_too_few_of_a_modality_is_refused_in_the_task_file() -> None:
    assert crossmodal(participation=0.5).federation.participation == 0.5
    with pytest.raises(ValidationError, match="a draw may take too few of a modality for median"):
        crossmodal(strategy="median", participation=0.5)


def test_modalities_are_learned_by_whoever_is_drawn(mixed, tmp_path) -> None:
    """An encoder that nobody of a round has stays as it was."""
    task = crossmodal(epochs=2, participation=0.34)
    place = world(tmp_path)
    outcome = simulate_cohorts(task, mixed, place, modalities=MODALITIES)
    models = [arrays for key, arrays in sorted(arrays_of(place).items()) if "/model-" in key]
    for number, record in enumerate(outcome.records):
        (drawn,) = (one for one, said in record.parties.items() if said.status == "admitted")
        before = models[number - 1] if number else None
        foreign = "encoder_xray" if MODALITIES[drawn] == "ct" else "encoder_ct"
        for name in () if before is None else before:
            if name.startswith(foreign):
                assert np.array_equal(models[number][name], before[name])


def test_a_party_without_its_modality_is_told_so(mixed, tmp_path) -> None:
    with pytest.raises(TaskFileError, match=r"modality is None: the task file knows ct, xray"):
        crossmodal().seen_by(None)
    with pytest.raises(TaskFileError, match=r"modality is 'mr': the task file knows ct, xray"):
        crossmodal().seen_by("mr")
    with pytest.raises(TaskFileError, match=r"'ct' and the task file names none"):
        task_file().seen_by("ct")


def test_a_hello_of_a_modality_that_was_not_agreed_is_refused(tmp_path) -> None:
    hand = ByHand(tmp_path, ("1",))
    coordinator.found(hand.desk)
    hand.hello("1", model(), modality="ct")
    with pytest.raises(RunMismatch, match="other_modality"):
        coordinator.welcome(hand.desk)
