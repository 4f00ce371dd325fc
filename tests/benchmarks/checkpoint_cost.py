"""What a checkpoint in the middle of a round costs: `python tests/benchmarks/checkpoint_cost.py`.

One resnet18 with Adam (three times the model) on this machine's disk, in seconds and as a share of
the time at the default interval; and that a round goes on to the same bits on this machine's
hardware, GPU included.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
from typed import options

from fedcore.config.task import TaskFile
from fedcore.data.images import ArrayImages
from fedcore.models.catalogue import build
from fedcore.models.state import to_params
from fedcore.params import digest
from fedcore.training.checkpoint import SECONDS, Checkpoint
from fedcore.training.hardware import this_machine
from fedcore.training.local import TrainResult, train_round


class Killed(Exception):
    """The process is gone."""


class Timed(Checkpoint):
    """Remembers how long each save took."""

    def save(self, step, arrays):
        begun = time.perf_counter()
        super().save(step, arrays)
        self.took.append(time.perf_counter() - begun)


def task_of(optimizer: str) -> TaskFile:
    return TaskFile.model_validate(
        {
            "task_type": "classification",
            "model": {"name": "resnet18", "input_size": [3, 32, 32], "num_classes": 2},
            "federation": {"strategy": "fedavg", "epochs": 2, "batch_size": 8, "lr": 0.001},
            "training": {"optimizer": optimizer, "augment": "flip"},
        }
    )


def train(task: TaskFile, checkpoint: Checkpoint | None, stop: int | None = None) -> TrainResult:
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (64, 3, 32, 32), dtype=np.uint8)
    images = ArrayImages(pixels, np.arange(64) % 2, 64)
    network = build(task.model, 0)

    def watch(done: int, total: int, loss: float) -> None:
        if done == stop:
            raise Killed

    return train_round(
        network, to_params(network), images, task,
        party_id="1", number=1, on_step=watch, checkpoint=checkpoint,
    )  # fmt: skip


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--folder", type=Path, help="where to write; a temporary folder if none")
    folder = Path(tempfile.mkdtemp(dir=parser.parse_args().folder))
    print(this_machine(task_of("adam").training))
    for optimizer in ("sgd", "adam", "adamw"):
        task = task_of(optimizer)
        whole = train(task, None)
        kept = Timed(folder, {}, every=0.0, clock=lambda: 0.0)
        kept.took = []
        try:
            # A GPU is looked at after every tenth step only, and at the end.
            train(task, kept, stop=8)
        except Killed:
            size = sum(path.stat().st_size for path in folder.iterdir())
        again = train(task, Checkpoint(folder, {}, every=1e9))
        same = digest(again.params) == digest(whole.params) and again.metrics == whole.metrics
        best, mean = min(kept.took), sum(kept.took) / len(kept.took)
        print(
            f"{optimizer}: {size / 1e6:.0f} MB, best {best:.2f} s, mean {mean:.2f} s, "
            f"{100 * best / SECONDS:.1f} % of {SECONDS:.0f} s; same bits after a kill: {same}"
        )


if __name__ == "__main__":
    main()
