"""`federated_task.yaml`: what the parties agreed on. The published three sections are enough."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import Field, field_validator, model_validator

from fedcore.config.base import Section, misfit, validate
from fedcore.config.reading import parse_yaml, read_text
from fedcore.errors import TaskFileError, nearest

STRATEGIES = ("fedavg", "fedprox")
METRICS = ("accuracy", "auroc", "loss")


class ModelSection(Section):
    """Which network is trained."""

    name: str = Field("resnet18", description="a classifier of torchvision's catalogue, or cnn")
    input_size: tuple[int, int, int] = Field(
        (3, 224, 224), description="channels (1 or 3), height and width in pixels"
    )
    num_classes: int = Field(2, ge=2, le=1000, description="number of classes, 2 to 1000")
    weights: str | None = Field(
        None,
        description="start from weights: a .safetensors file, exchange:KEY or models:/name@alias",
    )

    @field_validator("input_size")
    @classmethod
    def _sensible_size(cls, size: tuple[int, int, int]) -> tuple[int, int, int]:
        if size[0] not in (1, 3):
            raise ValueError("the first number is the channels: 1 or 3")
        if not all(8 <= side <= 2048 for side in size[1:]):
            raise ValueError("height and width must lie between 8 and 2048 pixels")
        return size


class EarlyStopping(Section):
    """Stop when the watched metric has not improved for some rounds."""

    patience: int = Field(ge=1, le=10_000, description="rounds without improvement before stopping")
    min_delta: float = Field(0.0, ge=0, description="the least change that counts as improvement")


class FederationSection(Section):
    """How the rounds go."""

    strategy: str = Field("fedavg", description="how replies become the next global model")
    epochs: int = Field(50, ge=1, le=100_000, description="number of rounds")
    batch_size: int = Field(32, ge=1, le=65_536, description="images per optimiser step")
    lr: float = Field(0.001, gt=0, le=100, description="learning rate at the party, above 0")
    local_epochs: int = Field(
        1, ge=1, le=1000, description="passes over the party's data per round"
    )
    local_steps: int | None = Field(
        None, ge=1, description="optimiser steps per round, in place of local_epochs"
    )
    mu: float = Field(0.01, ge=0, description="weight of FedProx's proximal term")
    weighting: Literal["patients", "images", "equal"] = Field(
        "patients", description="what a party's update is weighted by"
    )
    batch_norm: Literal["average", "local"] = Field(
        "average", description="BatchNorm's running statistics: averaged, or kept at each party"
    )
    clip_norm: float | None = Field(
        None, gt=0, description="clip each update to this L2 norm; larger ones are refused"
    )
    quorum: int | None = Field(
        None, ge=1, description="replies a round needs; by default all parties'"
    )
    deadline: float | None = Field(
        None, gt=0, description="seconds a round waits for replies; by default without end"
    )
    late: Literal["discard", "next_round"] = Field(
        "discard", description="a reply after the deadline: lost, or counted in the next open round"
    )
    select_by: str = Field("auroc", description="the validation metric that names the best round")
    early_stopping: EarlyStopping | None = Field(None, description="stop without improvement")

    @field_validator("strategy")
    @classmethod
    def _known_strategy(cls, name: str) -> str:
        if name not in STRATEGIES:
            raise ValueError(f"no such strategy; {nearest(name, STRATEGIES)}")
        return name

    @field_validator("select_by")
    @classmethod
    def _known_metric(cls, name: str) -> str:
        if name not in METRICS:
            raise ValueError(f"no such metric; {nearest(name, METRICS)}")
        return name


class TrainingSection(Section):
    """How a party trains inside a round."""

    optimizer: Literal["sgd", "adam", "adamw"] = Field("adam", description="re-created every round")
    momentum: float = Field(0.9, ge=0, lt=1, description="momentum of sgd")
    weight_decay: float = Field(0.0, ge=0, description="L2 regularisation (decoupled in adamw)")
    schedule: Literal["constant", "step", "cosine", "onecycle"] = Field(
        "constant", description="course of the learning rate over the whole training"
    )
    step_rounds: int = Field(10, ge=1, description="rounds between two steps of schedule step")
    step_factor: float = Field(0.1, gt=0, le=1, description="factor of each step of schedule step")
    class_weights: Literal["none", "balanced"] = Field(
        "none", description="weigh classes by the inverse of their frequency at the party"
    )
    augment: Literal["none", "flip"] = Field(
        "none", description="random changes of training images"
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="auto: bfloat16 autocast on a GPU, float32 otherwise"
    )
    channels_last: Literal["auto", "on", "off"] = Field(
        "auto", description="memory layout; auto: on where bfloat16 is used"
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: a GPU where present")
    threads: int | None = Field(
        None, ge=1, le=1024, description="CPU threads; by default half of the logical cores"
    )


class DataSection(Section):
    """Where labels come from, how patients are split, and what a party's data must satisfy."""

    labels: Literal["auto", "folders", "file", "attribute"] = Field(
        "auto",
        description="auto: labels.csv or labels.parquet where present, else sub-folder names",
    )
    label_attribute: str | None = Field(
        None, description="DICOM keyword that holds the label, for labels: attribute"
    )
    classes: tuple[str, ...] | None = Field(
        None, description="class names in the order of their numbers; by default sorted names"
    )
    frame: Literal["first", "middle", "last", "all"] = Field(
        "middle", description="which frame of a multi-frame object is used"
    )
    normalize: Literal["imagenet", "none"] = Field(
        "imagenet", description="mean and standard deviation that images are normalised with"
    )
    validation: float = Field(0.15, ge=0, lt=1, description="share of patients for validation")
    test: float = Field(0.15, ge=0, lt=1, description="share of patients for the final test")
    min_patients: int = Field(5, ge=1, description="fewer training patients break the contract")
    require_all_classes: bool = Field(
        True, description="each party must have every class among its training images"
    )
    max_quarantined: float = Field(
        0.2, ge=0, le=1, description="a larger share of unusable files breaks the contract"
    )
    min_reported: int = Field(
        5, ge=1, description="metrics over fewer patients are withheld at the hospital"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.validation + self.test >= 0.9:
            both = f"leave more than 0.1 for training: test is {self.test}"
            raise misfit("validation", self.validation, both)
        if (self.labels == "attribute") != (self.label_attribute is not None):
            both = f"give it together with labels: attribute, or neither: labels is {self.labels}"
            raise misfit("label_attribute", self.label_attribute, both)
        if self.classes is not None and len(set(self.classes)) != len(self.classes):
            raise misfit("classes", self.classes, "name each class once")
        return self


class TaskFile(Section):
    """The whole task file; frozen, hashed, and identical at every party."""

    task_type: Literal["classification"] = Field(description="what is learned: classification")
    name: str = Field(
        "federated-classification",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$",
        description="names the MLflow experiment and the registered model; letters, digits, . _ -",
    )
    seed: int = Field(0, ge=0, lt=2**31, description="initial weights and data order follow it")
    model: ModelSection = Field(description="which network is trained")
    federation: FederationSection = Field(description="how the rounds go")
    training: TrainingSection = Field(TrainingSection(), description="training inside a round")
    data: DataSection = Field(DataSection(), description="labels, splits and the data contract")

    @model_validator(mode="after")
    def _classes_agree(self) -> Self:
        names, number = self.data.classes, self.model.num_classes
        if names is not None and len(names) != number:
            remedy = f"name {number} classes or change model.num_classes, which is {number}"
            raise misfit("data.classes", names, remedy)
        return self

    def fingerprint(self) -> str:
        """SHA-256 of the canonical form with all defaults written out; the same at every party."""
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()

    def flat(self) -> dict[str, Any]:
        """Dotted field names to plain values, for tracking and for telling two files apart."""
        return _flatten(self.model_dump(mode="json"), "")

    def to_yaml(self) -> str:
        """The file as run: every default written out."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)


def load_task_file(path: Path) -> TaskFile:
    """Read and check a task file; `TaskFileError` names file, field, value and remedy."""
    return parse_task_file(read_text(path, "task file", TaskFileError), path)


def parse_task_file(text: str, path: Path | str) -> TaskFile:
    """Check the text of a task file; `path` only names it in errors."""
    content = parse_yaml(text, path, TaskFileError)
    return validate(TaskFile, content, path, TaskFileError)


def differences(ours: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
    """Which flat fields two task files differ in, as `field: ours here, theirs there`."""
    names = sorted(ours.keys() | theirs.keys())
    return [
        f"{name}: {ours.get(name)!r} here, {theirs.get(name)!r} there"
        for name in names
        if ours.get(name) != theirs.get(name)
    ]


def _flatten(value: Any, prefix: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        return {prefix: value}
    flat: dict[str, Any] = {}
    for key, inner in value.items():
        flat |= _flatten(inner, f"{prefix}.{key}" if prefix else str(key))
    return flat
