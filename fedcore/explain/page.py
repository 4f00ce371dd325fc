"""The report's page as a template: plain HTML, no script, nothing fetched."""

from __future__ import annotations

BODY = """\
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
"""
