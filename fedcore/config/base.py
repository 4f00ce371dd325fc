"""What both files share: a frozen model that refuses unknown fields, and one-sentence errors."""

from __future__ import annotations

import types
import typing
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from fedcore.errors import InputError, nearest, problem


class Section(BaseModel):
    """A part of a file: immutable once read, with no room for a field nobody knows."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


M = TypeVar("M", bound=Section)


def validate(model: type[M], content: object, path: Path | str, error: type[InputError]) -> M:
    """Read `content` as `model`, or raise `error` with one sentence on its first fault."""
    if not isinstance(content, dict):
        raise error(f"{path}: the file holds no fields: write {_fields(model)}")
    try:
        return model.model_validate(content)
    except ValidationError as invalid:
        raise error(_sentence(model, invalid, path)) from None


def _sentence(model: type[Section], invalid: ValidationError, path: Path | str) -> str:
    faults = invalid.errors(include_url=False)
    first = _one(model, faults[0], path)
    more = len(faults) - 1
    return first + (f" (and {more} more fault{'s' * (more > 1)})" if more else "")


def _one(model: type[Section], fault: ErrorDetails, path: Path | str) -> str:
    location = [str(part) for part in fault["loc"]]
    field = ".".join(location) or "the file"
    section = _section_of(model, location[:-1])
    if fault["type"] == "missing":
        return f"{path}: {field} is missing: add it{_meaning(section, location)}"
    if fault["type"] == "extra_forbidden":
        known = section.model_fields if section else {}
        return problem(
            path, field, fault["input"], f"unknown field; {nearest(location[-1], known)}"
        )
    message = fault["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    return problem(path, field, fault["input"], message + _meaning(section, location))


def _meaning(section: type[Section] | None, location: list[str]) -> str:
    info = section.model_fields.get(location[-1]) if section and location else None
    return f" ({info.description})" if info and info.description else ""


def _section_of(model: type[Section], location: list[str]) -> type[Section] | None:
    """Follow field names down to the section class that holds the faulty field."""
    section: Any = model
    for name in location:
        if name.isdigit():
            continue
        info = section.model_fields.get(name) if section else None
        section = _section_class(info.annotation) if info else None
    return section if section else None


def _section_class(annotation: Any) -> type[Section] | None:
    """The section class inside an annotation such as `X`, `X | None` or `tuple[X, ...]`."""
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return annotation if issubclass(annotation, Section) else None
    found = (_section_class(inner) for inner in typing.get_args(annotation))
    return next((inner for inner in found if inner), None)


def _fields(model: type[Section]) -> str:
    return ", ".join(model.model_fields)
