"""In plain words: what a training would do at this hospital, and what would leave it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fedcore.config.columns import level_of
from fedcore.config.federation import FederationSection
from fedcore.config.policy import METRICS, Leaving
from fedcore.config.task import TaskFile
from fedcore.errors import amount
from fedcore.rounds.messages import Agreement

PARTS = {
    "head": "the network's head (its last layer)",
    "norms": "BatchNorm's weights and running statistics",
    "statistics": "BatchNorm's running statistics",
}
# What each level of the task file's data.statistics tells.
STATISTICS = {
    "counts": "how many images each class has in training, validation and test",
    "full": "statistics of the data: how many images each class, modality and manufacturer has, "
    "how many a patient, and the pixel values' histogram, mean and standard deviation",
}


@dataclass(frozen=True)
class Plain:
    """Three lists of sentences for the person who approves."""

    runs: tuple[str, ...]
    leaves: tuple[str, ...]
    stays: tuple[str, ...]

    def lines(self) -> list[str]:
        """All of it with headings, one line each."""
        parts = {"Will run here": self.runs, "Will leave": self.leaves, "Stays here": self.stays}
        return [
            line
            for heading, sentences in parts.items()
            for line in (f"{heading}:", *(f"  - {sentence}" for sentence in sentences))
        ]


def in_plain_words(agreement: Agreement, task: TaskFile, leaving: Leaving) -> Plain:
    """What `task` means at a hospital that lets `leaving` leave."""
    few = max(task.data.min_reported, leaving.min_reported)
    return Plain(
        runs=tuple(_runs(agreement, task)),
        leaves=tuple(_leaves(task, leaving, few)),
        stays=tuple(_stays(task, leaving, few)),
    )


def _runs(agreement: Agreement, task: TaskFile) -> Iterator[str]:
    federation, model = task.federation, task.model
    channels, height, width = model.input_size
    kind = "colour" if channels == 3 else "grey"
    shape = f"{kind} images of {height} x {width} pixels"
    if model.modalities:
        shape = f"images of the size agreed for their modality ({', '.join(model.modalities)})"
    yield (
        f"a {model.name} network learns to tell {model.num_classes} classes apart from this "
        f"hospital's images, as {shape}"
    )
    each = f"{federation.local_epochs} pass(es) over the training images"
    if federation.local_steps is not None:
        size = "all" if federation.batch_size == "full" else federation.batch_size
        each = f"{federation.local_steps} steps of {size} images"
    if federation.strategy == "fedrep":
        each = f"{federation.head_epochs} pass(es) that train the last layer alone, then {each}"
    rounds = f"{federation.epochs} rounds by {federation.strategy}"
    yield f"up to {rounds}{_drawn(federation, len(agreement.parties))}, in each of them {each}"
    if federation.strategy == "ditto":
        yield "in each round also a personal model of this hospital, trained as long as the other"
    if federation.finetune_epochs:
        yield f"at the end {federation.finetune_epochs} pass(es) to fine-tune a personal model"
    start = model.weights or f"fresh weights (seed {task.seed})"
    yield f"it starts from {start}; no program comes with it: fedcore {agreement.code_version}"
    if task.pretrain is not None:
        passes = task.pretrain.epochs
        yield f"before that, the guest trains it in {passes} pass(es) over public images of its own"
    others = ", ".join(member.label for member in agreement.parties)
    yield f"it is trained by {others}"


def _drawn(federation: FederationSection, parties: int) -> str:
    """How many parties are in a round, where not all are."""
    seats = federation.seats(parties)
    return "" if seats == parties else f" with {seats} of the {parties} parties, drawn by chance"


def _leaves(task: TaskFile, leaving: Leaving, few: int) -> Iterator[str]:
    yield (
        "once: numbers of training patients and images, the classes' names, how many files were "
        "set aside and why, hashes of task file and data, the version of fedcore"
    )
    if "statistics" in leaving.metrics and level_of(task) != "none":
        told = STATISTICS[level_of(task)]
        yield f"once, before the training: {told}; each number over at least {few} patients"
    clip = task.federation.clip_norm
    bound = f"clipped to the norm {clip:g}" if clip is not None else "not clipped"
    yield (
        f"each round: the update (what the network learned here), {bound}; no noise is added and "
        "the coordinator sees it by itself: something of the training images can be inferred; "
        f"{_kept(task)}"
    )
    means = [name for name in ("loss", "accuracy") if name in leaving.metrics]
    if means:
        yield f"each round: the training's {' and '.join(means)}, over at least {few} patients"
    if "scores" in leaving.metrics:
        yield (
            "each round and at the end: counts and histograms of the global model's answers, over "
            f"at least {few} validation or test patients"
        )
    if "scores" in leaving.metrics and task.federation.personal:
        yield "the same counts of this hospital's personal model's answers"
    if task.evaluation.cross_site:
        yield (
            "at the end, TO EVERY OTHER HOSPITAL: the model as it was trained here in the last "
            "round, to be scored on their patients"
        )


def _kept(task: TaskFile) -> str:
    """How long an update lies in the exchange."""
    rounds = task.retention.keep_rounds
    if rounds is None:
        return "it stays in the exchange"
    until = f"{amount(rounds, 'round')} later" if rounds else "once its round is done"
    return f"the coordinator removes it from the exchange {until}"


def _stays(task: TaskFile, leaving: Leaving, few: int) -> Iterator[str]:
    yield "every image, table and file, and whatever names a patient"
    kept = [name for name in METRICS if name not in leaving.metrics]
    if kept:
        yield f"by this hospital's policy: {', '.join(kept)}"
    if task.training.optimizer_state == "kept":
        yield "the optimiser's moments"
    if task.data.normalize == "own":
        yield "mean and standard deviation of the training images' pixels"
    if task.federation.personal:
        yield "this hospital's personal model"
    yield from (PARTS[part] for part in sorted(task.federation.kept_home))
    yield f"all numbers over fewer than {few} patients"
