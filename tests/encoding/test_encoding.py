"""The laws of the encoding: what goes in comes out, training rows alone count, order does not."""

from __future__ import annotations

import math

import numpy as np
import table_story as story
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from fedcore.encoding.columns import read_column
from fedcore.encoding.fills import fit
from fedcore.encoding.inputs import categories_of, lay_out
from fedcore.encoding.scaling import Scaling, fit_scaling
from fedcore.encoding.served import served

LEVELS = story.STAGE["categories"]
numbers = st.floats(-1e6, 1e6).map(lambda value: round(value, 3))
columns = st.lists(st.tuples(numbers | st.none(), st.sampled_from([*LEVELS, "?"])), min_size=1)


def encoded(section, rows):
    """Inputs of rows of an age (or none) and a stage; all of them are training rows."""
    cells = {
        "age": ["" if age is None else str(age) for age, _ in rows],
        "stage": [stage for _, stage in rows],
    }
    values = {one.name: read_column(section, one, cells[one.name])[0] for one in section.features}
    fills, _ = fit(section, values)
    return lay_out(section, values, fills)


@given(st.lists(st.sampled_from(LEVELS), min_size=1), st.booleans())
def test_one_hot_and_back_is_the_same_category(stages, drop_first):
    section = story.section(drop_first=drop_first)
    inputs = encoded(section, [(1.0, stage) for stage in stages])
    assert inputs.shape == (len(stages), 3 if drop_first else 4)
    assert categories_of(section, section.features[1], inputs) == stages


@given(arrays.arrays(np.float64, st.tuples(st.integers(2, 30), st.just(4)), elements=numbers))
def test_standardised_training_rows_have_mean_0_and_standard_deviation_1(rows):
    section = story.section(standardise_columns="all", ddof=1)
    scaled = fit_scaling(section, rows).apply(rows).astype(np.float64)
    varies = np.ptp(rows, axis=0) > 1e-2
    assert np.allclose(scaled.mean(axis=0), 0, atol=1e-4)
    assert np.allclose(scaled.std(axis=0, ddof=1)[varies], 1, atol=1e-4)
    assert (scaled[:, np.ptp(rows, axis=0) == 0] == 0).all()


@given(columns, st.randoms(use_true_random=False))
def test_a_permutation_of_the_rows_permutes_the_inputs_and_changes_no_bit(rows, random):
    section = story.section(
        features=[{"name": "age", "missing": "mean", "fill": 0}, story.STAGE], missing="indicator"
    )
    order = list(range(len(rows)))
    random.shuffle(order)
    inputs, mixed = encoded(section, rows), encoded(section, [rows[place] for place in order])
    assert (inputs[order] == mixed).all()
    one, other = fit_scaling(section, inputs), fit_scaling(section, mixed)
    assert one.to_json() == other.to_json()


@given(columns, columns)
def test_two_parties_with_other_categories_have_the_same_inputs(ours, theirs):
    section = story.section(missing="indicator")
    assert encoded(section, ours).shape[1] == encoded(section, theirs).shape[1] == 6


def test_each_strategy_fills_with_its_statistic_of_the_known_cells():
    known = [(1.0, "i"), (2.0, "ii"), (2.0, "ii"), (7.0, "iii"), (None, "?")]
    wanted = {"mean": 3.0, "median": 2.0, "most_frequent": 2.0, "indicator": 3.0, "constant": 9.0}
    for strategy, value in wanted.items():
        age = {"name": "age", "missing": strategy, "fill": 9}
        section = story.section(features=[age, {**story.STAGE, "missing": "most_frequent"}])
        last = encoded(section, known)[-1].tolist()
        assert last == [value, *([1.0] if strategy == "indicator" else []), 0.0, 1.0, 0.0]


def test_a_missing_category_with_an_indicator_has_no_other_mark():
    section = story.section(missing="indicator")
    assert encoded(section, [(1.0, "?"), (1.0, "i")])[0].tolist() == [1, 0, 0, 0, 0, 1]


def test_cells_that_cannot_be_read_say_why():
    age = {"name": "age", "range": [0, 120], "missing_values": [0]}
    section = story.section(features=[age, story.STAGE])
    values, reasons = read_column(section, section.features[0], ["61", "0.0", "old", "130", "inf"])
    assert reasons == ["", "missing_value", "not_a_number", "out_of_range", "not_a_number"]
    assert values[0] == 61
    assert read_column(section, section.features[1], ["iv"])[1] == ["unknown_category"]
    ignoring = story.section(unknown="ignore")
    assert read_column(ignoring, ignoring.features[1], ["iv"])[1] == [""]


def test_standard_deviations_divide_by_n_or_by_one_less():
    rows = np.array([[1.0, 0, 0, 0], [3.0, 0, 0, 0]])
    assert fit_scaling(story.section(), rows).divisors[0] == 1.0
    assert fit_scaling(story.section(ddof=1), rows).divisors[0] == math.sqrt(2)


def test_min_max_is_0_at_the_lowest_training_value_and_1_at_the_highest():
    rows = np.array([[2.0, 0, 1, 0], [6.0, 1, 1, 0], [3.0, 0, 1, 1]])
    section = story.section(scaling="min_max", standardise_columns="all")
    scaling = fit_scaling(section, rows)
    lowest, highest = rows.min(axis=0), rows.max(axis=0)
    width = np.where(highest > lowest, highest - lowest, 1)
    assert (scaling.apply(rows) == ((rows - lowest) / width).astype(np.float32)).all()
    assert scaling.apply(np.array([[8.0, 1, 1, 0]])).tolist() == [[1.5, 1.0, 0.0, 0.0]]
    alone = fit_scaling(story.section(scaling="min_max"), rows).apply(rows)
    assert alone.tolist() == [[0.0, 0, 1, 0], [1.0, 1, 1, 0], [0.25, 0, 1, 1]]


def test_a_federated_min_max_is_that_of_the_agreed_range_at_every_party():
    age = {"name": "age", "range": [20, 100]}
    section = story.section(features=[age, story.STAGE], scaling="min_max", standardise="federated")
    assert not section.pools_statistics
    for rows in (np.array([[60.0, 0, 1, 0]]), np.empty((0, 4))):
        found = fit_scaling(section, rows).apply(np.array([[40.0, 0, 1, 0], [100.0, 1, 0, 0]]))
        assert found.tolist() == [[0.25, 0, 1, 0], [1.0, 1, 0, 0]]
    assert served(
        story.task(features=[age, story.STAGE], scaling="min_max", standardise="federated")
    )["scaling"] == {"shifts": [20, 0, 0, 0], "divisors": [80, 1, 1, 1]}


def test_without_a_scaling_nothing_is_changed():
    rows = np.array([[2.0, 0, 1, 0], [6.0, 1, 1, 0]])
    for scaling in ("standard", "min_max"):
        section = story.section(standardise="none", standardise_columns="all", scaling=scaling)
        assert (fit_scaling(section, rows).apply(rows) == rows).all()


def test_a_scaling_comes_back_from_its_file_and_from_that_of_older_models():
    scaling = Scaling(np.array([1.0, 0.0]), np.array([2.0, 1.0]))
    assert Scaling.from_json(scaling.to_json()).to_json() == scaling.to_json()
    older = {"means": [1.0, 0.0], "stds": [2.0, 1.0]}
    assert Scaling.from_json(older).to_json() == scaling.to_json()


def test_given_statistics_are_taken_for_the_columns_that_are_meant():
    means, stds = np.array([1.0, 2.0, 3.0, 4.0]), np.array([2.0, 2.0, 0.0, 2.0])
    numeric = Scaling.given(story.section(), means, stds)
    assert numeric.apply(np.array([[5.0, 1.0, 0.0, 0.0]])).tolist() == [[2.0, 1.0, 0.0, 0.0]]
    every = Scaling.given(story.section(standardise_columns="all"), means, stds)
    assert every.apply(np.array([[5.0, 4.0, 3.0, 4.0]])).tolist() == [[2.0, 1.0, 0.0, 0.0]]
