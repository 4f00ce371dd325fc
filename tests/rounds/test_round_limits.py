"""What no round takes, whatever was agreed, and what a void round leaves behind."""

from __future__ import annotations

import numpy as np
import pytest
from rounds_story import ByHand

from fedcore.errors import QuorumNotMet
from fedcore.rounds.coordinator.combining import combined_of

GOOD = {"count": np.array(2, np.int64), "weight": np.ones(4, np.float32)}


def test_a_huge_update_is_refused_where_no_norm_was_agreed(tmp_path) -> None:
    world = ByHand(tmp_path)
    invitation = world.open()
    huge = {**GOOD, "weight": np.full(4, 1e30, np.float32)}
    for party, update in (("1", GOOD), ("2", huge), ("3", GOOD)):
        world.reply(invitation, party, update)
    new = world.combine()
    assert combined_of(world.desk, 1).absent == {"2": "norm"}
    assert np.array_equal(new["weight"], np.ones(4, np.float32))


def test_a_void_round_leaves_its_reasons_in_the_ledger(tmp_path) -> None:
    world = ByHand(tmp_path, quorum=2)
    invitation = world.open()
    world.reply(invitation, "1", GOOD)
    world.reply(invitation, "2", b"no update")
    with pytest.raises(QuorumNotMet):
        world.combine()
    [absent] = [one["absent"] for kind, one in world.desk.ledger.story() if kind == "round_void"]
    assert absent == {"2": "not_safetensors", "3": "late"}
