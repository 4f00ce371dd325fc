"""Small clinical tables: a task file in code, CSV files, cohorts of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from fedcore.config.table import TableSection
from fedcore.config.task import TaskFile
from fedcore.data import Cohort, survey_folder

STAGE = {"name": "stage", "kind": "categorical", "categories": ["i", "ii", "iii"]}


def table(**fields: object) -> dict:
    """A table section of one number and one category, as people write it."""
    return {"features": ["age", STAGE], "target": "ill", "split": "exact", **fields}


def section(**fields: object) -> TableSection:
    """The same, read."""
    return TableSection.model_validate(table(**fields))


def task(data: Mapping | None = None, federation: Mapping | None = None, **fields) -> TaskFile:
    """A task for `table(**fields)`; survival where a time is named."""
    survival = "time" in fields
    columns = {"target": None} if survival else {}
    content = {
        "task_type": "survival" if survival else "classification",
        "model": {"name": "cox" if survival else "logistic", "init": "zeros"},
        "federation": {"epochs": 2, "batch_size": 8, "lr": 0.1, **(federation or {})},
        "training": {"optimizer": "sgd", "momentum": 0.0, "threads": 1},
        "data": {
            "table": table(**columns, **fields),
            "min_reported": 1,
            "min_patients": 1,
            "validation": 0.25,
            "test": 0.25,
            "require_all_classes": False,
            **(data or {}),
        },
    }
    return TaskFile.model_validate(content)


def write(path: Path, rows: Iterable[Sequence[object]], header: str = "age,stage,ill") -> Path:
    """A CSV file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [header, *(",".join(map(str, row)) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


def patients(count: int = 40, seed: int = 0) -> list[tuple[object, ...]]:
    """Rows of age, stage and illness: the old and the third stage are ill more often."""
    random = np.random.default_rng(seed)
    rows = []
    for _ in range(count):
        age, stage = round(float(random.normal(60, 10)), 2), random.choice(["i", "ii", "iii"])
        ill = int(random.random() < 1 / (1 + np.exp(-(age - 60) / 5 - (stage == "iii"))))
        rows.append((age, stage, ill))
    return rows


def cohort(place: Path, written: TaskFile) -> Cohort:
    """What a training would make of the table at `place`."""
    return survey_folder(place, written, place.parent / "state")


def everything(part) -> np.ndarray:
    """All rows of a split as the model sees them."""
    return part.batch(np.arange(len(part)))
