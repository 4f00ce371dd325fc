"""Which columns a task's data is told of in, before a training, and in which cells.

Party and coordinator read it off the task file alone, so that the same column means the same to
every party, and what a party sends can be held to it.
"""

from __future__ import annotations

from fedcore.config.feature import Feature
from fedcore.config.task import TaskFile
from fedcore.statistics import Layout, Level

__all__ = [
    "IMAGES_EACH",
    "PIXELS",
    "SCANNERS",
    "feature_layout",
    "layouts",
    "level_of",
    "split_layout",
]

TABLE_CELLS = 10
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
    table = task.data.table
    if table is not None and table.pools_statistics:
        return "full"  # every party needs the mean and the spread of all
    return task.data.statistics


def layouts(task: TaskFile, classes: tuple[str, ...]) -> tuple[Layout, ...]:
    """The columns that each party tells of, in order; none where the task asks for none."""
    level = level_of(task)
    if level == "none":
        return ()
    # No column counts all splits together: the scores tell of some, and the rest would be left.
    counted = tuple(split_layout(split, classes) for split in SPLITS)
    if level == "counts":
        return counted
    if task.data.table is not None:
        return (*counted, *map(feature_layout, task.data.table.features or ()))
    return (*counted, IMAGES_EACH, PIXELS, *SCANNERS)


def feature_layout(feature: Feature) -> Layout:
    """A table's column: its categories, or ten cells over its `range`, or one cell."""
    name = f"column/{feature.name}"
    if feature.levels:
        return Layout(name, "categorical", labels=feature.levels)
    lowest, highest = feature.range or (0.0, 0.0)
    step = (highest - lowest) / TABLE_CELLS
    inner = range(1, TABLE_CELLS) if step > 0 else range(0)
    return Layout(name, "numeric", tuple(lowest + step * number for number in inner))


def split_layout(split: str, classes: tuple[str, ...]) -> Layout:
    """The classes of a split's images."""
    return Layout(f"class/{split}", "categorical", labels=classes, complete=True)
