"""Where a table stands in a page of the docs: between two comments that name it."""

from __future__ import annotations

from pathlib import Path


def written_between(page: Path, name: str, text: str) -> None:
    """Put `text` between the page's marks `<!-- name -->` and `<!-- end of name -->`."""
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->\n"
    before, rest = page.read_text("utf-8").split(begin)
    after = rest.split(end)[1]
    page.write_text(before + begin + text + end + after, "utf-8")
