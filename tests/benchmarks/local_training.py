"""Local training beside plain PyTorch: `python tests/benchmarks/local_training.py [--write]`.

A whole round of a party (`train_round`: weights in, checks, steps, weights out) against the
shortest loop that trains the same network on the same images, which lie there as normalised float32
tensors already, in turn in one process, the party with its memory kept as in a session; then ten
epochs from DICOM files (`folder_epochs.py`).
Speeds are of the best turn; the ratio is that of CPU seconds, which other work on the machine
changes less. About four minutes.

On a machine with a GPU it measures there instead, in seconds, beside two plain loops: one that
sends each batch of the tensors to the GPU, as a tutorial does, and one whose tensors lie there
already, which nothing that has to send them can pass. About three minutes.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import folder_epochs
import numpy as np
import torch
from docs_page import written_between
from gpu_watch import GPU, Watched, memory_of, settled
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
from fedcore.training import local  # noqa: E402
from fedcore.training.checkpoint import Checkpoint  # noqa: E402
from fedcore.training.hardware import this_machine  # noqa: E402

PAGE = ROOT / "docs" / "results-costs.md"
RATE = 0.001
DEVICE = "cuda" if GPU else "cpu"
HEAD = """\
| network, pixels | precision, layout | plain, images/s | ours | ratio | cores busy | waiting |
|---|---|---|---|---|---|---|
"""
GPU_HEAD = """\
| batch | precision, layout | plain, sent | plain, there | ours | ratio | of what lies there \
| cores busy | GPU waited | GPU memory, GB |
|---|---|---|---|---|---|---|---|---|---|
"""


@dataclass(frozen=True)
class Case:
    """One row: network, channels and side of its images, how many of them, and `training`."""

    network: str
    channels: int
    side: int
    images: int
    training: dict[str, str] = field(default_factory=dict)
    batch: int = 32
    epochs: int = 1

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
                "federation": {
                    "epochs": 1,
                    "local_epochs": self.epochs,
                    "batch_size": self.batch,
                    "lr": RATE,
                },
                "training": {
                    "threads": None if GPU else threads,
                    "channels_last": "off",
                    **self.training,
                },
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
PRECISIONS = (
    {"precision": "float32"},
    {"precision": "float32", "channels_last": "on"},
    {"precision": "bfloat16"},
    {"precision": "bfloat16", "channels_last": "on"},
)
GPU_CASES = tuple(
    Case("resnet18", 3, 224, 2048, training, batch, 2)
    for batch in (64, 128, 256)
    for training in PRECISIONS
    if batch != 128 or training == PRECISIONS[-1]
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
    network: nn.Module, pixels: torch.Tensor, labels: torch.Tensor, case: Case, look: bool = True
) -> None:
    """As a tutorial writes it, without any loader between tensors and network."""
    bfloat16 = case.training.get("precision") == "bfloat16"
    optimizer = torch.optim.Adam(network.parameters(), lr=RATE, fused=True)
    network.train()
    for _ in range(case.epochs):
        for rows in torch.randperm(len(labels), device=pixels.device).split(case.batch):
            optimizer.zero_grad()
            images, truth = pixels[rows].to(DEVICE), labels[rows].to(DEVICE)
            with torch.autocast(DEVICE, torch.bfloat16, bfloat16):
                outputs = network(images)
            loss = cross_entropy(outputs.float(), truth)
            loss.backward()
            optimizer.step()
            if look:
                loss.item()


def arms(case: Case, threads: int, folder: Path) -> tuple[dict[str, Callable[[], None]], Waiting]:
    """The plain rounds and the party's, each with a network of its own; and the party's images."""
    task, images = case.task(threads), Waiting(images_of(case))
    machine = this_machine(task.training)
    ours, start = build(task.model, 0), to_params(build(task.model, 0))
    pixels = torch.from_numpy(images.pixels).float().div_(255).sub_(0.45).div_(0.22)
    pixels = pixels.contiguous(memory_format=machine.layout)
    labels = torch.from_numpy(images.labels)

    def party() -> None:
        kept = Checkpoint(folder, {"base": "0" * 64})
        with heap.kept():
            local.train_round(ours, start, images, task, party_id="1", number=1, checkpoint=kept)

    def plain(device: str, look: bool) -> Callable[[], None]:
        theirs = build(task.model, 0).to(DEVICE, memory_format=machine.layout)
        return partial(plain_round, theirs, pixels.to(device), labels.to(device), case, look)

    there = {"there": plain("cuda", look=False)} if GPU else {}
    return {"plain": plain("cpu", look=True), **there, "ours": party}, images


def timed(act: Callable[[], object]) -> tuple[float, float]:
    """Seconds, and CPU seconds of this process."""
    settled()
    begun, spent = time.perf_counter(), time.process_time()
    act()
    settled()
    return time.perf_counter() - begun, time.process_time() - spent


def compared(case: Case, turns: int, threads: int = 1) -> dict[str, float]:
    """All in turn: speeds, ratios in the median, cores kept busy, share of time waited."""
    torch.set_num_threads(threads)
    watched = Watched()
    with tempfile.TemporaryDirectory(prefix="local-training-") as folder:
        acts, images = arms(case, threads, Path(folder))
        for act in acts.values():
            act()
        images.seconds = 0.0
        with watched.here():
            found = [{name: timed(act) for name, act in acts.items()} for _ in range(turns)]
        memory = memory_of(acts["ours"])
    ours = [turn["ours"] for turn in found]
    waited = watched.seconds if GPU else images.seconds
    return {
        **{name: passed(case) / min(turn[name][0] for turn in found) for name in acts},
        "ratio": ratio_to(found, "plain"),
        "of there": ratio_to(found, "there") if GPU else 0.0,
        "cores": statistics.median(spent / seconds for seconds, spent in ours),
        "waiting": waited / sum(seconds for seconds, _ in ours),
        "memory": memory,
    }


def passed(case: Case) -> int:
    """How many images a round sees."""
    return case.images * case.epochs


def ratio_to(found: list[dict[str, tuple[float, float]]], other: str) -> float:
    """How much longer the other takes, in the median; on a processor in CPU seconds."""
    at = 0 if GPU else 1
    return statistics.median(turn[other][at] / turn["ours"][at] for turn in found)


def row(case: Case, found: dict[str, float]) -> str:
    speeds = f"{found['plain']:.0f} | {found['ours']:.0f} | {found['ratio']:.3f}"
    rest = f"{found['cores']:.2f} | {found['waiting']:.2%}"
    return f"| {case.network}, {case.side} | {case.words} | {speeds} | {rest} |\n"


def gpu_row(case: Case, found: dict[str, float]) -> str:
    speeds = f"{found['plain']:.0f} | {found['there']:.0f} | {found['ours']:.0f}"
    ratios = f"{found['ratio']:.2f} | {found['of there']:.3f}"
    rest = f"{found['cores']:.2f} | {found['waiting']:.2%} | {found['memory']:.1f}"
    return f"| {case.batch} | {case.words} | {speeds} | {ratios} | {rest} |\n"


def on_gpu(turns: int, threads: int) -> str:
    """The table of this machine's GPU, its name and what computed below."""
    table = shown(GPU_HEAD, (gpu_row(one, compared(one, turns, threads)) for one in GPU_CASES))
    card, cudnn = torch.cuda.get_device_name(), torch.backends.cudnn.version()
    below = f"\n{card}, torch {torch.__version__}, cuDNN {cudnn}; {turns} turns.\n"
    print(below, end="")
    return table + below


def main() -> None:
    parser = options(__doc__, turns=5, threads=8 if GPU else 1)
    parser.add_argument("--write", action="store_true", help="put the table into the page")
    given = parser.parse_args()
    if GPU:
        tables = {"local training on a GPU": on_gpu(given.turns, given.threads)}
    else:
        rows = (row(case, compared(case, given.turns, given.threads)) for case in CASES)
        tables = {
            "local training": shown(HEAD, rows),
            "folder epochs": shown(folder_epochs.HEAD, folder_epochs.rows()),
        }
    for name, table in tables.items() if given.write else ():
        written_between(PAGE, name, table)


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
