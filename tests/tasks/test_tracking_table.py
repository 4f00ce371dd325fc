"""A table's model as MLflow keeps it: loads as pyfunc and answers a data frame."""

from __future__ import annotations

import mlflow
import numpy as np
import pandas as pd
import table_story as story
import training_story
from safetensors.numpy import save_file

from tasks.tracking_notes import description
from tasks.tracking_package import save_model, signature_of


def test_a_survival_model_is_loaded_and_answers_the_columns_as_they_are(tmp_path):
    task = story.task(time="days", event="dead", standardise="none")
    (tmp_path / "scratch").mkdir()
    save_file({"0.weight": np.array([[2, 0, 0, 1]], np.float32)}, tmp_path / "w.safetensors")
    weights, folder = tmp_path / "w.safetensors", tmp_path / "model"
    save_model(folder, task, ("censored", "event"), weights, tmp_path / "scratch")
    loaded = mlflow.pyfunc.load_model(str(folder))
    asked = pd.DataFrame({"age": [1.0, float("nan")], "stage": ["iii", "i"]})
    found = loaded.predict(asked)
    assert found[0].tolist() == [3.0]
    assert np.isnan(found[1]).all()


def test_where_the_hospital_standardises_signature_and_description_say_the_inputs(tmp_path):
    task = story.task()
    assert signature_of(task).inputs.input_names() == list(task.data.table.inputs)
    save_file({"0.bias": np.zeros(1, np.float32)}, tmp_path / "w.safetensors")
    end = training_story.end()
    said = description(task, "run", end, tmp_path / "w.safetensors")
    assert "standardised by the hospital's own training rows" in said
    raw = story.task(standardise="none")
    assert "encoded inputs" not in description(raw, "run", end, tmp_path / "w.safetensors")
