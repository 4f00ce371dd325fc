"""`federated_task.yaml`: what the parties agreed on. The published three sections are enough."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import Field, model_validator

from fedcore.config.base import Section, misfit, validate
from fedcore.config.data import DataSection
from fedcore.config.evaluation import EvaluationSection
from fedcore.config.federation import SGD_ONLY, FederationSection
from fedcore.config.model import ModelSection
from fedcore.config.pretrain import PretrainSection
from fedcore.config.reading import parse_yaml, read_text
from fedcore.config.retention import RetentionSection
from fedcore.config.table_fit import table_misfits
from fedcore.config.training import TrainingSection
from fedcore.config.update import UpdateSection
from fedcore.errors import TaskFileError


class TaskFile(Section):
    """The whole task file; frozen, hashed, and identical at every party."""

    task_type: Literal["classification", "survival"] = Field(
        description="what is learned: classification, or survival from a table"
    )
    name: str = Field(
        "federated-classification",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$",
        description="names the MLflow experiment and the registered model; letters, digits, . _ -",
    )
    seed: int = Field(0, ge=0, lt=2**31, description="initial weights and data order follow it")
    data_seed: int | None = Field(
        None, ge=0, lt=2**31, description="order and mirroring of the images follow it, not seed"
    )
    model: ModelSection = Field(description="which network is trained")
    federation: FederationSection = Field(description="how the rounds go")
    training: TrainingSection = Field(TrainingSection(), description="training inside a round")
    update: UpdateSection = Field(
        UpdateSection(), description="how an update is written for its way"
    )
    data: DataSection = Field(DataSection(), description="labels, splits and the data contract")
    pretrain: PretrainSection | None = Field(
        None, description="a stage on public images at the guest before the first round"
    )

    evaluation: EvaluationSection = Field(
        EvaluationSection(), description="what the final test looks at"
    )
    retention: RetentionSection = Field(
        RetentionSection(), description="what stays in the exchange of rounds that are done"
    )

    @model_validator(mode="before")
    @classmethod
    def _survival_is_selected_by_concordance(cls, content: Any) -> Any:
        """Write out what `select_by` is where nobody says it."""
        if not isinstance(content, dict) or content.get("task_type") != "survival":
            return content
        federation = content.get("federation")
        if not isinstance(federation, dict) or "select_by" in federation:
            return content
        return {**content, "federation": {**federation, "select_by": "concordance"}}

    @model_validator(mode="after")
    def _table_agrees(self) -> Self:
        for field, value, remedy in table_misfits(
            self.task_type, self.model, self.federation, self.data, self.training
        ):
            raise misfit(field, value, remedy)
        if self.data.table is not None and self.pretrain is not None:
            raise misfit("pretrain", "a stage", "it is for images: leave it out for a table")
        return self

    @model_validator(mode="after")
    def _somebody_validates(self) -> Self:
        """A wish to stop early is refused where it is certain that nobody has validation rows."""
        if self.federation.early_stopping is not None and self.data.never_validates:
            remedy = (
                "federation.early_stopping goes by validation scores: write a share above 0, or "
                "leave early_stopping out"
            )
            raise misfit("data.validation", self.data.validation, remedy)
        return self

    @model_validator(mode="after")
    def _classes_agree(self) -> Self:
        names, number = self.data.classes, self.model.num_classes
        if self.task_type == "survival":
            return self
        if names is not None and len(names) != number:
            remedy = f"name {number} classes or change model.num_classes, which is {number}"
            raise misfit("data.classes", names, remedy)
        return self

    @property
    def inputs(self) -> int | None:
        """How many inputs a table's encoding gives the model; `None` for images."""
        return len(self.data.table.inputs) if self.data.table else None

    @model_validator(mode="after")
    def _optimizer_fits(self) -> Self:
        strategy, training = self.federation.strategy, self.training
        if strategy not in SGD_ONLY:
            return self
        meant = f"as {strategy} is defined for sums of gradients"
        if strategy == "scaffold" and self.model.modalities:
            remedy = "choose another: scaffold's controls are of one network that all share"
            raise misfit("federation.strategy", strategy, remedy)
        if training.optimizer != "sgd":
            raise misfit("training.optimizer", training.optimizer, f"write sgd, {meant}")
        if training.optimizer_state != "fresh":
            remedy = f"write fresh, {meant} of one round"
            raise misfit("training.optimizer_state", training.optimizer_state, remedy)
        if training.backbone_lr != 1:
            remedy = f"leave it at 1, {meant} with one learning rate"
            raise misfit("training.backbone_lr", training.backbone_lr, remedy)
        return self

    @model_validator(mode="after")
    def _loss_fits(self) -> Self:
        training, number = self.training, self.model.num_classes
        weights = training.class_weights
        if isinstance(weights, tuple) and len(weights) != number:
            remedy = f"write one number for each of the {number} classes"
            raise misfit("training.class_weights", weights, remedy)
        if training.positive_weight is not None and number != 2:
            remedy = "it is for two classes: write class_weights"
            raise misfit("training.positive_weight", training.positive_weight, remedy)
        if self.task_type == "survival":
            for field in ("positive_weight", "focal_gamma"):
                if getattr(training, field) is not None:
                    remedy = "it is for task_type: classification: leave it out"
                    raise misfit(f"training.{field}", getattr(training, field), remedy)
        return self

    @model_validator(mode="after")
    def _draws_keep_the_promise(self) -> Self:
        federation = self.federation
        if self.model.modalities and federation.participation < 1 < federation.least_updates:
            remedy = (
                f"a draw may take too few of a modality for {federation.strategy}: leave it at 1"
            )
            raise misfit("federation.participation", federation.participation, remedy)
        return self

    @model_validator(mode="after")
    def _public_classes_agree(self) -> Self:
        stage = self.pretrain
        if stage is not None and stage.classes is not None:
            number = stage.num_classes or self.model.num_classes
            if len(set(stage.classes)) != number:
                remedy = f"name {number} different classes or change pretrain.num_classes"
                raise misfit("pretrain.classes", stage.classes, remedy)
        return self

    def seen_by(self, modality: str | None) -> Self:
        """The task as a party of that modality trains it: with that modality's input size.

        Raises `TaskFileError` unless the task file knows the modality, or knows none and none is
        given.
        """
        if not self.model.knows(modality):
            raise TaskFileError(_no_such_modality(modality, self.model.modalities))
        if modality is None:
            return self
        size = {"input_size": self.model.size_of(modality)}
        return self.model_copy(update={"model": self.model.model_copy(update=size)})

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


def _no_such_modality(modality: str | None, known: Collection[str] | None) -> str:
    if known is None:
        return (
            f"party file: modality is {modality!r} and the task file names none: leave it out, or "
            "agree on model.modalities"
        )
    return (
        f"party file: modality is {modality!r}: the task file knows {', '.join(sorted(known))}: "
        "name the one that this party's images have"
    )


def _flatten(value: Any, prefix: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        return {prefix: value}
    flat: dict[str, Any] = {}
    for key, inner in value.items():
        flat |= _flatten(inner, f"{prefix}.{key}" if prefix else str(key))
    return flat
