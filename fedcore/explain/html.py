"""What every page for a person has in common: head, style, and that all values are escaped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markupsafe import Markup

STYLE = """
:root { color-scheme: light; --ink: #1b2733; --muted: #51606e; --line: #dfe5ea; --blue: #0072b2; }
* { box-sizing: border-box; }
body { margin: 0; background: #f4f6f8; color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
main { max-width: 1040px; margin: 0 auto; padding: 0 28px 56px; background: #fff; }
header { padding: 40px 0 22px; border-bottom: 3px solid var(--blue); }
h1 { font-size: 30px; line-height: 1.2; margin: 0 0 6px; }
h2 { font-size: 21px; margin: 44px 0 10px; }
h3 { font-size: 16px; margin: 26px 0 6px; }
p { margin: 0 0 12px; max-width: 76ch; }
.muted, figcaption, caption { color: var(--muted); font-size: 14px; }
.lead { font-size: 18px; }
dl.tiles { display: grid; grid-template-columns: repeat(4, 1fr); gap: 14px; margin: 24px 0 8px; }
dl.tiles div { border: 1px solid var(--line); border-radius: 8px; padding: 12px 16px;
  display: flex; flex-direction: column; }
dl.tiles dt { color: var(--muted); font-size: 14px; }
dl.tiles dd { margin: 0; font-size: 28px; font-weight: 650; font-variant-numeric: tabular-nums; }
dl.tiles dd.note { font-size: 14px; font-weight: 400; color: var(--muted); }
figure { margin: 20px 0 0; }
figure svg { width: 100%; height: auto; display: block; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 28px; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 15px; }
caption { text-align: left; padding-bottom: 6px; }
th, td { text-align: left; padding: 7px 14px 7px 0; border-bottom: 1px solid var(--line);
  vertical-align: top; }
thead th { font-size: 14px; color: var(--muted); border-bottom: 2px solid var(--line); }
tbody th { font-weight: 600; white-space: nowrap; }
td.n + td:not(.n), th.n + th:not(.n) { padding-left: 28px; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
tr.pooled th, tr.pooled td { font-weight: 700; border-top: 2px solid var(--ink); }
code, pre { font: 13px/1.5 ui-monospace, "DejaVu Sans Mono", monospace; overflow-wrap: anywhere; }
pre { background: #f4f6f8; padding: 14px 16px; border-radius: 8px; columns: 2;
  white-space: pre-wrap; margin: 0; }
details summary { cursor: pointer; color: var(--blue); padding: 10px 0; }
.withheld { color: var(--muted); font-style: italic; }
@media (max-width: 760px) { .pair { grid-template-columns: 1fr; } pre { columns: 1; }
  dl.tiles { grid-template-columns: 1fr 1fr; } }
@media print { body { background: #fff; font-size: 12px; } main { padding: 0; }
  figure, tr, dl { break-inside: avoid; } h2 { break-after: avoid; } }
"""

HEAD = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{{ head_title }}</title>
<style>{{ head_style }}</style>
</head>
<body>
<main>
"""
FOOT = """\
</main>
</body>
</html>
"""


def rendered(body: str, title: str, values: Mapping[str, object], style: str = "") -> str:
    """A page that needs nothing else: the template `body` with its values, all of them escaped.

    `style` is CSS beside that of all pages. What the template names and nobody gives is an error.
    """
    import jinja2  # noqa: PLC0415

    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    page = environment.from_string(HEAD + body + FOOT)
    return page.render(head_title=title, head_style=trusted(STYLE + style), **values)


def trusted(markup: str) -> Markup:
    """Markup of this package's own, or of matplotlib, which escapes what it is given."""
    import markupsafe  # noqa: PLC0415

    return markupsafe.Markup(markup)  # noqa: S704
