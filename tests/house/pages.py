"""The pages that people read, taken apart: code blocks, commands, links, names of files."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
INDENTED = re.compile(r"(?:^ {4}.*\n?)+", re.MULTILINE)
INLINE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
# A path of the repository, as opposed to a key of the exchange or a path with a placeholder.
NAMED = re.compile(r"(?:fedcore|tasks|flows|tests|configs|docs|deployments)/[\w./-]*")


@dataclass(frozen=True)
class Page:
    """One page: where it stands, and its text."""

    path: Path
    text: str

    @property
    def name(self) -> str:
        """The path from the root of the project."""
        return str(self.path.relative_to(ROOT))

    def blocks(self, language: str) -> list[str]:
        """The fenced blocks of a language."""
        return [body for kind, body in FENCE.findall(self.text) if kind == language]

    def commands(self, program: str) -> Iterator[list[str]]:
        """Every command that begins with `program`, as words, from blocks and from sentences."""
        prose = FENCE.sub("", self.text)
        shown = [*self.blocks(""), *self.blocks("sh"), *INDENTED.findall(prose)]
        lines = "\n".join(shown).replace("\\\n", " ").splitlines()
        for line in [*lines, *INLINE.findall(prose)]:
            if line.strip().startswith(f"{program} "):
                yield shlex.split(line.strip(), comments=True)

    def links(self) -> list[str]:
        """The targets of all links and pictures that stay inside the project."""
        return [to for to in LINK.findall(FENCE.sub("", self.text)) if "://" not in to]

    def files(self) -> list[str]:
        """Files and folders of the project that sentences name."""
        said = INLINE.findall(FENCE.sub("", self.text))
        return [one for one in said if NAMED.fullmatch(one)]

    def anchors(self) -> set[str]:
        """The names by which GitHub lets a link point at a heading."""
        plain = (re.sub(r"[^\w\- ]", "", one.lower()) for one in HEADING.findall(self.text))
        return {one.strip().replace(" ", "-") for one in plain}


def pages() -> list[Page]:
    """Every page of the root and of docs/."""
    paths = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
    return [Page(path, path.read_text("utf-8")) for path in paths]
