"""The report of a training: one HTML file for the hospital, readable offline and by anyone.

It says what was learned, how sure one may be, whose data stands behind it, and what to compare it
with. Only what the parties gave away is in it: counts, metrics and hashes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedcore.errors import amount, listing
from fedcore.explain.figures import Drawing, drawings
from fedcore.explain.html import rendered, trusted
from fedcore.explain.metric_words import HEADINGS, in_words
from fedcore.explain.outcome import outcome_of
from fedcore.explain.page import BODY
from fedcore.explain.report_tables import Story, tables_of
from fedcore.explain.statistics_tables import read_statistics
from fedcore.explain.wording import duration, number, percent, size
from fedcore.metrics import Scores

if TYPE_CHECKING:
    from fedcore.config.task import TaskFile
    from fedcore.rounds.messages import Agreement, End, Hello, Record
    from fedcore.rounds.statistics_messages import PooledStatistics

CAPTIONS = {
    "curves": "Scores on each party's validation images after every round; a gap means that the "
    "party was missing or withheld its numbers.",
    "roc": "The share of a class that is found (upwards) against the share of false alarms among "
    "all other images (to the right), at every threshold.",
    "matrix": "Each row is a model, each column the party whose test images it was given; what a "
    "party keeps at home of the network is its own in every row. Personal models never leave, so "
    "each is scored at home alone.",
    "confusion": "Each row is a true class: how many of its images were given which answer, and "
    "what share of the row that is.",
    "statistics": "The share of each party's records in each cell, before the training; the outer "
    "cells hold all that lies beyond. A gap is withheld.",
    "calibration": "Above: of the images that were given a probability, the share for which it "
    "was right. On the dashed line, probabilities can be taken at their word. Below: how many "
    "there are.",
}


def write_report(
    path: Path,
    task: TaskFile,
    agreement: Agreement,
    hellos: Mapping[str, Hello],
    records: Sequence[Record],
    end: End,
    ledger_heads: Mapping[str, Mapping[str, Any]],
    statistics: PooledStatistics | None = None,
) -> None:
    """Write the report to `path`, one file that needs nothing else.

    `ledger_heads` names, for each keeper of a ledger, the `index` and `hash` of its last entry.
    Raises `OSError` when `path` cannot be written.
    """
    data = read_statistics(statistics, task, end.classes)
    story = Story(task, agreement, hellos, records, end, outcome_of(end), data)
    page = render(story, ledger_heads, drawings(agreement, records, end, data))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")


def render(
    story: Story, ledger_heads: Mapping[str, Mapping[str, Any]], figures: Sequence[Drawing]
) -> str:
    """The page as text; every value is escaped but the figures, which are drawn here."""
    return rendered(
        BODY,
        f"{story.task.name}: training report",
        {
            "title": story.task.name,
            "run": story.agreement.run,
            "subtitle": _subtitle(story),
            "unit": story.unit,
            "things": "row" if story.unit == "row" else "file",
            "sentences": sentences(story),
            "tiles": tiles(story),
            "figures": {
                one.name: {
                    "svg": trusted(_labelled(one)),
                    "caption": CAPTIONS[one.name].replace("image", story.unit),
                }
                for one in figures
            },
            "settings": story.task.to_yaml(),
            **tables_of(story, ledger_heads),
        },
    )


def sentences(story: Story) -> list[str]:
    """What was learned, in a few sentences for a reader who has no time."""
    said = [_course(story), _result(story)]
    silent = [story.label(party) for party in story.silent]
    if silent:
        few = story.task.data.min_reported
        said.append(
            f"The test numbers of {listing(silent)} are withheld or missing (numbers over fewer "
            f"than {few} patients stay at the hospital), so they are not in the pooled ones."
        )
    return said


def tiles(story: Story) -> list[dict[str, str]]:
    """The headline numbers."""
    pooled, thing = story.outcome.pooled, f"test {story.unit}"
    summary = pooled.summary() if pooled else {}
    images = f"{amount(pooled.images, thing)}, pooled" if pooled else "nobody reported"
    rounds = f"of {story.end.rounds}, by {in_words(story.task.federation.select_by)}"
    headings = {name: HEADINGS[name] for name in story.brief}
    return [
        *(
            {"name": title, "value": show(summary.get(name)), "note": images}
            for name, (title, show) in headings.items()
        ),
        {"name": "Best round", "value": str(story.end.best_round), "note": rounds},
    ]


def _subtitle(story: Story) -> str:
    sent = sum(record.bytes_up + record.bytes_down for record in story.records)
    seconds = sum(record.seconds for record in story.records)
    parts = [
        amount(len(story.agreement.parties), "party", "parties"),
        amount(story.end.rounds, "round"),
        f"{duration(seconds)} of rounds",
        f"{size(sent)} exchanged",
        f"fedcore {story.agreement.code_version}",
    ]
    return " · ".join(parts)


def _course(story: Story) -> str:
    patients = sum(hello.patients for hello in story.hellos.values())
    images = sum(hello.images for hello in story.hellos.values())
    metric = in_words(story.task.federation.select_by)
    who = amount(len(story.agreement.parties), "party", "parties")
    learned = f"to tell {listing(story.end.classes)} apart"
    if story.task.task_type == "survival":
        learned = "who is at a higher risk"
    return (
        f"A {story.task.model.name} network learned {learned} "
        f"from {amount(images, story.unit)} of {amount(patients, 'patient')} at {who}; no "
        f"{story.unit} left its hospital. Of {amount(story.end.rounds, 'round')}, round "
        f"{story.end.best_round} was best by {metric} on the validation {story.unit}s "
        f"(the training ended because: {story.end.reason})."
    )


def _result(story: Story) -> str:
    pooled = story.outcome.pooled
    if pooled is None:
        return "No party has given test numbers, so nothing can be said here of the model's worth."
    thing = f"test {story.unit}"
    tested = f"{amount(pooled.images, thing)} of {amount(pooled.patients, 'patient')}"
    metric = story.metrics[0]
    said = f"On {tested} that no training has seen, the model "
    if isinstance(pooled, Scores):
        said += f"is right in {percent(pooled.accuracy)} of the {story.unit}s, with an AUROC of "
    else:
        said += "puts two patients of a hospital in the right order with a concordance index of "
    said += number(pooled.value(metric))
    known = [scores.value(metric) for scores in story.outcome.reported.values()]
    known = [value for value in known if value == value]  # noqa: PLR0124  # not NaN
    if len(known) > 1:
        said += f" (from {number(min(known))} to {number(max(known))} between the parties)"
    return said + "."


def _labelled(drawing: Drawing) -> str:
    """The figure as one image with a spoken name."""
    return drawing.svg().replace("<svg ", f'<svg role="img" aria-label="{drawing.alt}" ', 1)
