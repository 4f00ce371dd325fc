"""What a party carries from round to round lies on its disk alone, and fits whatever happened."""

from __future__ import annotations

import pytest
from test_mid_round import Hospital, Killed

from fedcore.exchange import codec
from fedcore.rounds import party
from fedcore.rounds.party import carrying
from fedcore.training.carried import Carried


@pytest.fixture
def hospital(tmp_path):
    """A hospital whose optimiser is kept and whose loader goes on."""

    def make(name="one", **training):
        folder = tmp_path / name
        folder.mkdir()
        return Hospital(folder, training)

    return make


KEPT = {"optimizer_state": "kept", "loader": "continuing"}


def test_a_party_killed_in_a_round_and_again_at_its_end_goes_on_to_the_same_bits(hospital):
    whole = hospital("whole", **KEPT)
    expected = party.train(whole.start(), 1)
    killed = hospital("killed", **KEPT)
    killed.kill_at = 3
    with pytest.raises(Killed):
        party.train(killed.start(), 1)
    killed.kill_at, killed.at_the_end = None, lambda: (_ for _ in ()).throw(Killed)
    with pytest.raises(Killed):
        party.train(killed.start(), 1)
    killed.at_the_end = lambda: None
    assert party.train(killed.start(), 1) == expected
    after = [carrying.before(one.start(), 2).fingerprint() for one in (whole, killed)]
    assert after[0] == after[1] != Carried().fingerprint()


def test_a_round_that_is_repeated_begins_with_what_it_began_with(hospital):
    one = hospital(**KEPT)
    desk = one.start()
    carrying.keep(desk, Carried(5), 1)
    carrying.keep(desk, Carried(9), 2)
    assert [carrying.before(desk, number).steps for number in (1, 2, 3)] == [0, 5, 9]


def test_rounds_that_a_party_missed_change_nothing(hospital):
    desk = hospital(**KEPT).start()
    carrying.keep(desk, Carried(5), 1)
    assert carrying.before(desk, 8).steps == 5


def test_two_rounds_are_kept_and_no_more(hospital):
    desk = hospital(**KEPT).start()
    for number in range(1, 9):
        carrying.keep(desk, Carried(number), number)
    names = sorted(path.name for path in desk.spool.glob("carried-*"))
    assert names == ["carried-00007.safetensors", "carried-00008.safetensors"]


def test_a_task_that_carries_nothing_keeps_nothing(hospital):
    one = hospital()
    party.train(one.start(), 1)
    assert list(one.start().spool.glob("carried-*")) == []


def test_what_is_carried_never_enters_the_exchange(hospital):
    one = hospital(**KEPT)
    party.train(one.start(), 1)
    party.upload(one.start(), 1)
    moments = carrying.before(one.start(), 2).optimizer
    assert any(array.any() for array in moments.values())
    bodies = [one.store.get(key) for key in one.store.keys("") if key.endswith(".safetensors")]
    names = {name for body in bodies for name in codec.decode(body)}
    assert names
    assert not any("exp_avg" in name or name.startswith("optimizer") for name in names)
