"""What both files share: a frozen model that refuses unknown fields, and one-sentence errors."""

from __future__ import annotations

import types
import typing
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, field_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from fedcore.errors import InputError, nearest, problem

# What pydantic found -> what the person should write; filled in from the fault's own limits.
REMEDIES = {
    "bool_parsing": "write true or false",
    "bool_type": "write true or false",
    "finite_number": "write a finite number",
    "float_parsing": "write a number",
    "float_type": "write a number",
    "greater_than": "write a number above {gt}",
    "greater_than_equal": "write {ge} or more",
    "int_from_float": "write a whole number",
    "int_parsing": "write a whole number",
    "int_parsing_size": "write a smaller whole number",
    "int_type": "write a whole number",
    "less_than": "write a number below {lt}",
    "less_than_equal": "write {le} or less",
    "literal_error": "write {expected}",
    "string_pattern_mismatch": "write it in the form that is described here",
    "string_type": "write text, in quotes if it looks like a number",
    "too_long": "write {max_length} values",
    "too_short": "write at least {min_length}",
    "tuple_type": "write a list",
}
MISFIT = "misfit"


class Section(BaseModel):
    """A part of a file: immutable once read, with no room for a field nobody knows."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _true_is_no_number(cls, value: object, info: ValidationInfo) -> object:
        """`yes` and `true` are 1 to Python and a slip of the pen to everybody else."""
        annotation = cls.model_fields[info.field_name or ""].annotation
        kinds = {annotation, *typing.get_args(annotation)}
        if isinstance(value, bool) and kinds & {int, float} and bool not in kinds:
            raise ValueError("true and false say nothing here")
        return value


M = TypeVar("M", bound=Section)
# A whole number from 1, or the word for all of a party's training split.
LARGEST_BATCH = 65_536
BatchSize = int | Literal["full"]


def misfit(field: str, value: object, remedy: str) -> PydanticCustomError:
    """The error for fields that do not fit together, named by the one to change."""
    return PydanticCustomError(MISFIT, "{remedy}", {"field": field, "at": value, "remedy": remedy})


def sensible_batch(value: object) -> object:
    """A batch size as it is written; `ValueError`, one sentence for both types, for none."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    whole = isinstance(value, int) and 1 <= value <= LARGEST_BATCH
    if value != "full" and not whole:
        raise ValueError(f"write a whole number from 1 to {LARGEST_BATCH}, or full for all rows")
    return value


def validate(model: type[M], content: object, path: Path | str, error: type[InputError]) -> M:
    """Read `content` as `model`, or raise `error` with one sentence on its first fault."""
    if not isinstance(content, dict):
        raise error(f"{path}: the file holds no fields: write {_fields(model)}")
    try:
        return model.model_validate(content)
    except ValidationError as invalid:
        raise error(_sentence(model, invalid, path)) from None


def _sentence(model: type[Section], invalid: ValidationError, path: Path | str) -> str:
    # A mistyped name comes first: it explains why another one is missing.
    faults = sorted(invalid.errors(include_url=False), key=lambda f: f["type"] != "extra_forbidden")
    more = len(faults) - 1
    counted = f" (and {more} more fault{'s' if more > 1 else ''})" if more else ""
    return _one(model, faults[0], path) + counted


def _one(model: type[Section], fault: ErrorDetails, path: Path | str) -> str:
    location, value = [str(part) for part in fault["loc"]], fault["input"]
    if fault["type"] == "extra_forbidden":
        return _unknown(model, location, value, path)
    if fault["type"] == MISFIT:
        location += fault["ctx"]["field"].split(".")
        value = fault["ctx"]["at"]
    remedy = _remedy(model, location, fault) + _meaning(model, location)
    if fault["type"] == "missing":
        if not location[-1].isdigit():
            return f"{path}: {'.'.join(location)} is missing: {remedy}"
        location = location[:-1]
    field = ".".join(location)
    return (
        problem(path, field, value, remedy)
        if value is not None
        else (f"{path}: {field} is empty: {remedy}")
    )


def _unknown(model: type[Section], location: list[str], value: object, path: Path | str) -> str:
    section = _section_at(model, _names(location[:-1]))
    known = section.model_fields if section else {}
    field = ".".join(location)
    return problem(path, field, value, f"unknown field; {nearest(location[-1], known)}")


def _remedy(model: type[Section], location: list[str], fault: ErrorDetails) -> str:
    """What to write instead."""
    section = _section_at(model, _names(location))
    if section and fault["type"].startswith("model_"):
        return f"write its fields, {_fields(section)}"
    if fault["type"] == "missing":
        return "write all of its values" if location[-1].isdigit() else "add it"
    known = REMEDIES.get(fault["type"])
    if known:
        return known.format(**fault.get("ctx", {}))
    message = fault["msg"].removeprefix("Value error, ")
    return message[:1].lower() + message[1:]


def _meaning(model: type[Section], location: list[str]) -> str:
    """The description of the field at `location`, or of the list that it is an item of."""
    *before, last = _names(location)
    section = _section_at(model, before)
    info = section.model_fields.get(last) if section else None
    return f" ({info.description})" if info and info.description else ""


def _names(location: list[str]) -> list[str]:
    """The names of a location without the places in lists."""
    return [name for name in location if not name.isdigit()]


def _section_at(model: type[Section], names: list[str]) -> type[Section] | None:
    """Follow field names down to the section class that stands there; `None` for a plain value."""
    section: type[Section] | None = model
    for name in names:
        info = section.model_fields.get(name) if section else None
        section = _section_class(info.annotation) if info else None
    return section


def _section_class(annotation: Any) -> type[Section] | None:
    """The section class inside an annotation such as `X`, `X | None` or `tuple[X, ...]`."""
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return annotation if issubclass(annotation, Section) else None
    found = (_section_class(inner) for inner in typing.get_args(annotation))
    return next((inner for inner in found if inner), None)


def _fields(model: type[Section]) -> str:
    return ", ".join(model.model_fields)
