"""A model's step in a round by hand: numbers as an arithmetic of the test's own has them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from rounds_story import ByHand
from test_model_steps import PARTIES, SMALL, stepping

from fedcore.exchange import codec, packing
from fedcore.rounds import coordinator, sealed
from fedcore.rounds.coordinator.combining import combined_of
from fedcore.rounds.messages import Combined


def played(folder: Path, name: str, order: tuple[str, ...]) -> Combined:
    """A round by hand, with replies in this order."""
    hand = ByHand(folder, PARTIES)
    hand.task = stepping(hand.task, name)
    hand.desk = dataclasses.replace(hand.desk, task=hand.task)
    start = {"count": np.array(3, np.int64), "weight": np.array([1, 10, 100], np.float32)}
    invitation = hand.open(start)
    for who in order:
        update = {"count": np.array(2, np.int64), "weight": np.full(3, 1 / 3, np.float32)}
        update["weight"] *= np.float32(who)
        packed = packing.pack(update, name, 1.0, int(who))
        hand.reply(invitation, who, packed, changes={"codec": name})
    made = hand.combine()
    combined = combined_of(hand.desk, 1)
    step = codec.decode(sealed.fetch(hand.store, combined.step))
    assert int(made["count"]) == int(step["count"]) == 5
    if name == "bfloat16":
        thirds = [eight_digits(np.float32(1 / 3) * np.float32(who)) for who in PARTIES]
        mean = np.float32(sum(float(one) for one in thirds) / 3)
        way = (start["weight"] + mean) - start["weight"]
        expected = start["weight"] + np.array([eight_digits(one) for one in way], np.float32)
        assert made["weight"].tolist() == expected.tolist()
    return combined


def eight_digits(value: np.float32) -> np.float32:
    """The nearest number of eight binary digits, by the definition."""
    mantissa, exponent = np.frexp(np.float64(value))
    return np.float32(np.ldexp(np.rint(mantissa * 256) / 256, exponent))


@pytest.mark.parametrize("name", SMALL)
def test_a_step_does_not_depend_on_the_order_of_arrival(name, tmp_path):
    first = played(tmp_path / "a", name, PARTIES)
    again = played(tmp_path / "b", name, PARTIES[::-1])
    assert first == again


def test_a_step_is_named_only_where_it_leads_to_the_invitations_model(tmp_path):
    hand = ByHand(tmp_path, PARTIES)
    hand.task = stepping(hand.task)
    hand.desk = dataclasses.replace(hand.desk, task=hand.task)
    invitation = hand.open()
    for who in PARTIES:
        update = {"count": np.array(2, np.int64), "weight": np.ones(4, np.float32)}
        packed = packing.pack(update, "int8", 1.0, 0)
        hand.reply(invitation, who, packed, changes={"codec": "int8"})
    hand.combine()
    assert coordinator.invite(hand.desk, 2, invitation.weights).step is None
