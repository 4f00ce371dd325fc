"""Which columns a task's data is told of in, before a training, and in which cells.

Party and coordinator read it off the task file alone, so that the same column means the same to
every party, and what a party sends can be held to it.
"""

from __future__ import annotations

from fedcore.config.task import TaskFile
from fedcore.statistics import Layout, Level

__all__ = ["IMAGES_EACH", "PIXELS", "SCANNERS", "layouts", "level_of", "split_layout"]

SPLITS = ("train", "validation", "test")
PIXEL_EDGES = tuple(float(edge) for edge in range(8, 256, 8))  # 32 cells over 256 grey levels
IMAGES_EACH = Layout(
    "images_per_patient", "numeric", (2.0, 3.0, 5.0, 9.0, 17.0, 33.0, 65.0), complete=True
)
PIXELS = Layout("pixel_value", "numeric", PIXEL_EDGES, complete=True)
SCANNERS = (
    Layout("modality", "categorical", own_labels=True),
    Layout("manufacturer", "categorical", own_labels=True),
)


def level_of(task: TaskFile) -> Level:
    """How much is told of the data before the training."""
    return task.data.statistics


def layouts(task: TaskFile, classes: tuple[str, ...]) -> tuple[Layout, ...]:
    """The columns that each party tells of, in order; none where the task asks for none."""
    level = level_of(task)
    if level == "none":
        return ()
    # No column counts all splits together: the scores tell of some, and the rest would be left.
    counted = tuple(split_layout(split, classes) for split in SPLITS)
    return counted if level == "counts" else (*counted, IMAGES_EACH, PIXELS, *SCANNERS)


def split_layout(split: str, classes: tuple[str, ...]) -> Layout:
    """The classes of a split's images."""
    return Layout(f"class/{split}", "categorical", labels=classes, complete=True)
