"""`federated_task.yaml`: what the parties agreed on. The published three sections are enough."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import Field, model_validator

from fedcore.config.base import Section, misfit, validate
from fedcore.config.data import DataSection
from fedcore.config.federation import FederationSection
from fedcore.config.model import ModelSection
from fedcore.config.reading import parse_yaml, read_text
from fedcore.config.table_fit import table_misfits
from fedcore.config.training import TrainingSection
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
    model: ModelSection = Field(description="which network is trained")
    federation: FederationSection = Field(description="how the rounds go")
    training: TrainingSection = Field(TrainingSection(), description="training inside a round")
    data: DataSection = Field(DataSection(), description="labels, splits and the data contract")

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
            self.task_type, self.model, self.federation, self.data
        ):
            raise misfit(field, value, remedy)
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
