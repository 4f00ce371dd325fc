"""Jobs that run one ahead of whoever takes their outcomes."""

from __future__ import annotations

import threading
from functools import partial

import pytest

from fedcore.errors import Refused
from fedcore.rounds.coordinator.ahead import one_ahead

LIMIT = 30


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
