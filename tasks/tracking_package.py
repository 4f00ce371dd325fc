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
from mlflow.models import ModelSignature
from mlflow.types import Schema, TensorSpec

import fedcore
from fedcore.config.model import ModelSection
from fedcore.config.task import TaskFile
from fedcore.models.pixels import described

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
        signature=signature_of(task.model),
        input_example=np.zeros((1, *task.model.input_size), dtype=np.float32),
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
    }


def signature_of(model: ModelSection) -> ModelSignature:
    """Images (N, C, H, W) float32 in 0..1 to probabilities (N, classes) float32."""
    images = TensorSpec(np.dtype(np.float32), (-1, *model.input_size))
    probabilities = TensorSpec(np.dtype(np.float32), (-1, model.num_classes))
    return ModelSignature(inputs=Schema([images]), outputs=Schema([probabilities]))


def requirements() -> list[str]:
    """What the model needs where it is loaded, pinned to what is installed here."""
    return [_pinned(name) for name in NEEDED]


def _pinned(name: str) -> str:
    try:
        return f"{name}=={metadata.version(name).partition('+')[0]}"
    except metadata.PackageNotFoundError:  # a coordinator without torch
        return name
