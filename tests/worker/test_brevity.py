"""What a flow process does not tell Prefect: that a step was pending, once it is running."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flows.worker.brevity import brief

LOG = {"kind": "log", "body": {"message": "a line"}}


def told(task: str, state: str, follows: str | None = None) -> dict:
    name = f"prefect.task-run.{state}"
    return {"kind": "event", "body": {"id": f"{task}-{state}", "event": name, "follows": follows}}


def story(task: str) -> list[dict]:
    """A step as its three events."""
    return [
        told(task, "Pending"),
        told(task, "Running", f"{task}-Pending"),
        told(task, "Completed", f"{task}-Running"),
    ]


def test_a_step_that_is_only_pending_is_told_of() -> None:
    items = [*story("a")[:1], LOG, *story("b")[1:]]
    assert brief(items) == items


def test_a_step_that_runs_by_now_is_not_told_of_as_pending() -> None:
    found = brief([*story("a")[:2], LOG])
    assert [one["body"].get("id") for one in found] == ["a-Running", None]
    assert found[0]["body"]["follows"] is None


@given(st.permutations(range(9)), st.integers(0, 9))
def test_running_and_the_end_of_each_step_stay_in_their_order(order, cut) -> None:
    whole = [one for task in "abc" for one in story(task)]
    items = [whole[place] for place in sorted(order[:cut])]
    kept = [one["body"]["id"] for one in brief(items)]
    there = {one["body"]["id"] for one in items}
    gone = {f"{task}-Pending" for task in "abc" if f"{task}-Running" in there}
    assert kept == [one["body"]["id"] for one in items if one["body"]["id"] not in gone]


def test_nothing_that_is_told_waits_for_what_is_not() -> None:
    found = brief([one for task in "ab" for one in story(task)])
    ids = {one["body"]["id"] for one in found}
    assert {one["body"]["follows"] for one in found} - ids == {None}
