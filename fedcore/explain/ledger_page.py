"""One page for the data-protection officer: all that left a hospital in one training.

Made from the hospital's own verified ledger alone. Plain HTML that prints well, or CSV.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fedcore.errors import amount
from fedcore.explain.html import rendered
from fedcore.explain.wording import size

if TYPE_CHECKING:
    from fedcore.audit.entry import Entry

LEFT, ACCEPTED = "left", "job_accepted"
REFUSED = "job_refused"
DECISIONS = {"job_approved": "approved", REFUSED: "refused"}
ROUND = re.compile(r"/rounds/(\d+)/")
COLUMNS = ("entry", "when (UTC)", "round", "what", "object", "bytes", "SHA-256")
# What each object is, for a reader who has never seen a training.
WORDS = {
    "hello": "what the hospital brings: numbers of training patients and images, names of the "
    "classes, how many files were set aside and why, hashes of task file and data",
    "statistics": "what the data looks like before any training: counts, means, standard "
    "deviations and histograms, without what fewer patients than the minimum stand behind",
    "initial model": "the network before any training: random numbers or the agreed weights",
    "update": "what the network has learned in this round: the difference of its parameters",
    "reply": "the signed note to the update: its hash, numbers of patients and images, and the "
    "training's loss and accuracy where they may leave",
    "scores": "how well the common network does on validation patients: counts and histograms, "
    "where they may leave",
    "test scores": "the same on the test patients",
    "term": "the word that a process at the hospital begins to act in the training: run, party, a "
    "number and a random word",
    "identity": "the hospital's public key, said once for each kit",
    "probe": "a few letters by which fedcore doctor tried whether the exchange can be written",
    "pending notice": "the word that a person has yet to approve the training",
    "refusal": "the word that the hospital takes no part, and why",
}


@dataclass(frozen=True)
class Departed:
    """A hospital's ledger of one training, verified: whose, by which key, compared with what."""

    run: str
    party: str
    public_key: str
    entries: Sequence[Entry]
    compared: str


def as_csv(story: Departed) -> str:
    """One line per object that left, the columns named in the first."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for entry in _left(story):
        writer.writerow([*_row(entry)[:3], entry.subject.get("object", ""), *_row(entry)[4:]])
    return text.getvalue()


def as_page(story: Departed) -> str:
    """The page as text; every value is escaped."""
    left = _left(story)
    return rendered(
        LEDGER_BODY,
        f"What left party {story.party} in {story.run}",
        {
            "story": story,
            "columns": COLUMNS,
            "rows": [_row(entry) for entry in left],
            "totals": _totals(left),
            "lead": _lead(left),
            "decisions": _decisions(story.entries),
            "head": story.entries[-1].head if story.entries else None,
        },
        PRINT,
    )


def _left(story: Departed) -> list[Entry]:
    return [entry for entry in story.entries if entry.kind == LEFT]


def _row(entry: Entry) -> list[str]:
    subject = {name: str(value) for name, value in entry.subject.items()}
    kind, key = subject.get("object", ""), subject.get("key", "")
    found = ROUND.search(key)
    number = str(int(found[1])) if found else ""
    words = WORDS.get(kind, kind)
    place = [subject.get("size", ""), subject.get("sha256", "")]
    return [f"#{entry.index}", entry.at[:19].replace("T", " "), number, words, key, *place]


def _totals(left: Sequence[Entry]) -> list[tuple[str, str, str]]:
    """Kind, how many objects, how much of it; then all of it."""
    counts: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    for entry in left:
        kind = str(entry.subject.get("object", ""))
        counts[kind] += 1
        sizes[kind] += _bytes(entry)
    rows = [(kind, str(counts[kind]), size(sizes[kind])) for kind in sorted(counts)]
    return [*rows, ("all", str(len(left)), size(sizes.total()))]


def _bytes(entry: Entry) -> int:
    value = entry.subject.get("size")
    return value if isinstance(value, int) else 0


def _lead(left: Sequence[Entry]) -> str:
    if not left:
        return "Nothing has left this hospital in this training."
    total = size(sum(_bytes(entry) for entry in left))
    first, last = left[0].at[:10], left[-1].at[:10]
    span = f"on {first}" if first == last else f"from {first} to {last}"
    return (
        f"{amount(len(left), 'object')} of {total} in all left this hospital {span}. No image, no "
        "table and no name is among them. From what a network has learned, something about the "
        "images behind it can be inferred: the updates are to be protected as such."
    )


def _decisions(entries: Sequence[Entry]) -> list[str]:
    """Who let the training in or refused it, and what was agreed to."""
    said = []
    for entry in entries:
        subject = entry.subject
        task = str(subject.get("task", ""))
        if entry.kind in DECISIONS:
            by = subject.get("by", "nobody named")
            why = f"{subject.get('reason')}: {subject.get('sentence')}"
            reason = f" ({why})" if entry.kind == REFUSED else ""
            said.append(
                f"{entry.at[:19].replace('T', ' ')}: {DECISIONS[entry.kind]} by {by}{reason}, task "
                f"file {task}, coordinator {str(subject.get('coordinator', ''))[:16]}..."
            )
        elif entry.kind == ACCEPTED:
            data = str(subject.get("data", ""))
            at = entry.at[:19].replace("T", " ")
            said.append(f"{at}: begun with task file {task} and data of the fingerprint {data}")
    return said


PRINT = """
table.left { font-size: 13px; } table.left td:nth-child(5), table.left td:nth-child(7) {
  font: 11px/1.4 ui-monospace, "DejaVu Sans Mono", monospace; overflow-wrap: anywhere; }
table.left td:nth-child(4) { min-width: 22ch; } td:nth-child(2) { white-space: nowrap; }
@media print { @page { size: A4 landscape; margin: 12mm; } thead { display: table-header-group; } }
"""

LEDGER_BODY = """\
<header>
<h1>What left party {{ story.party }}</h1>
<p class="muted">Training <code>{{ story.run }}</code> &middot; from the hospital's own ledger</p>
</header>

<section aria-labelledby="sum">
<h2 id="sum">In short</h2>
<p class="lead">{{ lead }}</p>
<table>
<thead><tr><th scope="col">kind</th><th scope="col" class="n">objects</th>
<th scope="col" class="n">size</th></tr></thead>
<tbody>
{% for kind, count, bytes in totals %}<tr{% if loop.last %} class="pooled"{% endif %}>
<th scope="row">{{ kind }}</th><td class="n">{{ count }}</td><td class="n">{{ bytes }}</td></tr>
{% endfor %}</tbody>
</table>
</section>

<section aria-labelledby="who">
<h2 id="who">Who allowed it</h2>
{% for decision in decisions %}<p>{{ decision }}</p>
{% else %}<p>The ledger names nobody: the training was started by a command at this hospital, and
had sent no word yet.</p>
{% endfor %}
</section>

<section aria-labelledby="left">
<h2 id="left">Everything that left, in order</h2>
<div class="scroll"><table class="left">
<thead><tr>{% for name in columns %}<th scope="col">{{ name }}</th>{% endfor %}</tr></thead>
<tbody>
{% for row in rows %}<tr><th scope="row">{{ row[0] }}</th>
{%- for cell in row[1:] %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}</tbody>
</table></div>
</section>

<section aria-labelledby="verify">
<h2 id="verify">How to verify it</h2>
<p>Each entry was signed with this hospital's key and written to its own disk before the object
left, and holds the hash of the entry before. {{ story.entries|length }} entries were verified
for this page, {{ story.compared }}.</p>
{% if head %}<p>Newest entry: #{{ head.index }}, SHA-256 <code>{{ head.hash }}</code><br>
Public key: <code>{{ story.public_key }}</code></p>{% endif %}
<p>Whoever holds the ledger file can repeat it: <code>fedcore ledger verify {{ story.run }}</code>.
An object in the exchange is the one of this list if its SHA-256 is the same; in place of one
that the task file's retention removed stands a note that holds it.</p>
</section>
"""
