"""Which round is best and when to stop, as laws over invented records."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from training_story import reference

from fedcore.config.federation import EarlyStopping, FederationSection
from fedcore.rounds.messages import Record
from fedcore.rounds.selection import best_round, blindness, should_stop

VALUES = st.lists(st.none() | st.floats(0, 1), min_size=1, max_size=12)


def records(values: list[float | None], metric: str = "auroc") -> list[Record]:
    return [
        Record(run="r", round=number, model=reference("m"), parties={}, **{metric: value})
        for number, value in enumerate(values, start=1)
    ]


def test_where_every_value_is_withheld_the_last_round_is_taken_and_nothing_stops_early() -> None:
    rounds = records([None] * 6)
    assert best_round(rounds, "auroc").round == 6
    assert not should_stop(rounds, "auroc", EarlyStopping(patience=2))


@given(VALUES)
def test_the_best_round_has_the_highest_known_value_and_is_the_first_with_it(values) -> None:
    known = [value for value in values if value is not None]
    best = best_round(records(values), "auroc")
    if known:
        assert best.round == 1 + values.index(max(known))


@given(st.lists(st.floats(0, 9), min_size=1, max_size=9))
def test_less_loss_is_better(values) -> None:
    assert best_round(records(values, "loss"), "loss").loss == min(values)


@given(VALUES)
def test_the_plain_average_names_the_best_round_where_the_task_says_so(values) -> None:
    rounds = [
        record.model_copy(update={"auroc": 1.0 / record.round})
        for record in records(values, "average_auroc")
    ]
    assert best_round(rounds, "auroc").round == 1
    known = [value for value in values if value is not None]
    if known:
        assert best_round(rounds, "average_auroc").average_auroc == max(known)


def test_less_average_loss_is_better() -> None:
    assert best_round(records([2.0, 1.0, 3.0], "average_loss"), "average_loss").round == 2


@given(VALUES, st.integers(1, 4), st.floats(0, 0.5))
def test_it_stops_exactly_when_no_late_round_beats_the_earlier_ones(
    values, patience, delta
) -> None:
    stops = should_stop(records(values), "auroc", EarlyStopping(patience=patience, min_delta=delta))
    numbers = [-1e9 if value is None else value for value in values]
    if len(values) <= patience or set(values) == {None}:
        assert not stops
    else:
        assert stops == (max(numbers[-patience:]) <= max(numbers[:-patience]) + delta)


def test_a_round_without_a_validation_score_says_what_follows_from_it() -> None:
    seeing, blind = records([0.5, None])
    plain = FederationSection()
    early = FederationSection(early_stopping=EarlyStopping(patience=1))
    assert blindness(seeing, early) is None
    assert "the last round's model counts as the best" in blindness(blind, plain)
    assert "early_stopping" not in blindness(blind, plain)
    assert blindness(blind, early).endswith("early_stopping cannot stop the training")
    assert "average_f1" in blindness(blind, FederationSection(select_by="average_f1"))
