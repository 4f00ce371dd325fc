"""A task file in code, for tests that hypothesis calls and that so can take no fixture."""

from __future__ import annotations

from fedcore.config.federation import FederationSection
from fedcore.config.model import ModelSection
from fedcore.config.task import TaskFile
from fedcore.config.training import TrainingSection


def task_of(**fields: object) -> TaskFile:
    """A task for the small network; each field goes to the section that knows it."""
    parts = {
        name: section(**{key: fields[key] for key in fields if key in section.model_fields})
        for name, section in (("federation", FederationSection), ("training", TrainingSection))
    }
    model = ModelSection(name="cnn", input_size=(1, 16, 16))
    return TaskFile(task_type="classification", model=model, **parts)
