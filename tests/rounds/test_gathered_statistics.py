"""The coordinator's side of the statistics: who does not fit is left out, and nothing stops."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from rounds_story import CLASSES, RUN, ByHand, asking, key_of, model

from fedcore.exchange import keys
from fedcore.rounds import coordinator, sealed
from fedcore.rounds.statistics_messages import PooledStatistics, Statistics
from fedcore.statistics import ColumnSummary, Layout


def open_by_hand(folder: Path, **federation: object) -> ByHand:
    """Three parties that have said hello to a training with statistics."""
    story = ByHand(folder, **federation)
    task = asking("counts", **{"quorum": 1, **federation})
    story.task = task
    story.desk = replace(story.desk, task=task)
    coordinator.found(story.desk)
    for owner in story.parties:
        story.hello(owner, model())
    coordinator.welcome(story.desk)
    return story


def summaries(count: int = 20) -> tuple[dict, ...]:
    names = ("class/train", "class/validation", "class/test")
    known = [Layout(name, "categorical", labels=CLASSES, complete=True) for name in names]
    return tuple(
        ColumnSummary(layout, count, 0, (count // 2, count - count // 2, 0)).to_json()
        for layout in known
    )


def tell(story: ByHand, owner: str, signer: str | None = None, **changes: object) -> None:
    """Put a party's statistics into the exchange; `changes` lie about them."""
    message = Statistics(
        run=RUN,
        party=owner,
        task_hash=story.task.fingerprint(),
        contract_hash="c" * 64,
        patients=10,
        images=20,
        columns=summaries(),
    ).model_copy(update=changes)
    key = keys.statistics(owner, RUN)
    sealed.publish(story.store, key, message, key_of(signer or owner))


def test_each_party_and_all_together_stand_in_one_signed_object(tmp_path) -> None:
    story = open_by_hand(tmp_path)
    for owner in story.parties:
        tell(story, owner)
    pooled = coordinator.gather_statistics(story.desk)
    assert pooled is not None
    assert set(pooled.parties) == {"1", "2", "3"}
    assert pooled.total[0]["cells"] == [30, 30, 0]
    key = keys.pooled_statistics(RUN)
    assert sealed.read(story.store, key, PooledStatistics, key_of("coordinator").public) == pooled


def first_column(**changes: object) -> dict[str, object]:
    columns = summaries()
    return {"columns": (columns[0] | changes, *columns[1:])}


LIES = {
    "malformed": first_column(cells=[-3, 23, 0]),
    "wrong_party": {"party": "3"},
    "wrong_task": {"task_hash": "0" * 64},
    "data_changed": {"contract_hash": "0" * 64},
    "wrong_counts": {"patients": 11},
    "wrong_run": {"run": "other"},
    "withheld: policy": {"columns": None, "withheld": "policy"},
    "withheld: few_patients": {"columns": None, "withheld": "few_patients"},
}
MALFORMED = {
    "another column": first_column(name="age"),
    "a huge list": first_column(labels=["x"] * 10_000),
    "too few columns": {"columns": summaries()[:1]},
    "too many columns": {"columns": summaries() * 1000},
    "no columns": {"columns": ()},
}


@pytest.mark.parametrize("reason", LIES)
def test_statistics_that_do_not_fit_leave_their_party_out_with_the_reason(reason, tmp_path) -> None:
    story = open_by_hand(tmp_path)
    tell(story, "1")
    tell(story, "2", **LIES[reason])
    tell(story, "3")
    pooled = coordinator.gather_statistics(story.desk)
    assert pooled is not None
    assert pooled.absent == {"2": reason}
    assert pooled.total[0]["cells"] == [20, 20, 0]
    absent = [one for kind, one in story.desk.ledger.story() if kind == "statistics_absent"]
    assert absent == [{"party": "2", "reason": reason}]


@pytest.mark.parametrize("kind", MALFORMED)
def test_columns_that_nobody_agreed_on_are_malformed(kind, tmp_path) -> None:
    story = open_by_hand(tmp_path)
    for owner in ("1", "3"):
        tell(story, owner)
    tell(story, "2", **MALFORMED[kind])
    pooled = coordinator.gather_statistics(story.desk)
    assert pooled is not None
    assert pooled.absent == {"2": "malformed"}


def test_statistics_that_another_signed_or_that_are_no_json_are_left_out(tmp_path) -> None:
    story = open_by_hand(tmp_path)
    tell(story, "1")
    tell(story, "2", signer="3")
    story.store.put_once(keys.statistics("3", RUN), b"\xff" * 100)
    pooled = coordinator.gather_statistics(story.desk)
    assert pooled is not None
    assert pooled.absent == {"2": "wrong_signer", "3": "not_an_envelope"}


def test_a_party_that_is_late_is_absent_and_the_training_goes_on(tmp_path) -> None:
    story = open_by_hand(tmp_path, deadline=30)
    tell(story, "1")
    until = coordinator.deadline(story.desk)
    pooled = coordinator.gather_statistics(story.desk, until)
    assert pooled is not None
    assert pooled.absent == {"2": "late", "3": "late"}
    tell(story, "2")
    assert coordinator.pool_statistics(story.desk) == pooled
    weights = coordinator.adopt_initial_model(story.desk)
    assert coordinator.invite(story.desk, 1, weights).parties == ("1", "2", "3")


def test_where_nobody_tells_anything_the_total_is_empty(tmp_path) -> None:
    story = open_by_hand(tmp_path)
    for owner in story.parties:
        tell(story, owner, columns=None, withheld="policy")
    pooled = coordinator.gather_statistics(story.desk)
    assert pooled is not None
    assert pooled.total == ()
