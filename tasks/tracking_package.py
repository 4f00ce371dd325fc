"""A trained model as a folder that MLflow understands: models-from-code, no pickle, no torch here.

In it: `tracking_model.py`, the weights as safetensors, a small JSON description, and the fedcore
package itself, so that it loads in a process where fedcore is not installed. Only files are
copied; the network is built by whoever loads the model.
"""

from __future__ import annotations

import json
import shutil
from importlib import metadata
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import numpy as np
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema, TensorSpec

import fedcore
from fedcore.config.task import TaskFile
from fedcore.encoding.served import column_types, served
from fedcore.models.pixels import by_modality, described

WEIGHTS = "model.safetensors"
DESCRIPTION = "description.json"
CODE = Path(__file__).with_name("tracking_model.py")
NEEDED = ("mlflow", "numpy", "pydantic", "pyyaml", "safetensors", "torch", "torchvision")


def save_model(
    folder: Path, task: TaskFile, classes: tuple[str, ...], weights: Path, scratch: Path
) -> None:
    """Write the model to the new `folder`; `scratch` is an empty folder for files on the way."""
    description = json.dumps(describe(task, classes), indent=2) + "\n"
    (scratch / DESCRIPTION).write_text(description, encoding="utf-8")
    shutil.copyfile(weights, scratch / WEIGHTS)
    mlflow.pyfunc.save_model(
        str(folder),
        python_model=str(CODE),
        artifacts={
            "weights": str(scratch / WEIGHTS),
            "description": str(scratch / DESCRIPTION),
        },
        code_paths=[str(Path(fedcore.__file__).parent)],
        signature=signature_of(task),
        input_example=example_of(task),
        pip_requirements=requirements(),
    )


def describe(task: TaskFile, classes: tuple[str, ...]) -> dict[str, Any]:
    """What `fedcore.models.predictor.Description.from_json` reads.

    Written here because the predictor can reach torch and the coordinator must not.
    """
    return {
        "model": task.model.model_dump(mode="json", exclude={"weights"}),
        "normalisation": described(task.data, task.model.input_size[0]),
        "classes": list(classes),
        "modalities": {
            name: one.to_json() for name, one in by_modality(task.data, task.model).items()
        },
        **served(task),
    }


def signature_of(task: TaskFile) -> ModelSignature:
    """Images (N, C, H, W) float32 in 0..1 to probabilities (N, classes) float32.

    A table's columns, as they are where the model can encode them; for survival to (N, 1). A
    cross-modal model takes images of several sizes and is told by the parameter `modality` which
    these are; without it, it refuses.
    """
    model, columns = task.model, _columns(task)
    shape = (-1, -1, -1) if model.modalities else model.input_size
    images = TensorSpec(np.dtype(np.float32), (-1, *shape))
    width = 1 if task.task_type == "survival" else model.num_classes
    answers = TensorSpec(np.dtype(np.float32), (-1, width))
    given: list[Any] = [ColSpec(kind, name) for name, kind in columns.items()] or [images]
    inputs, outputs = Schema(given), Schema([answers])
    if not model.modalities:
        return ModelSignature(inputs=inputs, outputs=outputs)
    told = ParamSchema([ParamSpec("modality", DataType.string, "")])
    return ModelSignature(inputs=inputs, outputs=outputs, params=told)


def _columns(task: TaskFile) -> dict[str, str]:
    """The table's columns that the model takes; none for images."""
    table = task.data.table
    return column_types(table, served(task)["scaling"]) if table is not None else {}


def example_of(task: TaskFile) -> Any:
    """A black image, and, where there are several modalities, that it is of the first one.

    For a table one row: zeros, and of categories that are words the first.
    """
    model, table = task.model, task.data.table
    if table is not None:
        words = {one.name: one.levels[0] for one in table.features or () if one.levels}
        kinds = _columns(task).items()
        row = {name: words[name] if kind == "string" else 0.0 for name, kind in kinds}
        return pd.DataFrame([row])
    first = min(model.modalities) if model.modalities else None
    image = np.zeros((1, *model.size_of(first)), dtype=np.float32)
    return image if first is None else (image, {"modality": first})


def requirements() -> list[str]:
    """What the model needs where it is loaded, pinned to what is installed here."""
    return [_pinned(name) for name in NEEDED]


def _pinned(name: str) -> str:
    try:
        return f"{name}=={metadata.version(name).partition('+')[0]}"
    except metadata.PackageNotFoundError:  # a coordinator without torch
        return name
