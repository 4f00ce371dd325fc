"""The table of rounds: every number comes back as it was, and what was withheld stays empty."""

from __future__ import annotations

import csv

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import training_story as story
from hypothesis import given, settings
from hypothesis import strategies as st

from fedcore.errors import InputError
from fedcore.explain.tables import COLUMNS, metrics_table, write_tables, write_tests
from fedcore.metrics import METRICS, OF_CLASSES, Scores, pool
from fedcore.rounds.messages import Numbers

shares = st.none() | st.floats(0, 1)
losses = st.none() | st.floats(0, allow_infinity=False)


def with_numbers(loss, accuracy, auroc, seconds):
    record = story.record(1)
    return record.model_copy(
        update={"loss": loss, "accuracy": accuracy, "auroc": auroc, "seconds": seconds}
    )


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    with pytest.raises(InputError, match="cannot be written"):
        write_tables(blocked / "tables", story.records(1))


def test_no_rounds_make_an_empty_table_with_all_columns(tmp_path):
    parquet, text = write_tables(tmp_path, [])
    assert pq.read_table(parquet).column_names == list(COLUMNS)
    assert text.read_text().strip() == ",".join(COLUMNS)


def test_each_round_has_a_row_per_party_an_average_and_a_federated_one():
    table = metrics_table(story.records(3)).to_pylist()
    assert [row["party"] for row in table[:5]] == [
        *("10000", "10001", "9999"),
        *("average", "federated"),
    ]
    assert [row["round"] for row in table] == [n for n in (1, 2, 3) for _ in range(5)]
    assert table[4]["status"] == "3 of 3"
    assert table[4]["patients"] == 753
    assert table[3]["auroc"] == story.record(1).average_auroc
    assert table[3]["patients"] is None
    assert table[0]["bytes_up"] is None


def test_withheld_numbers_are_empty_and_not_zero():
    rows = metrics_table([story.record(1, withheld={"10001"}, absent={(1, "10000")})]).to_pylist()
    assert rows[1]["loss"] is None
    assert rows[1]["train_loss"] is not None
    assert rows[0]["status"] == "late"
    assert rows[4]["status"] == "2 of 3"


@settings(max_examples=40, deadline=None)
@given(loss=losses, accuracy=shares, auroc=shares, seconds=st.floats(0, allow_infinity=False))
def test_floats_come_back_to_the_bit(tmp_path_factory, loss, accuracy, auroc, seconds):
    folder = tmp_path_factory.mktemp("tables")
    records = [with_numbers(loss, accuracy, auroc, seconds)]
    parquet, text = write_tables(folder, records)
    assert pq.read_table(parquet).equals(metrics_table(records))
    with text.open(newline="") as file:
        last = list(csv.DictReader(file))[-1]
    read = [float(last[name]) if last[name] else None for name in ("loss", "accuracy", "auroc")]
    assert read == [loss, accuracy, auroc]
    assert float(last["seconds"]) == seconds


def test_personal_models_stand_beside_the_global_ones():
    record = story.record(1)
    own = Numbers(loss=0.25, accuracy=0.75, f1=0.5)
    parties = record.parties | {"9999": record.parties["9999"].model_copy(update={"personal": own})}
    record = record.model_copy(update={"parties": parties, "personal": own})
    rows = {row["party"]: row for row in metrics_table([record]).to_pylist()}
    for party in ("9999", "federated"):
        assert rows[party]["personal_f1"] == 0.5
        assert rows[party]["personal_auroc"] is None
        assert rows[party]["loss"] != rows[party]["personal_loss"] == 0.25
    for party in ("10000", "average"):
        assert rows[party]["personal_loss"] is None


def test_the_final_test_has_a_row_for_every_model_at_every_party(tmp_path):
    end = story.end(withheld=("10001",))
    scored = {"9999": story.scores(4).to_json(), "10000": story.scores(5).to_json()}
    end = end.model_copy(update={"scores": {**end.scores, "personal": scored}})
    rows = list(csv.DictReader(write_tests(tmp_path, end).open()))
    found = {(row["model"], row["party"]): row for row in rows}
    assert [row["party"] for row in rows if row["model"] == "personal"] == [
        *("10000", "9999", "average", "federated")
    ]
    parts = [Scores.from_json(one) for one in scored.values()]
    own, both = found["personal", "9999"], found["personal", "federated"]
    assert [float(own[name]) for name in OF_CLASSES] == [*parts[0].summary().values()]
    assert float(both["auprc"]) == pool(parts).auprc
    assert float(found["personal", "average"]["f1"]) == (parts[0].f1 + parts[1].f1) / 2
    assert own["concordance"] == found["best", "10001"]["loss"] == ""


def test_every_metric_has_a_column():
    assert {*METRICS, *(f"personal_{name}" for name in METRICS)} <= {*COLUMNS}
    assert len(set(COLUMNS)) == len(COLUMNS)


def test_types_do_not_depend_on_what_is_missing():
    types = {field.name: field.type for field in metrics_table([]).schema}
    assert types["auroc"] == pa.float64()
    assert types["images"] == pa.int64()
    assert types["status"] == pa.string()
