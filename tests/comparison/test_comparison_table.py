"""The table: exact means and deviations, in whatever order the cells were finished."""

from __future__ import annotations

import csv
import io
import math

import numpy as np
import pytest
import table_story
from comparison_story import PARTIES, all_results, comparison, result
from hypothesis import given
from hypothesis import strategies as st

from fedcore.comparison.page import Report, cells_csv, html, markdown, table_csv, write
from fedcore.comparison.plot import band, figure_of
from fedcore.comparison.table import Spread, elsewhere, sheet_of, trials_of

ROWS = comparison().rows
METRICS = ("accuracy", "loss")


def sheet(results):
    return sheet_of(results, ROWS, PARTIES, METRICS)


def value(results, arm: str, where: str, metric: str = "accuracy") -> Spread | None:
    row = next(row for row in sheet(results).rows if row.arm == arm)
    return row.values[where, metric]


def test_no_value_has_no_spread_and_one_has_no_deviation():
    assert Spread.of([]) is None
    assert Spread.of([None, math.nan]) is None
    assert Spread.of([0.5]) == Spread(0.5, None, 1)


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=8))
def test_a_spread_is_mean_and_sample_deviation(values):
    spread = Spread.of(values)
    assert spread is not None
    assert spread.mean == pytest.approx(np.mean(values), abs=1e-6)
    assert spread.deviation == pytest.approx(np.std(values, ddof=1), abs=1e-6)
    assert spread.seeds == len(values)


@given(st.permutations(all_results()))
def test_the_order_of_the_cells_does_not_matter(shuffled):
    assert table_csv(sheet(shuffled)) == table_csv(sheet(all_results()))
    assert cells_csv(sheet(shuffled)) == cells_csv(sheet(all_results()))


def test_a_strategy_has_each_partys_value_their_average_and_the_pooled_one():
    found = all_results()
    assert value(found, "fedavg", "1") == Spread(
        pytest.approx(0.65), pytest.approx(0.1 / math.sqrt(2)), 2
    )
    assert value(found, "fedavg", "2") == Spread(0.8, 0.0, 2)
    assert value(found, "fedavg", "average").mean == pytest.approx(0.725)
    assert value(found, "fedavg", "pooled").mean == pytest.approx(14.5 / 20)


def test_local_only_is_each_partys_own_model_at_home():
    found = all_results()
    assert value(found, "local-only", "1") == Spread(0.5, 0.0, 2)
    assert value(found, "local-only", "2").mean == pytest.approx(0.65)
    away = elsewhere(found, PARTIES, "accuracy")
    assert away["1"]["2"] == Spread(0.1, 0.0, 2)
    assert away["2"]["1"] == Spread(0.1, 0.0, 2)


def test_the_seconds_of_local_only_are_those_of_all_parties():
    rows = {row.arm: row for row in sheet(all_results()).rows}
    assert rows["fedavg"].seconds == Spread(3.0, 0.0, 2)
    assert rows["local-only"].seconds == Spread(6.0, 0.0, 2)


def test_local_only_counts_a_seed_once_every_party_has_trained():
    found = [one for one in all_results() if (one.cell.party, one.cell.seed) != ("2", 1)]
    assert value(found, "local-only", "1").seeds == 1


def test_the_best_strategy_of_a_column_is_marked_and_no_baseline_is():
    page = sheet(all_results())
    assert page.best("1", "accuracy") == {"fedprox"}
    assert page.best("1", "loss") == {"fedprox"}
    assert page.best("2", "accuracy") == set()  # both are the same there


def test_withheld_scores_are_left_out_and_shown_as_unknown():
    one = result("fedavg", 0, {"1": 6, "2": 8})
    hidden = one.model_copy(update={"tests": {**one.tests, "2": None}})
    assert value([hidden], "fedavg", "2") is None
    assert value([hidden], "fedavg", "average") == Spread(0.6, None, 1)
    assert "\N{EN DASH}" in markdown(Report(comparison(), [hidden]))


def test_a_course_ends_where_the_longest_does_and_counts_those_that_got_there():
    trials = trials_of(
        [result("fedavg", 0, {"1": 6}), result("fedavg", 1, {"1": 6}, rounds=3)], PARTIES
    )
    rounds, mean, deviation = band([trial.course("loss") for trial in trials])
    assert rounds.tolist() == [1, 2, 3]
    assert mean.tolist() == [1.0, 0.5, pytest.approx(1 / 3)]
    assert deviation.tolist() == [0.0, 0.0, 0.0]


def test_the_csv_holds_every_value_that_the_means_are_made_of():
    rows = list(csv.DictReader(io.StringIO(cells_csv(sheet(all_results())))))
    mine = [
        float(row["value"])
        for row in rows
        if (row["strategy"], row["where"], row["metric"]) == ("fedavg", "1", "accuracy")
    ]
    assert mine == [0.6, 0.7]


def ditto() -> Report:
    """Two seeds of a strategy with personal models, which are right where the global one is not."""
    one = comparison("fedavg,ditto")
    seeds = [
        result("ditto", seed, {"1": 5, "2": 6}, personal={"1": 7 + seed, "2": 9}) for seed in (0, 1)
    ]
    return Report(one, [*seeds, *(result("fedavg", seed, {"1": 5, "2": 6}) for seed in (0, 1))])


def test_personal_models_have_a_line_of_their_own_below_the_global_models():
    page = ditto().sheet
    assert [row.arm for row in page.rows] == ["fedavg", "ditto", "ditto (personal)"]
    rows = {row.arm: row for row in page.rows}
    assert rows["ditto"].values["1", "accuracy"] == Spread(0.5, 0.0, 2)
    assert rows["ditto (personal)"].values["1", "accuracy"].mean == pytest.approx(0.75)
    assert rows["ditto (personal)"].values["average", "accuracy"].mean == pytest.approx(0.825)
    assert rows["ditto (personal)"].values["pooled", "accuracy"].mean == pytest.approx(16.5 / 20)
    assert page.best("2", "accuracy") == {"ditto (personal)"}


def test_personal_models_are_in_every_file_and_in_the_plot(tmp_path):
    report = ditto()
    write(tmp_path, report)
    for name in ("comparison.md", "comparison.csv", "cells.csv", "comparison.html"):
        assert "ditto (personal)" in (tmp_path / name).read_text(), name
    figure = figure_of(report.sheet)
    courses = {line.get_label(): line for line in figure.axes[0].lines}
    assert courses.keys() >= {"ditto", "ditto (personal)"}
    loss = next(t for t in report.sheet.trials if t.personal)
    assert loss.course("loss") == [2.0, 1.0]
    assert [one.get_text() for one in figure.axes[1].get_yticklabels()][2] == "ditto (personal)"


def test_the_page_says_whose_model_a_line_shows():
    assert "(personal): each party's personal model after the last round" in ditto().reading
    parted = Report(comparison("fedbn,fedper,fedavg"), [])
    assert "fedbn, fedper and fedavg" not in parted.reading
    assert "fedbn and fedper: each party's own model" in parted.reading
    assert "personal" not in Report(comparison(), []).reading


def test_a_table_of_patients_is_counted_in_rows():
    task = table_story.task(data={"classes": ["0", "1"]})
    report = Report(comparison(task=task), all_results())
    assert report.reading.count("rows") == 3
    assert "image" not in markdown(report)
    assert "on the test rows" in report.grids()[0].title
    assert "image" not in html(report).partition("<h2>The task file")[0].partition("<figure>")[0]


def test_pages_and_plot_are_written_and_escape_what_was_typed(tmp_path):
    named = comparison("fedavg,fedprox:mu=0.5")
    results = [result(arm, seed, {"1": 6, "2": 8}) for arm in named.rows[:2] for seed in (0, 1)]
    files = write(tmp_path, Report(named, results))
    assert all(path.stat().st_size for path in files)
    assert (tmp_path / "comparison.png").read_bytes().startswith(b"\x89PNG")
    evil = named.model_copy(update={"run": "<script>"})
    assert "<script>" not in html(Report(evil, results))
    assert "4 of 10 trainings" in (tmp_path / "comparison.md").read_text()


def test_a_comparison_without_any_cell_still_has_its_pages(tmp_path):
    assert len(write(tmp_path, Report(comparison(), []))) == 5
