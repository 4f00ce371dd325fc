"""Strategies that remember, over the exchange: what travels, what is admitted, what is kept."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rounds_story import RUN, ByHand, model

from fedcore.exchange import codec, keys
from fedcore.params import Params
from fedcore.rounds import coordinator, sealed
from fedcore.rounds.coordinator.combining import combined_of
from fedcore.rounds.messages import Invitation

COUNT = np.array(0, np.int64)


def update(value: float, control: float | None = None) -> Params:
    """An update of the hand-made model, with the change of its control if there is one."""
    plain: Params = {"count": COUNT, "weight": np.full(4, value, np.float32)}
    if control is None:
        return plain
    return plain | {"control/weight": np.full(4, control, np.float32)}


def invite(world: ByHand, number: int) -> Invitation:
    return coordinator.invite(world.desk, number, combined_of(world.desk, number - 1).model)


def memory_of(world: ByHand, number: int) -> Params:
    """What the strategy remembers after a round, as parties can read it."""
    ref = combined_of(world.desk, number).memory
    assert ref is not None
    return codec.decode(sealed.fetch(world.store, ref))


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (update(1.0), "schema"),
        (update(1.0, 1.0) | {"control/count": COUNT}, "schema"),
        (update(1.0, np.nan), "not_finite"),
        (update(1.0) | {"control/weight": np.zeros(5, np.float32)}, "shape"),
        (update(9.0, 0.0), "norm"),
    ],
    ids=["no control", "a control of a counter", "nan", "another shape", "a huge norm"],
)
def test_an_update_of_scaffold_is_refused_with(body, reason, tmp_path) -> None:
    world = ByHand(tmp_path, strategy="scaffold", clip_norm=2.0)
    invitation = world.open()
    world.reply(invitation, "1", update(1.0, 0.0))
    world.reply(invitation, "2", body)
    world.combine()
    assert combined_of(world.desk, 1).absent == {"2": reason, "3": "late"}


def test_the_norm_bounds_the_parameters_alone_and_not_their_controls(tmp_path) -> None:
    world = ByHand(tmp_path, strategy="scaffold", clip_norm=2.0)
    world.reply(world.open(), "1", update(1.0, 1e6))
    assert world.combine()["weight"].tolist() == [1.0] * 4


def test_an_update_with_controls_is_refused_where_the_strategy_has_none(tmp_path) -> None:
    world = ByHand(tmp_path)
    invitation = world.open()
    world.reply(invitation, "1", update(1.0))
    world.reply(invitation, "2", update(1.0, 1.0))
    world.combine()
    assert combined_of(world.desk, 1).absent["2"] == "schema"


def test_the_common_control_moves_by_the_share_of_all_members_that_took_part(tmp_path) -> None:
    world = ByHand(tmp_path, strategy="scaffold")
    first = world.open()
    assert first.memory is None
    world.reply(first, "1", update(1.0, 3.0))
    world.reply(first, "3", update(3.0, 9.0))
    assert world.combine()["weight"].tolist() == [2.0] * 4
    assert memory_of(world, 1)["control/weight"].tolist() == [4.0] * 4  # 2 of 3, mean 6
    second = invite(world, 2)
    assert second.memory == combined_of(world.desk, 1).memory
    world.reply(second, "2", update(1.0, -3.0))
    assert world.combine(2)["weight"].tolist() == [3.0] * 4
    assert memory_of(world, 2)["control/weight"].tolist() == [3.0] * 4


def test_the_common_control_weighs_parties_as_the_model_does(tmp_path) -> None:
    world = ByHand(tmp_path, strategy="scaffold", weighting="patients")
    world.patients = {"1": 10, "2": 10, "3": 20}
    first = world.open()
    world.reply(first, "1", update(0.0, 4.0))
    world.reply(first, "3", update(4.0, 8.0))
    world.combine()
    assert memory_of(world, 1)["control/weight"].tolist() == [1 + 4] * 4


def test_a_member_that_never_came_counts_as_the_mean_of_the_others(tmp_path) -> None:
    world = ByHand(tmp_path, strategy="scaffold", weighting="equal", deadline=1.0)
    coordinator.found(world.desk)
    for party in ("1", "2"):
        world.hello(party, model())
    coordinator.welcome(world.desk)
    start = coordinator.adopt_initial_model(world.desk)
    world.reply(coordinator.invite(world.desk, 1, start), "1", update(0.0, 6.0))
    world.combine()
    assert memory_of(world, 1)["control/weight"].tolist() == [2.0] * 4


def test_fednova_divides_by_what_the_replies_say(tmp_path) -> None:
    world = ByHand(tmp_path, strategy="fednova", weighting="equal")
    invitation = world.open()
    world.reply(invitation, "1", update(2.0), changes={"normaliser": 1.0})
    world.reply(invitation, "2", update(6.0), changes={"normaliser": 3.0})
    assert world.combine()["weight"].tolist() == [4.0] * 4  # 2 a step, 2 steps in the mean


@pytest.mark.parametrize("wrong", [0.0, -1.0, 1e300])
def test_a_normaliser_that_no_training_has_is_refused(wrong, tmp_path) -> None:
    world = ByHand(tmp_path, strategy="fednova")
    invitation = world.open()
    world.reply(invitation, "1", update(1.0))
    world.reply(invitation, "2", update(1.0), changes={"normaliser": wrong})
    world.combine()
    assert combined_of(world.desk, 1).absent["2"] == "malformed"


@pytest.mark.parametrize("strategy", ["fedavgm", "fedadam", "fedyogi", "fedadagrad", "scaffold"])
def test_what_is_remembered_reaches_the_next_round_through_the_exchange(strategy, tmp_path) -> None:
    """A coordinator that was started anew before each round has nothing but the exchange."""
    models = []
    for fresh in (False, True):
        (tmp_path / str(fresh)).mkdir()
        world = ByHand(tmp_path / str(fresh), strategy=strategy)
        control = 1.0 if strategy == "scaffold" else None
        invitation = world.open()
        for number in (1, 2, 3):
            for party in world.parties:
                world.reply(invitation, party, update(float(party), control))
            if fresh:
                world.restart()
            new = world.combine(number)
            invitation = invite(world, number + 1)
        models.append((new["weight"].tolist(), memory_of(world, 3)))
    assert models[0][0] == models[1][0]
    assert codec.encode(models[0][1]) == codec.encode(models[1][1])
    assert not any("count" in name for name in models[0][1])


@pytest.mark.parametrize("strategy", ["fedavgm", "fedyogi", "fednova", "scaffold"])
@settings(max_examples=5)
@given(order=st.permutations(["1", "2", "3"]))
def test_the_order_of_arrival_changes_no_bit(tmp_path_factory, strategy, order) -> None:
    found = []
    for arrival in (order, ["1", "2", "3"]):
        world = ByHand(tmp_path_factory.mktemp("order"), strategy=strategy, weighting="patients")
        world.patients = {"1": 7, "2": 14, "3": 21}
        invitation = world.open(model(0.1))
        for party in arrival:
            control = 0.3 * int(party) if strategy == "scaffold" else None
            body = update(0.1 * int(party), control)
            world.reply(invitation, party, body, changes={"normaliser": 0.7 * int(party)})
        world.combine()
        combined = combined_of(world.desk, 1)
        found.append((combined.model.sha256, combined.memory and combined.memory.sha256))
    assert found[0] == found[1]


def test_a_strategy_that_remembers_nothing_writes_no_memory(tmp_path) -> None:
    world = ByHand(tmp_path, strategy="fedavgm", server_momentum=0.0)
    world.reply(world.open(), "1", update(1.0))
    world.combine()
    assert combined_of(world.desk, 1).memory is None
    assert not [key for key in world.store.keys(keys.rounds_folder(RUN)) if "memory" in key]
