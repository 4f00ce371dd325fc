"""The tables of every field in the task file, party file and policy pages, from the models.

    python docs/fields.py

writes them between the marks `<!-- fields of ... -->` and `<!-- end of fields -->`. A test holds
the pages to it.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from fedcore.config.data import DataSection
from fedcore.config.evaluation import EvaluationSection
from fedcore.config.feature import Feature
from fedcore.config.federation import SELECTIONS, STRATEGIES, EarlyStopping, FederationSection
from fedcore.config.model import Modality, ModelSection
from fedcore.config.party import CoordinatorRef, PartyFile, PartyRef
from fedcore.config.policy import METRICS as LEAVING_METRICS
from fedcore.config.policy import Leaving, Policy, Transfer
from fedcore.config.pretrain import PretrainSection
from fedcore.config.retention import RetentionSection
from fedcore.config.table import TableSection
from fedcore.config.task import TaskFile
from fedcore.config.training import Freeze, TrainingSection
from fedcore.config.update import UpdateSection

DOCS = Path(__file__).resolve().parent
SECTIONS: dict[str, type[BaseModel]] = {
    "the task file": TaskFile,
    "model": ModelSection,
    "model.modalities": Modality,
    "federation": FederationSection,
    "federation.early_stopping": EarlyStopping,
    "training": TrainingSection,
    "training.freeze": Freeze,
    "update": UpdateSection,
    "data": DataSection,
    "data.table": TableSection,
    "a feature": Feature,
    "pretrain": PretrainSection,
    "evaluation": EvaluationSection,
    "retention": RetentionSection,
    "the policy": Policy,
    "leaving": Leaving,
    "transfer": Transfer,
    "the party file": PartyFile,
    "a party": PartyRef,
    "the coordinator": CoordinatorRef,
}
PAGES = ("task-file.md", "tables.md", "party-file.md", "policy.md")
BLOCK = re.compile(r"(<!-- fields of ([^>]+?) -->\n).*?(<!-- end of fields -->)", re.DOTALL)
# What validators allow; the models' own bounds and choices are read off.
RANGES = {
    "strategy": ", ".join(f"`{name}`" for name in STRATEGIES),
    "select_by": ", ".join(f"`{name}`" for name in SELECTIONS),
    "input_size": "1 or 3; then 8 to 2048 twice",
    "batch_size": "1 to 65 536, or `full`",
    "betas": "at least 0, below 1",
    "layers": "`backbone`, `head`, or a layer of the network",
    "modalities": "names of up to 16 `a-z`, `0-9`, `_`",
    "modality": "a name of the task file's `model.modalities`",
    "party_id": "a number, or up to 32 letters, digits, `-`, `_`",
    "public_key": "64 hex digits",
    "task_files": "64 hex digits each",
    "coordinators": "64 hex digits each",
    "strategies": ", ".join(f"`{name}`" for name in STRATEGIES),
    "metrics": ", ".join(f"`{name}`" for name in LEAVING_METRICS),
    "window": "`HH:MM-HH:MM`",
}
TASK_NAME = "1 to 63 letters, digits, `.` `_` `-`"
SIGNS = (("ge", "at least {}"), ("gt", "above {}"), ("le", "at most {}"), ("lt", "below {}"))
WORDS = {int: "whole number", float: "number", str: "text", bool: "true or false"}


def main() -> None:
    """Write the pages anew."""
    for name in PAGES:
        page = DOCS / name
        page.write_text(filled(page.read_text("utf-8")), "utf-8")


def filled(text: str) -> str:
    """The page with every table as the models have it; `KeyError` for an unknown section."""
    return BLOCK.sub(lambda found: found[1] + table(SECTIONS[found[2]]) + found[3], text)


def table(section: type[BaseModel]) -> str:
    """One row per field, in the order of the file."""
    lines = ["| field | type | default | allowed | meaning |", "|---|---|---|---|---|"]
    for name, info in section.model_fields.items():
        cells = [f"`{name}`", _type(info.annotation), _default(info), _allowed(section, name, info)]
        lines.append("| " + " | ".join([*cells, info.description or ""]) + " |")
    return "\n".join(lines) + "\n"


def _type(annotation: Any) -> str:
    kinds = [kind for kind in _parts(annotation) if kind is not type(None)]
    return " or ".join(dict.fromkeys(_word(kind) for kind in kinds))


def _parts(annotation: Any) -> tuple[Any, ...]:
    """The members of a union; else the annotation alone."""
    union = get_origin(annotation) not in (Literal, tuple, dict, None)
    return get_args(annotation) if union else (annotation,)


def _word(kind: Any) -> str:
    if get_origin(kind) is Literal:
        numbers = all(isinstance(one, int) for one in get_args(kind))
        return "whole number" if numbers else "word"
    if get_origin(kind) is Annotated:
        return _word(get_args(kind)[0])
    if get_origin(kind) is tuple:
        of = get_args(kind)
        count = "list" if of[-1] is Ellipsis else f"list of {len(of)}"
        return "one section or a list" if _is_section(of[0]) else f"{count}: {_word(of[0])}"
    if get_origin(kind) is dict:
        return f"{_word(get_args(kind)[1])} by name"
    return "section" if _is_section(kind) else WORDS[kind]


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _default(info: FieldInfo) -> str:
    if info.is_required():
        return "must be given"
    if info.default is None:
        return "nothing"
    if isinstance(info.default, BaseModel):
        return "all defaults"
    value = list(info.default) if isinstance(info.default, tuple) else info.default
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"


def _allowed(section: type[BaseModel], name: str, info: FieldInfo) -> str:
    if (section, name) == (TaskFile, "name"):
        return TASK_NAME
    if RANGES.get(name):
        return RANGES[name]
    words = [word for kind in _parts(info.annotation) for word in _choices(kind)]
    if words:
        return ", ".join(f"`{word}`" for word in words)
    bounds = [
        text.format(_number(value))
        for one in info.metadata
        for sign, text in SIGNS
        if (value := getattr(one, sign, None)) is not None
    ]
    return ", ".join(bounds)


def _choices(kind: Any) -> tuple[str, ...]:
    return tuple(map(str, get_args(kind))) if get_origin(kind) is Literal else ()


def _number(value: float) -> str:
    return f"{value:,}".replace(",", " ") if isinstance(value, int) else f"{value:g}"


if __name__ == "__main__":
    main()
