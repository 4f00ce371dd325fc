"""Small tasks, small images: what the tests of local training share."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fedcore.config.data import DataSection
from fedcore.config.federation import FederationSection
from fedcore.config.model import ModelSection
from fedcore.config.task import TaskFile
from fedcore.config.task import TrainingSection as Training
from fedcore.data.images import ArrayImages
from fedcore.models.catalogue import build
from fedcore.training.hardware import Hardware

CPU = Hardware()
# These are run where there is a GPU, and are no tests elsewhere.
collect_ignore = [] if torch.cuda.is_available() else ["test_on_gpu.py", "test_gpu_federations.py"]


@pytest.fixture
def cpu():
    """One thread of a processor: the same everywhere."""
    return CPU


@pytest.fixture
def make_task():
    """A task file in code; keywords go to the section that knows them."""

    def make(name="cnn", size=(1, 16, 16), classes=2, seed=0, **fields):
        parts = [
            section(**{key: fields.pop(key) for key in list(fields) if key in section.model_fields})
            for section in (FederationSection, Training, DataSection)
        ]
        assert not fields
        return TaskFile(
            task_type="classification",
            seed=seed,
            model=ModelSection(name=name, input_size=size, num_classes=classes),
            **dict(zip(("federation", "training", "data"), parts, strict=True)),
        )

    return make


@pytest.fixture
def make_images():
    """Images whose class is where they are bright: top for 0, bottom for 1."""

    def make(amount=24, channels=1, side=16, seed=0, labels=None):
        random = np.random.default_rng(seed)
        truth = random.integers(0, 2, amount) if labels is None else np.asarray(labels)
        pixels = random.integers(0, 128, (amount, channels, side, side), dtype=np.uint8)
        half = side // 2
        pixels[truth == 0, :, :half] += 100
        pixels[truth == 1, :, half:] += 100
        return ArrayImages(pixels, truth.astype(np.int64), amount)

    return make


@pytest.fixture
def make_network():
    """A fresh network for a task."""
    return lambda task: build(task.model, task.seed)
