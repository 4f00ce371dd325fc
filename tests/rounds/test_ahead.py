"""Jobs that run one ahead of whoever takes their outcomes."""

from __future__ import annotations

import hashlib
import threading
from functools import partial
from pathlib import Path

import pytest
from rounds_story import ByHand, model

from fedcore.errors import Refused
from fedcore.exchange.memory import MemoryStore
from fedcore.rounds import coordinator
from fedcore.rounds.coordinator.ahead import one_ahead

LIMIT = 30


class Meeting(MemoryStore):
    """A store in which two updates come down at the same time, half by half."""

    def __init__(self) -> None:
        super().__init__()
        self.both = threading.Barrier(2)

    def get_to_file(self, key: str, path: Path) -> str:
        if not key.startswith("parties/") or "/update" not in key:
            return super().get_to_file(key, path)
        body = self.get(key)
        path.write_bytes(body[: len(body) // 2])
        self.both.wait(LIMIT)
        with path.open("ab") as file:
            file.write(body[len(body) // 2 :])
        self.both.wait(LIMIT)
        return hashlib.sha256(body).hexdigest()


def test_two_parties_that_sent_the_same_bytes_at_the_same_time_are_both_admitted(tmp_path):
    hand = ByHand(tmp_path, ("1", "2"), Meeting(), strategy="median", hostile=0)
    invitation = hand.open()
    for party in ("1", "2"):
        hand.reply(invitation, party, model(1.0))
    combined = coordinator.combine(hand.desk, 1, {"1": "replied", "2": "replied"})
    assert combined.absent == {}
    assert combined.weights.keys() == {"1", "2"}


def test_outcomes_come_in_order_and_a_failure_is_raised_where_it_is_asked_for(capfd):
    def act(number: int) -> int:
        if number == 2:
            raise Refused("norm", "too long")
        return number

    outcomes = list(one_ahead(partial(act, number) for number in range(5)))
    assert [outcomes[number].result(LIMIT) for number in (0, 1, 3, 4)] == [0, 1, 3, 4]
    with pytest.raises(Refused, match="too long"):
        outcomes[2].result(LIMIT)
    assert capfd.readouterr().err == ""


def test_the_next_job_is_under_way_and_the_one_after_it_is_not():
    begun = [threading.Event() for _ in range(4)]
    outcomes = one_ahead(event.set for event in begun)
    for number in range(4):
        next(outcomes).result(LIMIT)
        assert begun[min(number + 1, 3)].wait(LIMIT)
        assert not any(event.is_set() for event in begun[number + 2 :])


def test_no_jobs_have_no_outcomes():
    assert list(one_ahead([])) == []
