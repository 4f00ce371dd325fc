"""The task file of the neutral work; loads no torch, so that whoever only starts it need not."""

from __future__ import annotations

from fedcore.config.task import TaskFile

SIDE = 32
BOTH = "-both"


def task_file(rounds: int, codec: str = "float32", **data: float) -> TaskFile:
    """resnet18 for two classes, fedavg, updates by that codec; `data` adds to `data`.

    With `-both` behind the codec models come as steps, packed by it, too.
    """
    update = {
        "codec": codec.removesuffix(BOTH),
        "model": "step" if codec.endswith(BOTH) else "full",
    }
    return TaskFile.model_validate(
        {
            "task_type": "classification",
            "name": "neutral",
            "model": {"name": "resnet18", "input_size": [3, SIDE, SIDE], "num_classes": 2},
            "federation": {"strategy": "fedavg", "epochs": rounds, "batch_size": 8, "lr": 0.01},
            "training": {"threads": 1},
            "data": {"min_reported": 1, "min_patients": 2, **data},
            "update": update,
        }
    )
