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
from mlflow.types import DataType, ParamSchema, ParamSpec, Schema, TensorSpec

import fedcore
from fedcore.config.model import ModelSection
from fedcore.config.task import TaskFile
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
        signature=signature_of(task.model),
        input_example=example_of(task.model),
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
    }


def signature_of(model: ModelSection) -> ModelSignature:
    """Images (N, C, H, W) float32 in 0..1 to probabilities (N, classes) float32.

    A cross-modal model takes images of several sizes and is told by the parameter `modality` which
    these are; without it, it refuses.
    """
    shape = (-1, -1, -1) if model.modalities else model.input_size
    images = TensorSpec(np.dtype(np.float32), (-1, *shape))
    probabilities = TensorSpec(np.dtype(np.float32), (-1, model.num_classes))
    inputs, outputs = Schema([images]), Schema([probabilities])
    if not model.modalities:
        return ModelSignature(inputs=inputs, outputs=outputs)
    told = ParamSchema([ParamSpec("modality", DataType.string, "")])
    return ModelSignature(inputs=inputs, outputs=outputs, params=told)


def example_of(model: ModelSection) -> Any:
    """A black image, and, where there are several modalities, that it is of the first one."""
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
