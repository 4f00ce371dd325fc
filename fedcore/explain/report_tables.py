"""The report's tables: rows of words, ready to be shown."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fedcore.explain.matrix import matrix_of
from fedcore.explain.metric_words import HEADINGS, brief, title_of
from fedcore.explain.outcome import Outcome, guest_first
from fedcore.explain.statistics_tables import DataStatistics, rows_of
from fedcore.explain.wording import UNKNOWN, duration, number, percent, ranges, size
from fedcore.metrics import AnyScores, Scores, average, metrics_of
from fedcore.metrics_bins import area_under_roc, average_precision
from fedcore.rounds.messages import NOT_INVITED

if TYPE_CHECKING:
    from fedcore.config.task import TaskFile
    from fedcore.rounds.messages import Agreement, End, Hello, Record

ADMITTED = "admitted"
POOLED = "All together"
AVERAGE = "Plain average"


@dataclass(frozen=True)
class Story:
    """All that the report tells of."""

    task: TaskFile
    agreement: Agreement
    hellos: Mapping[str, Hello]
    records: Sequence[Record]
    end: End
    outcome: Outcome
    statistics: DataStatistics | None = None

    @property
    def parties(self) -> list[str]:
        """Party ids in the order of every table."""
        return [member.party_id for member in guest_first(self.agreement)]

    @property
    def unit(self) -> str:
        """What is counted: images, or a table's rows."""
        return "image" if self.task.data.table is None else "row"

    @property
    def metrics(self) -> tuple[str, ...]:
        """All metrics of the training's kind."""
        return metrics_of(self.task.task_type)

    @property
    def brief(self) -> tuple[str, ...]:
        """The few metrics that matter most."""
        return brief(self.task.task_type, self.task.federation.select_by)

    @property
    def silent(self) -> list[str]:
        """Parties whose test numbers are not known."""
        return [party for party in self.parties if party not in self.outcome.reported]

    def label(self, party: str) -> str:
        """Role and id of a party, as shown to a person."""
        labels = {member.party_id: member.label for member in self.agreement.parties}
        return labels.get(party, party)


@dataclass(frozen=True)
class Table:
    """A table: the first cell of a row is its header; `numeric` and `code` are column numbers."""

    caption: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    numeric: frozenset[int] = field(default_factory=frozenset)
    code: frozenset[int] = field(default_factory=frozenset)
    total: str = POOLED


def tables_of(story: Story, ledger_heads: Mapping[str, Mapping[str, Any]]) -> dict[str, Table]:
    """Every table of the page, by the name that the page knows it by."""
    return {
        "parties": _test_scores(story),
        "classes": _classes(story),
        "matrix": _matrix(story),
        "rounds": _rounds(story),
        "absences": _absences(story),
        "data": _data(story),
        "quarantine": _quarantine(story),
        "statistics": _statistics(story),
        "untold": _untold(story),
        "hashes": _hashes(story),
        "ledgers": _ledgers(ledger_heads),
    }


def _test_scores(story: Story) -> Table:
    rows = [_test_row(story, party) for party in story.parties]
    if story.outcome.pooled is not None:
        means = average(story.outcome.reported.values())
        cells = [HEADINGS[metric][1](means[metric]) for metric in story.metrics]
        rows.append((AVERAGE, *cells, "", ""))
        rows.append((POOLED, *_score_cells(story, story.outcome.pooled)))
    names = [HEADINGS[metric][0] for metric in story.metrics]
    return Table(
        f"Test scores per party, their plain average, and pooled over all {story.unit}s of those "
        "that reported",
        ("Party", *names, "Test patients", f"Test {story.unit}s"),
        rows,
        numeric=frozenset(range(1, len(names) + 3)),
    )


def _test_row(story: Story, party: str) -> tuple[str, ...]:
    label = story.label(party)
    scores = story.outcome.reported.get(party)
    if scores is not None:
        return (label, *_score_cells(story, scores))
    unknown = [UNKNOWN] * (len(story.metrics) + 1)
    if party not in story.outcome.parties:
        return (label, "no answer", *unknown)
    few = story.task.data.min_reported
    if story.outcome.parties[party] is None:
        return (label, f"withheld: fewer than {few} patients", *unknown)
    return (label, f"no test {story.unit}s", *unknown)


def _score_cells(story: Story, scores: AnyScores) -> tuple[str, ...]:
    numbers = [HEADINGS[metric][1](scores.value(metric)) for metric in story.metrics]
    return (*numbers, f"{scores.patients:,}", f"{scores.images:,}")


def _classes(story: Story) -> Table:
    """Sensitivity and precision of each class, from the pooled confusion matrix."""
    pooled = story.outcome.pooled
    rows = []
    if isinstance(pooled, Scores):
        rows = [_class_row(pooled, *one) for one in enumerate(story.outcome.classes)]
    return Table(
        "Pooled, each class against the rest",
        ("Class", f"{story.unit.capitalize()}s", "Found", "Right when said", "AUROC", "AUPRC"),
        rows,
        numeric=frozenset(range(1, 6)),
        total="",
    )


def _class_row(pooled: Scores, place: int, name: str) -> tuple[str, ...]:
    right = int(pooled.confusion[place, place])
    there = int(pooled.confusion[place].sum())
    said = int(pooled.confusion[:, place].sum())
    shares = (right / there if there else None, right / said if said else None)
    areas = [area(*pooled.histograms[place]) for area in (area_under_roc, average_precision)]
    return name, f"{there:,}", *map(percent, shares), *map(number, areas)


def _matrix(story: Story) -> Table:
    """Every model's worth at every party; without rows where only global models were scored."""
    found = matrix_of(story.agreement, story.end)
    if found is None:
        return Table("", (), ())
    rows = [
        (model, *(number(value) for value in row))
        for model, row in zip(found.models, found.values, strict=True)
    ]
    caption = f"{title_of(found.metric)} on the test {story.unit}s, by model and party"
    numeric = frozenset(range(1, len(found.parties) + 1))
    return Table(caption, ("Model", *found.parties), rows, numeric=numeric, total="")


def _rounds(story: Story) -> Table:
    metrics = story.brief[::-1]
    rows = [
        (
            str(record.round),
            *(HEADINGS[metric][1](getattr(record, metric)) for metric in metrics),
            number(getattr(record, f"average_{story.metrics[0]}")),
            f"{sum(one.status == ADMITTED for one in record.parties.values())}",
            duration(record.seconds),
            size(record.bytes_up),
            size(record.bytes_down),
        )
        for record in story.records
    ]
    names = [HEADINGS[metric][0] for metric in metrics]
    columns = ("Round", *names, f"Average {names[-1]}", "Parties", "Time", "Up", "Down")
    caption = "Federated validation scores after each round"
    return Table(caption, columns, rows, numeric=frozenset(range(1, len(columns))))


def _absences(story: Story) -> Table:
    """Per party and reason, in which rounds; rounds that were void as a whole stand last."""
    missed: dict[tuple[str, str], list[int]] = defaultdict(list)
    for record in story.records:
        for party, result in record.parties.items():
            if result.status not in (ADMITTED, NOT_INVITED):
                missed[party, result.status].append(record.round)
    rows = [
        (story.label(party), reason, ranges(numbers))
        for (party, reason), numbers in sorted(missed.items())
    ]
    void = set(range(1, story.end.rounds + 1)) - {record.round for record in story.records}
    if void and story.records:
        rows.append(("all", "no round was recorded", ranges(void)))
    caption = "Replies that did not count, and why"
    return Table(caption, ("Party", "Reason", "Rounds"), rows, total="")


def _data(story: Story) -> Table:
    rows = [_data_row(story, party) for party in story.parties]
    return Table(
        "What each party brought; the data contract's hash stands for its settings and classes",
        (
            "Party",
            "Patients",
            f"{story.unit.capitalize()}s",
            "Quarantined",
            "Data contract",
            "Code",
        ),
        rows,
        numeric=frozenset({1, 2, 3}),
        code=frozenset({4}),
        total="",
    )


def _data_row(story: Story, party: str) -> tuple[str, ...]:
    hello = story.hellos.get(party)
    if hello is None:
        return (story.label(party), *[UNKNOWN] * 5)
    return (
        story.label(party),
        f"{hello.patients:,}",
        f"{hello.images:,}",
        f"{sum(hello.quarantine.values()):,}",
        hello.contract_hash[:12],
        hello.code_version,
    )


def _quarantine(story: Story) -> Table:
    rows = [
        (story.label(party), reason.replace("_", " "), f"{count:,}")
        for party in story.parties
        if party in story.hellos
        for reason, count in sorted(story.hellos[party].quarantine.items())
    ]
    things = "Files" if story.unit == "image" else "Rows"
    caption = (
        f"{things} that could not be used, by reason; which ones is known at the hospital only"
    )
    columns = ("Party", "Reason", things)
    return Table(caption, columns, rows, numeric=frozenset({2}), total="")


def _statistics(story: Story) -> Table:
    labels = {party: story.label(party) for party in story.parties}
    few = story.task.data.min_reported
    return Table(
        "The data before the training: means and deviations of what has a value; of a column that "
        f"fewer than {few} patients stand behind, nothing was told",
        ("Column", "Records", "Missing", "Mean", "Deviation", "Counts"),
        rows_of(story.statistics, labels, few),
        numeric=frozenset(range(1, 5)),
        total="",
    )


def _untold(story: Story) -> Table:
    absent = story.statistics.absent if story.statistics is not None else {}
    rows = [(story.label(party), reason) for party, reason in sorted(absent.items())]
    return Table("Who told nothing of its data, and why", ("Party", "Reason"), rows, total="")


def _hashes(story: Story) -> Table:
    rows = [
        (f"Best model (round {story.end.best_round})", story.end.best.sha256),
        ("Final model", story.end.final.sha256),
        ("Task file", story.agreement.task_hash),
    ]
    columns = ("What", "SHA-256")
    return Table("Fingerprints", columns, rows, code=frozenset({1}), total="")


def _ledgers(heads: Mapping[str, Mapping[str, Any]]) -> Table:
    rows = [(who, str(head["index"]), str(head["hash"])) for who, head in sorted(heads.items())]
    columns = ("Kept by", "Last entry", "Hash")
    caption = "The last entry of each ledger: whoever keeps one can show that it is unchanged"
    return Table(caption, columns, rows, numeric=frozenset({1}), code=frozenset({2}), total="")
