"""Local training beside plain PyTorch: `python tests/benchmarks/local_training.py [--write]`.

A whole round of a party (`train_round`: weights in, checks, steps, weights out) against the
shortest loop that trains the same network on the same images, which lie there as normalised float32
tensors already, in turn in one process, the party with its memory kept as in a session; then ten
epochs from DICOM files (`folder_epochs.py`).
Speeds are of the best turn; the ratio is that of CPU seconds, which other work on the machine
changes less. About four minutes.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import folder_epochs
import numpy as np
import torch
from docs_page import written_between
from torch import nn
from torch.nn.functional import cross_entropy
from typed import options

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from fedcore.config.task import TaskFile  # noqa: E402
from fedcore.data.images import ArrayImages  # noqa: E402
from fedcore.models.catalogue import build  # noqa: E402
from fedcore.models.state import to_params  # noqa: E402
from fedcore.rounds import heap  # noqa: E402
from fedcore.training.checkpoint import Checkpoint  # noqa: E402
from fedcore.training.hardware import this_machine  # noqa: E402
from fedcore.training.local import train_round  # noqa: E402

PAGE = ROOT / "docs" / "results-costs.md"
BATCH, RATE = 32, 0.001
HEAD = """\
| network, pixels | precision, layout | plain, images/s | ours | ratio | cores busy | waiting |
|---|---|---|---|---|---|---|
"""


@dataclass(frozen=True)
class Case:
    """One row: network, channels and side of its images, how many of them, and `training`."""

    network: str
    channels: int
    side: int
    images: int
    training: dict[str, str] = field(default_factory=dict)

    @property
    def words(self) -> str:
        layout = {"on": ", channels_last", "off": ""}
        precision = self.training.get("precision", "float32")
        return precision + layout[self.training.get("channels_last", "off")]

    def task(self, threads: int) -> TaskFile:
        model = {"name": self.network, "input_size": [self.channels, self.side, self.side]}
        return TaskFile.model_validate(
            {
                "task_type": "classification",
                "model": model,
                "federation": {"epochs": 1, "batch_size": BATCH, "lr": RATE},
                "training": {"threads": threads, "channels_last": "off", **self.training},
            }
        )


CASES = (
    Case("resnet18", 3, 64, 256),
    Case("resnet18", 3, 224, 64),
    Case("cnn", 1, 28, 4096),
    Case("resnet18", 3, 64, 256, {"channels_last": "on"}),
    Case("resnet18", 3, 64, 256, {"precision": "bfloat16"}),
    Case("resnet18", 3, 64, 256, {"precision": "bfloat16", "channels_last": "on"}),
)


@dataclass
class Waiting:
    """Images that count the seconds in which a training waits for them."""

    images: ArrayImages
    seconds: float = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.images, name)

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, indices: np.ndarray) -> np.ndarray:
        begun = time.perf_counter()
        found = self.images.batch(indices)
        self.seconds += time.perf_counter() - begun
        return found


def images_of(case: Case) -> ArrayImages:
    shape = (case.images, case.channels, case.side, case.side)
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    return ArrayImages(pixels, np.arange(case.images) % 2, case.images)


def plain_round(
    network: nn.Module, pixels: torch.Tensor, labels: torch.Tensor, bfloat16: bool
) -> None:
    """One pass as a tutorial writes it, without any loader between tensors and network."""
    optimizer = torch.optim.Adam(network.parameters(), lr=RATE, fused=True)
    network.train()
    for rows in torch.randperm(len(labels)).split(BATCH):
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, bfloat16):
            outputs = network(pixels[rows])
        loss = cross_entropy(outputs.float(), labels[rows])
        loss.backward()
        optimizer.step()
        loss.item()


def arms(
    case: Case, threads: int, folder: Path
) -> tuple[Callable[[], None], Callable[[], None], Waiting]:
    """The plain round and the party's, each with a network of its own; and the party's images."""
    task, images = case.task(threads), Waiting(images_of(case))
    machine = this_machine(task.training)
    theirs, ours = build(task.model, 0), build(task.model, 0)
    theirs.to(memory_format=machine.layout)
    pixels = torch.from_numpy(images.pixels).float().div_(255).sub_(0.45).div_(0.22)
    pixels = pixels.contiguous(memory_format=machine.layout)
    labels, start = torch.from_numpy(images.labels), to_params(ours)

    def party() -> None:
        kept = Checkpoint(folder, {"base": "0" * 64})
        with heap.kept():
            train_round(ours, start, images, task, party_id="1", number=1, checkpoint=kept)

    return lambda: plain_round(theirs, pixels, labels, machine.bfloat16), party, images


def timed(act: Callable[[], object]) -> tuple[float, float]:
    """Seconds, and CPU seconds of this process."""
    begun, spent = time.perf_counter(), time.process_time()
    act()
    return time.perf_counter() - begun, time.process_time() - spent


def compared(case: Case, turns: int, threads: int = 1) -> dict[str, float]:
    """Both in turn: speeds, the ratio in the median, cores kept busy, share of time waited."""
    torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory(prefix="local-training-") as folder:
        plain, party, images = arms(case, threads, Path(folder))
        plain(), party()
        images.seconds = 0.0
        pairs = [(timed(plain), timed(party)) for _ in range(turns)]
    ours = [seconds for _, (seconds, _) in pairs]
    return {
        "plain": case.images / min(seconds for (seconds, _), _ in pairs),
        "ours": case.images / min(ours),
        "ratio": statistics.median(first[1] / second[1] for first, second in pairs),
        "cores": statistics.median(spent / seconds for _, (seconds, spent) in pairs),
        "waiting": images.seconds / sum(ours),
    }


def row(case: Case, found: dict[str, float]) -> str:
    speeds = f"{found['plain']:.0f} | {found['ours']:.0f} | {found['ratio']:.3f}"
    rest = f"{found['cores']:.2f} | {found['waiting']:.2%}"
    return f"| {case.network}, {case.side} | {case.words} | {speeds} | {rest} |\n"


def main() -> None:
    parser = options(__doc__, turns=5, threads=1)
    parser.add_argument("--write", action="store_true", help="put the table into the page")
    given = parser.parse_args()
    rows = (row(case, compared(case, given.turns, given.threads)) for case in CASES)
    loops = shown(HEAD, rows)
    epochs = shown(folder_epochs.HEAD, folder_epochs.rows())
    if given.write:
        written_between(PAGE, "local training", loops)
        written_between(PAGE, "folder epochs", epochs)


def shown(head: str, rows: Iterable[str]) -> str:
    """The table, each row printed as soon as it is there."""
    text = head
    print(head, end="", flush=True)
    for one in rows:
        print(one, end="", flush=True)
        text += one
    return text


if __name__ == "__main__":
    main()
