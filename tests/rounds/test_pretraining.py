"""A public stage before round 1: at the guest alone, once, resumable, in its ledger."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from rounds_story import RUN, hospitals, write_pictures
from test_mid_round import Hospital, Killed
from worlds import bits, stories, world

from fedcore.config.pretrain import PretrainSection
from fedcore.data.cohort import open_cohort
from fedcore.errors import DataError
from fedcore.exchange import codec, keys
from fedcore.models.catalogue import build
from fedcore.models.state import to_params
from fedcore.params import digest
from fedcore.rounds import party
from fedcore.rounds.party.pretraining import pretrained
from fedcore.simulation import simulate
from fedcore.training.pretraining import stage_task

HEAD = {"11.weight", "11.bias"}


@pytest.fixture
def guest(tmp_path):
    """A guest with a folder of public images; `opened` counts how often it was opened."""

    class Guest(Hospital):
        def __init__(self, name: str, stage: Mapping[str, object], classes=()) -> None:
            folder = tmp_path / name
            folder.mkdir()
            super().__init__(folder)
            self.opened = 0
            section = PretrainSection.model_validate(stage)
            self.task = self.task.model_copy(update={"pretrain": section})
            public = write_pictures(folder / "public", patients=12, seed=9)
            for number, label in enumerate(classes):
                (public / ("NORMAL", "PNEUMONIA")[number]).rename(public / label)
            self.public = open_cohort(public, stage_task(self.task), folder / "public-state")

        def open(self):
            self.opened += 1
            return self.public

        def start(self) -> party.Desk:
            desk = super().start()
            return replace(desk, public=self.open) if hasattr(self, "public") else desk

    return Guest


def changed(one, start) -> set[str]:
    return {name for name in start if not np.array_equal(one[name], start[name])}


def test_the_same_classes_are_learned_with_their_classifier_and_others_without(guest):
    same = guest("same", {"epochs": 1})
    other = guest("other", {"epochs": 1}, classes=("cat", "dog"))
    start = to_params(build(same.task.model, same.task.seed))
    names = set(start)
    assert changed(pretrained(same.start(), start), start) == names
    assert changed(pretrained(other.start(), start), start) == names - HEAD


def test_another_number_of_classes_leaves_the_models_classifier_as_it_is(guest, tmp_path):
    one = guest("three", {"epochs": 1, "num_classes": 3, "classes": ["NORMAL", "PNEUMONIA", "x"]})
    start = to_params(build(one.task.model, one.task.seed))
    found = pretrained(one.start(), start)
    assert changed(found, start) == set(start) - HEAD
    assert found["11.weight"].shape == start["11.weight"].shape


def test_a_stage_killed_in_its_midst_goes_on_to_the_same_bits_and_is_done_once(guest):
    whole, killed = guest("whole", {"epochs": 3}), guest("killed", {"epochs": 3})
    start = to_params(build(whole.task.model, whole.task.seed))
    expected = digest(pretrained(whole.start(), start))
    killed.kill_at = 4
    with pytest.raises(Killed):
        pretrained(killed.start(), start)
    killed.kill_at, killed.steps = None, []
    assert digest(pretrained(killed.start(), start)) == expected
    assert killed.steps[0] == 4
    assert digest(pretrained(killed.start(), start)) == expected
    assert killed.opened == 2
    assert list((killed.folder / "spool" / "checkpoint").iterdir()) == []


def test_a_guest_without_the_folder_is_told_where_to_name_it(guest):
    one = guest("bare", {"epochs": 1})
    start = to_params(build(one.task.model, one.task.seed))
    with pytest.raises(DataError, match=r"--pretrain, or as local\.pretrain"):
        pretrained(replace(one.start(), public=None), start)


def test_only_the_guest_pretrains_and_says_so_in_its_ledger(guest, tmp_path):
    task = guest("unused", {"epochs": 1}).task
    public = tmp_path / "unused" / "public"
    folders = hospitals(tmp_path / "hospitals")
    first = simulate(task, folders, world(tmp_path / "a"), public=public)
    again = simulate(task, folders, world(tmp_path / "b"), public=public)
    plain = simulate(
        task.model_copy(update={"pretrain": None}), folders, world(tmp_path / "c"), public=public
    )
    assert bits(first) == bits(again) != bits(plain)
    story = {owner: [kind for kind, _ in told] for owner, told in stories(first).items()}
    assert [owner for owner, kinds in story.items() if "pretrained" in kinds] == ["party-1"]
    assert story["party-1"].index("pretrained") < story["party-1"].index("left")


def test_what_the_guest_puts_into_the_exchange_is_the_pretrained_model(guest):
    one = guest("said", {"epochs": 1})
    one.store = type(one.store)()
    party.greet(one.start())
    initial = codec.decode(one.store.get(keys.initial("1", RUN)))
    start = to_params(build(one.task.model, one.task.seed))
    assert digest(initial) == digest(pretrained(one.start(), start)) != digest(start)
