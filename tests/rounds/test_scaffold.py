"""SCAFFOLD between real parties: the formulas of its paper, and controls that tell one story."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rounds_pair import Pair
from rounds_story import RUN, Time, hospitals, task_file

from fedcore.data.cohort import open_cohort
from fedcore.errors import Refused, RunMismatch
from fedcore.exchange import codec, keys
from fedcore.exchange.folder import FolderStore
from fedcore.params import CONTROL, Params, digest, part
from fedcore.rounds import party, sealed
from fedcore.rounds.coordinator.combining import combined_of
from fedcore.rounds.party import controls, spool, weights
from fedcore.simulation import World, simulate_cohorts
from fedcore.training.gradient import mean_gradient

LR = 0.01


def scaffold(folder: Path, momentum: float = 0.0, **federation: object) -> Pair:
    training = {"optimizer": "sgd", "momentum": momentum}
    fields = {"strategy": "scaffold", "lr": LR, "local_steps": 4, **federation}
    return Pair(folder, training=training, **fields)


def sent(world: Pair, name: str, number: int) -> Params:
    return codec.decode(world.store.get(keys.update(name, RUN, number)))


def common(world: Pair, number: int) -> Params:
    """c after a round."""
    ref = combined_of(world.lead, number).memory
    assert ref is not None
    return part(codec.decode(sealed.fetch(world.store, ref)), CONTROL)


def own(world: Pair, name: str, after: int) -> Params:
    """c_i after a round: what was kept with the party's newest update that was combined."""
    desk = next(desk for desk in world.desks if desk.party == name)
    for number in range(after, 0, -1):
        sha256 = combined_of(world.lead, number).updates.get(name)
        if sha256 is not None:
            (path,) = desk.spool.glob(f"control-*-{sha256}.safetensors")
            return codec.decode(path.read_bytes())
    return {}


def require_one_story(world: Pair, after: int) -> None:
    """c is the weighted mean of the parties' own controls."""
    patients = {desk.party: desk.cohort.train.patients for desk in world.desks}
    owns = {name: own(world, name, after) for name in patients}
    for name, array in common(world, after).items():
        zeros = np.zeros_like(array)
        parts = [patients[one] * owns[one].get(name, zeros) for one in patients]
        expected = sum(parts) / sum(patients.values())
        np.testing.assert_allclose(array, expected, rtol=1e-4, atol=1e-6)


def play(world: Pair, number: int) -> None:
    """A round that both parties answer in time."""
    if number > 1:
        world.invite(number)
    for desk in world.desks:
        world.answer(desk, number)
    world.close(number)


# Wang et al. 2020: ||a||_1 of four steps with momentum 0.5 is (4 - 0.5 (1 - 0.5^4) / 0.5) / 0.5.
@pytest.mark.parametrize(("momentum", "length"), [(0.0, 4.0), (0.5, 6.125)])
def test_three_rounds_are_option_2_of_the_paper(momentum, length, tmp_path) -> None:
    world = scaffold(tmp_path, momentum)
    world.open()
    before: Params = {}
    for number in (1, 2, 3):
        play(world, number)
        for name in ("1", "2"):
            body = sent(world, name, number)
            for changed, array in part(body, CONTROL).items():
                expected = -body[changed] / (length * LR) - before.get(changed, 0.0)
                np.testing.assert_allclose(array, expected, rtol=1e-3, atol=1e-3)
        require_one_story(world, number)
        before = common(world, number)
    assert all(np.abs(array).max() > 0 for array in before.values())
    assert not any("running" in name or "num_batches" in name for name in before)


def test_with_option_1_a_control_is_the_gradient_at_the_global_model(tmp_path) -> None:
    world = scaffold(tmp_path, control="option_1")
    world.open()
    for number in (1, 2):
        play(world, number)
        require_one_story(world, number)
    desk = world.desks[1]
    start = weights.open_model(desk, combined_of(world.lead, 1).model)
    gradient = mean_gradient(desk.network, start, desk.cohort.train, world.task)
    for name, array in own(world, "2", 2).items():
        np.testing.assert_allclose(array, gradient[name], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("late", ["discard", "next_round"])
def test_an_update_that_missed_its_round_moves_both_controls_or_neither(late, tmp_path) -> None:
    world = scaffold(tmp_path, late=late)
    world.open()
    missed = party.train(world.desks[1], 1)
    world.answer(world.desks[0], 1)
    world.close(1)
    assert party.upload(world.desks[1], 1) is None
    require_one_story(world, 1)
    assert own(world, "2", 1) == {}
    for number in (2, 3):
        play(world, number)
        require_one_story(world, number)
    counted = combined_of(world.lead, 2).updates["2"] == missed
    assert counted == (late == "next_round")


def test_a_control_that_has_gone_from_the_spool_ends_the_training_in_a_sentence(tmp_path) -> None:
    world = scaffold(tmp_path)
    world.open()
    play(world, 1)
    world.invite(2)
    for path in world.desks[1].spool.glob("control-*"):
        path.unlink()
    with pytest.raises(RunMismatch, match=r"host-2: the control variate .* is not in this party"):
        party.train(world.desks[1], 2)


def test_a_common_control_of_another_network_is_refused(tmp_path) -> None:
    world = scaffold(tmp_path)
    world.open()
    play(world, 1)
    body = codec.encode({"control/other": np.zeros(3, np.float32)})
    other = sealed.reference(keys.numbered_memory(RUN, 1, "f" * 64), body)
    world.store.put_once(other.key, body)
    combined = combined_of(world.lead, 1)
    world.lead.memory[keys.combined(RUN, 1)] = combined.model_copy(update={"memory": other})
    world.invite(2)
    with pytest.raises(Refused, match="schema"):
        party.train(world.desks[1], 2)


def test_a_party_keeps_no_more_than_two_controls_on_its_disk(tmp_path) -> None:
    world = scaffold(tmp_path)
    world.open()
    for number in (1, 2, 3):
        play(world, number)
    assert len(list(world.desks[0].spool.glob("control-*"))) == 2
    assert len(list(world.desks[0].spool.glob("memory-*"))) == 1


class Killed(Exception):
    """Nothing that is not on the disk survives."""


@pytest.mark.parametrize(
    ("control", "after"),
    [("option_1", True), ("option_2", False)],
    ids=["after each write", "before each write"],
)
def test_a_party_killed_at_every_write_to_its_disk_ends_with_the_same_bits(
    control, after, tmp_path, monkeypatch
) -> None:
    task = task_file(strategy="scaffold", control=control)
    cohorts = {
        name: open_cohort(data, task, tmp_path / f"state-{name}")
        for name, data in hospitals(tmp_path).items()
    }

    def train(folder: str) -> str:
        time, store = Time(), FolderStore(tmp_path / folder / "exchange")
        store.prepare()
        place = World(tmp_path / folder, store, time.watch(), wall_clock=time.clock)
        return digest(simulate_cohorts(task, cohorts, place).final)

    whole, written = train("whole"), set()
    for module in (controls, spool, weights):
        monkeypatch.setattr(module, "replace_with", struck(module.replace_with, written, after))
    body = struck(spool.replace_and_hash, written, after)
    monkeypatch.setattr(spool, "replace_and_hash", body)
    kills = 0
    while True:
        try:
            again = train("killed")
            break
        except Killed:
            kills += 1
    assert again == whole
    assert kills == len(written) >= 3 * 2 * 2  # control, update and note, two rounds, two parties


def struck(write, written: set[Path], after: bool):
    """The first write of each file kills the process, before or after it has come to stand."""

    def strike(path, chunks, **how):
        if path in written:
            return write(path, chunks, **how)
        written.add(path)
        if after:
            write(path, chunks, **how)
        raise Killed

    return strike
