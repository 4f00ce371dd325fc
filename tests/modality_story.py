"""A small task of two modalities, and which party has which."""

from __future__ import annotations

from rounds_story import task_file

from fedcore.config.task import TaskFile

MODALITIES = {"1": "ct", "2": "ct", "3": "xray"}


def crossmodal(**federation: object) -> TaskFile:
    """A task for grey CT of 16 pixels and colour radiographs of 24 by 20."""
    task = task_file(**federation).model_dump(mode="json")
    task["model"]["modalities"] = {
        "ct": {"input_size": [1, 16, 16]},
        "xray": {"input_size": [3, 24, 20]},
    }
    return TaskFile.model_validate(task)
