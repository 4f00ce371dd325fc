"""The report's page as a template: plain HTML and CSS, no script, nothing fetched."""

from __future__ import annotations

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

PAGE = """\
{%- macro figure(name) -%}
{%- if name in figures %}
<figure>{{ figures[name].svg }}<figcaption>{{ figures[name].caption }}</figcaption></figure>
{%- endif %}
{%- endmacro -%}
{%- macro table(content) -%}
<div class="scroll"><table>
<caption>{{ content.caption }}</caption>
<thead><tr>{% for name in content.columns %}<th scope="col"
{%- if loop.index0 in content.numeric %} class="n"{% endif %}>{{ name }}</th>{% endfor %}
</tr></thead>
<tbody>
{%- for row in content.rows %}
<tr{% if row[0] == content.total %} class="pooled"{% endif %}><th scope="row">{{ row[0] }}</th>
{%- for cell in row[1:] %}<td class="{{ 'n' if loop.index in content.numeric }}
{%- if 'withheld' in cell|string %} withheld{% endif %}">
{%- if loop.index in content.code %}<code>{{ cell }}</code>{% else %}{{ cell }}{% endif %}</td>
{%- endfor %}</tr>
{%- endfor %}
</tbody></table></div>
{%- endmacro -%}
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{{ title }}: training report</title>
<style>{{ style }}</style>
</head>
<body>
<main>
<header>
<h1>{{ title }}</h1>
<p class="muted">Federated training <code>{{ run }}</code> &middot; {{ subtitle }}</p>
</header>

<section aria-labelledby="learned">
<h2 id="learned">What was learned</h2>
{% for sentence in sentences %}<p{% if loop.first %} class="lead"{% endif %}>{{ sentence }}</p>
{% endfor %}
<dl class="tiles">
{% for tile in tiles %}<div><dt>{{ tile.name }}</dt><dd>{{ tile.value }}</dd>
<dd class="note">{{ tile.note }}</dd></div>
{% endfor %}</dl>
</section>

<section aria-labelledby="test">
<h2 id="test">The best model on the test {{ unit }}s</h2>
{{ table(parties) }}
<div class="pair">
<div>{{ figure("roc") }}</div>
<div>{{ figure("confusion") }}</div>
</div>
<div class="pair">
<div>{{ figure("calibration") }}</div>
<div>
{% if classes.rows %}<h3>By class</h3>{{ table(classes) }}{% endif %}
</div>
</div>
</section>

{% if matrix.rows %}<section aria-labelledby="matrix">
<h2 id="matrix">Every model at every party</h2>
{{ figure("matrix") }}
{{ table(matrix) }}
</section>

{% endif %}<section aria-labelledby="rounds">
<h2 id="rounds">Round by round</h2>
{{ figure("curves") }}
{% if rounds.rows %}<details><summary>The numbers behind the curves</summary>
{{ table(rounds) }}</details>{% endif %}
{% if absences.rows %}<h3>Who was missing</h3>{{ table(absences) }}
{%- else %}<p>Every party was in every round.</p>{% endif %}
</section>

<section aria-labelledby="data">
<h2 id="data">The data behind it</h2>
{{ table(data) }}
{% if quarantine.rows %}<h3>Quarantined {{ things }}s</h3>{{ table(quarantine) }}
{%- else %}<p>No {{ things }} was quarantined.</p>{% endif %}
{% if statistics.rows %}<h3>Statistics</h3>{{ figure("statistics") }}
{{ table(statistics) }}{% endif %}
{% if untold.rows %}{{ table(untold) }}{% endif %}
</section>

<section aria-labelledby="trace">
<h2 id="trace">How to trace it</h2>
{{ table(hashes) }}
{% if ledgers.rows %}<h3>Ledgers</h3>{{ table(ledgers) }}{% endif %}
</section>

<section aria-labelledby="settings">
<h2 id="settings">The task file as it was run</h2>
<pre>{{ settings }}</pre>
</section>
</main>
</body>
</html>
"""
