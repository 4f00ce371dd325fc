"""From a path to plain content: small text files, YAML and JSON, each fault in one sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from fedcore.errors import InputError


def read_text(path: Path, kind: str, error: type[InputError]) -> str:
    """The text of a small file that the user named, or `error` in one sentence."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise error(f"{path}: there is no such {kind}: check the path") from None
    except IsADirectoryError:
        raise error(f"{path}: this is a folder, not a {kind}: name the file in it") from None
    except PermissionError:
        raise error(f"{path}: the {kind} may not be read: change its permissions") from None
    except UnicodeDecodeError:
        raise error(f"{path}: the {kind} is not UTF-8 text: save it as UTF-8") from None
    except OSError as failed:
        reason = failed.strerror or "unknown reason"
        raise error(f"{path}: the {kind} cannot be read ({reason}): check the path") from None


def parse_yaml(text: str, path: Path | str, error: type[InputError]) -> Any:
    """The content of YAML without tags; a key that stands twice is refused."""
    try:
        return yaml.load(text, Loader=_OnceLoader)  # noqa: S506 (a SafeLoader)
    except _Doubled as doubled:
        raise error(f"{path}: {doubled}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as broken:
        mark = getattr(broken, "problem_mark", None)
        line = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "its text"
        raise error(f"{path}: {line} is no valid YAML: correct it") from None


def parse_json(text: str, path: Path | str, error: type[InputError]) -> Any:
    """The content of JSON; a key that stands twice is refused."""
    try:
        return json.loads(text, object_pairs_hook=_once)
    except _Doubled as doubled:
        raise error(f"{path}: {doubled}") from None
    except json.JSONDecodeError as broken:
        place = f"line {broken.lineno}, column {broken.colno}"
        raise error(f"{path}: {place} is no valid JSON: correct it") from None
    except (ValueError, RecursionError):
        raise error(f"{path}: its text is no valid JSON: correct it") from None


class _Doubled(Exception):
    """A key stands twice, so nobody can say which of the two was agreed on."""

    def __init__(self, key: object, place: str = "") -> None:
        super().__init__(f"{key} stands twice{place}: keep one of the two")


class _OnceLoader(yaml.SafeLoader):
    """PyYAML takes the last of two equal keys in silence; this loader refuses."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """The mapping, once it is clear that no plain key stands twice."""
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise _Doubled(key.value, f" (line {key.start_mark.line + 1})")
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for key, value in pairs:
        if key in content:
            raise _Doubled(key)
        content[key] = value
    return content
