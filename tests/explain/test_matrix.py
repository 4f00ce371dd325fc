"""The cross-site evaluation as a table and a picture: every known cell, and nothing invented."""

from __future__ import annotations

import csv
import io

import pytest
import training_story as story

from fedcore.explain.figures import drawings, write_figures
from fedcore.explain.matrix import matrix_of
from fedcore.explain.report import write_report
from fedcore.metrics import OF_CLASSES, Scores
from fedcore.rounds.messages import Numbers
from tasks.tracking_metrics import of_end, of_round

TASK = story.task_file()
AGREEMENT = story.agreement(TASK)


def end_with(**more):
    """The story's end with scores of more models; a party is left out of `local-10001`."""
    end = story.end()
    return end.model_copy(update={"scores": {**end.scores, **more}})


def own(withheld: tuple[str, ...] = ()):
    return {
        party: None if party in withheld else story.scores(40 + place).to_json()
        for place, (party, _) in enumerate(story.PARTIES)
    }


WHOLE = end_with(**{"local-9999": own(), "local-10001": own(("10000",)), "personal": own()})


def test_a_training_that_scored_global_models_alone_has_no_matrix():
    assert matrix_of(AGREEMENT, story.end()) is None


def test_every_model_is_a_row_and_every_party_a_column():
    found = matrix_of(AGREEMENT, WHOLE)
    assert found.parties == ("guest-9999", "host-10000", "host-10001")
    assert found.models == (
        "best global model",
        "final global model",
        "guest-9999's last local model",
        "host-10001's last local model",
        "personal model, each at home",
    )
    for row, model in zip(found.values, ("best", "final", "local-9999"), strict=False):
        for value, (party, _) in zip(row, story.PARTIES, strict=True):
            assert value == Scores.from_json(WHOLE.scores[model][party]).auroc


def test_survival_is_told_by_its_concordance_even_where_all_is_withheld():
    agreement = AGREEMENT.model_copy(update={"task": AGREEMENT.task | {"task_type": "survival"}})
    end = end_with(personal=dict.fromkeys(own()))
    end = end.model_copy(update={"scores": {name: dict.fromkeys(own()) for name in end.scores}})
    found = matrix_of(agreement, end)
    assert found.metric == "concordance"
    assert {value for row in found.values for value in row} == {None}
    shown = {one.name: one for one in drawings(agreement, [], end)}
    assert shown["matrix"].alt.startswith("Concordance index of every model")
    assert "Concordance index of every model" in shown["matrix"].svg()


def test_what_is_withheld_stays_empty():
    found = matrix_of(AGREEMENT, WHOLE)
    assert [value is None for value in found.values[3]] == [False, True, False]
    rows = list(csv.reader(io.StringIO(found.to_csv())))
    assert rows[0] == ["model", *found.parties]
    assert rows[4][2] == ""
    assert float(rows[1][1]) == found.values[0][0]


@pytest.mark.parametrize(("end", "shown"), [(WHOLE, True), (story.end(), False)])
def test_report_and_pictures_show_it_where_there_is_one(tmp_path, end, shown):
    records = story.records(12)
    path = tmp_path / "report.html"
    write_report(path, TASK, AGREEMENT, story.hellos(TASK), records, end, {})
    html = path.read_text(encoding="utf-8")
    assert ("Every model at every party" in html) == shown
    assert ("last local model" in html) == shown
    written = {one.name for one in write_figures(tmp_path, AGREEMENT, records, end)}
    assert ("matrix.png" in written) == shown


def test_personal_numbers_are_charted_on_the_partys_run_and_pooled():
    record = story.record(3)
    numbers = Numbers(loss=0.25, accuracy=0.75, auroc=None)
    party = record.parties["9999"].model_copy(update={"personal": numbers})
    record = record.model_copy(
        update={"parties": {**record.parties, "9999": party}, "personal": numbers}
    )
    named = {(one.party, one.name): one.value for one in of_round(record)}
    assert named["9999", "personal/accuracy"] == 0.75
    assert named["9999", "personal/loss"] == 0.25
    assert named[None, "federated/personal_accuracy"] == 0.75
    assert ("9999", "personal/auroc") not in named
    assert ("10000", "personal/loss") not in named
    assert {name for party, name in named if party == "10000"} >= {"val/auroc", "val/f1"}
    assert {name for party, name in named if not party} >= {"federated/auprc", "average/auprc"}
    ended = {(one.party, one.name): one.value for one in of_end(WHOLE)}
    expected = Scores.from_json(WHOLE.scores["personal"]["10000"]).accuracy
    assert ended["10000", "test/personal_accuracy"] == expected
    for name in OF_CLASSES:
        assert (None, f"test/personal_{name}") in ended
        assert (None, f"test/{name}") in ended
        assert ("10000", f"test/{name}") in ended
