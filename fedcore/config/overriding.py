"""Fields of a task file said elsewhere, as `federation.mu=0.1`: on a command line, in a variant."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

from fedcore.config.reading import parse_yaml
from fedcore.errors import InputError, TaskFileError, problem


def assignment(text: str, option: str) -> tuple[str, Any]:
    """`federation.mu=0.1` as the dotted name and the value, which is read as YAML.

    `option` names in an error where the text was typed. Raises `InputError` for another form.
    """
    name, equals, value = text.partition("=")
    if not equals or not all(name.split(".")):
        remedy = "write FIELD=VALUE with the field's full name, such as federation.mu=0.1"
        raise InputError(problem("command line", option, text, remedy))
    return name, parse_yaml(value, f"{option} {text}", TaskFileError)


def overridden(content: Any, name: str, value: Any) -> Any:
    """A copy of a file's plain `content` in which the dotted field `name` has another value.

    Sections on the way are made where they are missing; whether the field exists is for the
    schema to say. Content that is no mapping stays as it is, for the same reason.
    """
    changed = copy.deepcopy(content)
    *sections, last = name.split(".")
    place = changed
    for section in sections:
        if not isinstance(place, dict):
            return changed
        if not isinstance(place.get(section), dict):
            place[section] = {}
        place = place[section]
    if isinstance(place, dict):
        place[last] = value
    return changed


def without(content: Any, section: str, names: Iterable[str]) -> Any:
    """A copy of a file's plain `content` in which a section says nothing of the fields `names`."""
    if not isinstance(content, dict) or not isinstance(content.get(section), dict):
        return content
    left_out = set(names)
    kept = {name: value for name, value in content[section].items() if name not in left_out}
    return {**content, section: kept}
