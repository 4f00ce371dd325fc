"""The figures: drawn whenever there is something to show, never when there is not."""

from __future__ import annotations

import re
import subprocess
import sys

import numpy as np
import pytest
import training_story as story

from fedcore.explain.figures import drawings, own_ids, write_figures
from fedcore.explain.outcome import guest_first, outcome_of
from fedcore.explain.palette import COLOURS, party_styles
from fedcore.metrics import Scores

TASK = story.task_file()
AGREEMENT = story.agreement(TASK)
ALL = {"9999", "10000", "10001"}


def names(records, end, agreement=AGREEMENT):
    return [one.name for one in drawings(agreement, records, end)]


def test_nothing_is_drawn_of_nothing():
    silent = story.end().model_copy(update={"scores": {}})
    assert names([], silent) == []


def test_without_test_scores_only_the_curves_are_drawn():
    assert names(story.records(2), story.end(withheld=ALL)) == ["curves"]


def test_a_party_that_withholds_everything_leaves_the_others_to_be_drawn(tmp_path):
    records = story.records(3, withheld={"10001"}, absent={(2, "10000")})
    written = write_figures(tmp_path, AGREEMENT, records, story.end(withheld={"10001"}))
    assert [path.name for path in written] == [
        "curves.png",
        "roc.png",
        "confusion.png",
        "calibration.png",
    ]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in written)


def test_one_party_one_round_and_one_class_present_can_be_drawn():
    parties = (("9999", "guest"),)
    truth = np.zeros(4, dtype=np.int64)
    only = Scores.of(np.full((4, 2), 0.5), truth, 1.0, 4).to_json()
    end = story.end(parties=parties, rounds=1).model_copy(
        update={"scores": {"best": {"9999": only}}}
    )
    agreement = story.agreement(TASK, parties)
    for one in drawings(agreement, story.records(1, parties), end):
        assert one.svg().startswith("<svg")


@pytest.mark.parametrize("classes", [3, 12, 25])
def test_many_classes_and_many_parties_can_be_drawn(classes):
    parties = (("1", "guest"), *((str(number), "host") for number in range(2, 16)))
    end = story.end(tuple(f"class {n}" for n in range(classes)), parties)
    agreement = story.agreement(story.task_file(classes), parties)
    for one in drawings(agreement, story.records(2, parties), end):
        assert one.png().startswith(b"\x89PNG")


def test_names_of_classes_are_never_read_as_formulas_or_markup():
    end = story.end(("$\\frac{", "<b>&"))
    for one in drawings(AGREEMENT, story.records(1), end):
        assert "<b>" not in one.svg()


def test_a_figure_is_the_same_each_time_and_fetches_nothing():
    first, second = (
        [one.svg() for one in drawings(AGREEMENT, story.records(2), story.end())] for _ in range(2)
    )
    assert first == second
    for svg in first:
        assert "<image" not in svg
        assert not re.search(r'href="(?!#)', svg)


def test_ids_of_two_figures_never_meet():
    svgs = [one.svg() for one in drawings(AGREEMENT, story.records(2), story.end())]
    ids = [set(re.findall(r'\bid="([^"]+)"', svg)) for svg in svgs]
    assert not set.intersection(*ids)
    for svg, own in zip(svgs, ids, strict=True):
        used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', svg))
        assert used <= own


def test_references_move_with_their_ids():
    moved = own_ids('<g id="a"/><use xlink:href="#a"/><g clip-path="url(#a)"/>', "roc")
    assert moved == '<g id="roc-a"/><use xlink:href="#roc-a"/><g clip-path="url(#roc-a)"/>'


def test_the_guest_comes_first_and_hosts_by_number():
    parties = (("10", "host"), ("9", "host"), ("clinic", "host"), ("77", "guest"))
    order = [one.party_id for one in guest_first(story.agreement(TASK, parties))]
    assert order == ["77", "9", "10", "clinic"]


def test_each_party_has_a_look_of_its_own_until_there_is_a_crowd():
    styles = party_styles(str(number) for number in range(12))
    assert len({(style["color"], style["ls"]) for style in styles.values()}) == 12
    assert {style["color"] for style in styles.values()} == set(COLOURS)
    crowd = party_styles(str(number) for number in range(40))
    assert len({style["color"] for style in crowd.values()}) == 1


def test_scores_of_a_party_without_images_do_not_count():
    empty = Scores.of(np.zeros((0, 2)), np.zeros(0, dtype=np.int64), 0.0, 0).to_json()
    end = story.end().model_copy(update={"scores": {"best": {"9999": empty, "10000": None}}})
    outcome = outcome_of(end)
    assert outcome.reported == {}
    assert outcome.pooled is None


def test_report_and_figures_reach_neither_torch_nor_pyarrow_nor_mlflow():
    program = (
        "import sys; import fedcore.explain.report, fedcore.explain.plot_curves, "
        "fedcore.explain.plot_scores; "
        "print([m for m in ('torch', 'pyarrow', 'mlflow', 'pydicom', 'matplotlib.pyplot') "
        "if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]", done.stderr
