"""A hospital's own encoding: from its file, new rows become what training and scoring saw."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import table_story as story
from rounds_pair import Pair
from safetensors.numpy import save_file

from fedcore.encoding.own import Encoding, read_encoding
from fedcore.encoding.scaling import Scaling
from fedcore.errors import ModelError
from fedcore.models.catalogue import build
from fedcore.models.predictor import Predictor, describe
from fedcore.models.state import to_params
from fedcore.rounds.party import own_encoding
from fedcore.training.evaluation import predict


def test_with_a_hospitals_own_encoding_a_model_answers_new_rows_as_its_evaluation_did(tmp_path):
    age = {"name": "age", "missing": "median", "range": [0, 150]}
    task = story.task(features=[age, story.STAGE], split="column", split_column="part")
    rows = [
        (*row, "test" if place % 3 else "train")
        for place, row in enumerate([("?", "i", 1), *story.patients(20), ("?", "ii", 0)])
    ]
    header = "age,stage,ill,part"
    found = story.cohort(story.write(tmp_path / "1" / "t.csv", rows, header).parent, task)
    (tmp_path / "pair").mkdir()
    desk = Pair(tmp_path / "pair").desks[0]
    assert own_encoding(desk) is None  # it has images
    desk, path = replace(desk, task=task, cohort=found), tmp_path / "encoding.json"
    path.write_text(json.dumps(own_encoding(desk).to_json()))
    encoding = read_encoding(path)
    known = [row[0] for row in rows if row[3] == "train" and row[0] != "?"]
    assert encoding.fills["age"] == np.median(known)
    new = [row[:2] for row in rows if row[3] == "test"] + [(200, "i"), (60, "iv")]
    inputs, usable = encoding.encode({"age": [r[0] for r in new], "stage": [r[1] for r in new]})
    assert usable.tolist() == [True] * (len(new) - 2) + [False, False]
    assert np.array_equal(inputs[usable], story.everything(found.test))
    params = to_params(build(task.model, task.seed, inputs=task.inputs))
    params["0.weight"] = np.array([[1, 0, 0.5, 2]], np.float32)
    save_file(params, tmp_path / "w.safetensors")
    model = Predictor(describe(task, ("0", "1")), tmp_path / "w.safetensors")
    network = build(task.model, task.seed, inputs=task.inputs)
    counted = predict(network, params, found.test, task).probabilities
    assert np.array_equal(model.answers_to_inputs(inputs[usable]), counted)


@pytest.mark.parametrize("content", ["", "{}", '{"fills": {}, "scaling": {}, "table": {}}'])
def test_what_is_no_encoding_is_refused(content, tmp_path):
    (tmp_path / "encoding.json").write_text(content)
    with pytest.raises(ModelError, match=r"encoding\.json: it "):
        read_encoding(tmp_path / "encoding.json")
    encoding = Encoding(story.section(), {}, Scaling.none(4))
    with pytest.raises(ModelError, match="the column 'stage' is missing"):
        encoding.encode({"age": ["1"]})
