"""The rounds and the final test as tables for the data scientist: Parquet and CSV.

A row per round, or model, and party. Rows named `federated` hold what is true of all together, rows
named `average` the plain mean of the parties' own metrics. Columns named `personal_...` hold the
same metrics of the parties' personal models, where there are any. Numbers that were withheld are
empty, not zero. pyarrow is needed here and only here in this room.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from fedcore.audit.durable import replace_with
from fedcore.explain.outcome import Outcome, outcome_of
from fedcore.metrics import METRICS, AnyScores, average

if TYPE_CHECKING:
    from fedcore.rounds.messages import End, PartyResult, Record

FEDERATED, AVERAGE = "federated", "average"
TEXT = ("party", "role", "status")
WHOLE = ("patients", "images", "bytes_up", "bytes_down")
COLUMNS = (
    "round",
    *TEXT,
    "weight",
    "patients",
    "images",
    "train_loss",
    "train_accuracy",
    *METRICS,
    "seconds",
    "bytes_up",
    "bytes_down",
    *(f"personal_{name}" for name in METRICS),
)
TESTED = ("model", "party", "patients", "images", *METRICS)
OF_ALL = ("train_loss", "train_accuracy", *METRICS, "seconds", "bytes_up", "bytes_down")
OF_PARTY = ("role", "status", "weight", "patients", "images", *OF_ALL[:-3])


def metrics_table(records: Sequence[Record]) -> pa.Table:
    """Rounds in the order given; in each, parties by id, then the rows `average` and `federated`.

    `weight` is the share in the combined model, `seconds` the duration of the round, `bytes_up` and
    `bytes_down` are those of all parties together.
    """
    rows = [row for record in records for row in _rows(record)]
    columns = {name: [row.get(name) for row in rows] for name in COLUMNS}
    return pa.table(columns, schema=pa.schema([(name, _type(name)) for name in COLUMNS]))


def write_tests(folder: Path, end: End) -> Path:
    """Write `test_metrics.csv`: every model of the final test at every party that has answered.

    A row per model and party, then the rows `average` and `federated` (pooled) of the model; what
    is withheld or undefined is empty. Models are `best`, `final`, `personal` and `local-ID`.
    Raises `InputError` when the folder cannot be written.
    """
    path = folder / "test_metrics.csv"
    rows = [row for model in sorted(end.scores) for row in _tested(model, outcome_of(end, model))]
    replace_with(path, [_written(TESTED, rows).encode()])
    return path


def write_tables(folder: Path, records: Sequence[Record]) -> tuple[Path, Path]:
    """Write `metrics.parquet` and `metrics.csv`; each appears whole or not at all.

    Floats read back from either are bit-identical. Raises `InputError` when the folder cannot be
    written.
    """
    table = metrics_table(records)
    parquet, text = folder / "metrics.parquet", folder / "metrics.csv"
    sink = io.BytesIO()
    pq.write_table(table, sink)
    replace_with(parquet, [sink.getvalue()])
    replace_with(text, [_csv(table).encode()])
    return parquet, text


def _rows(record: Record) -> Iterator[dict[str, Any]]:
    for party, result in sorted(record.parties.items()):
        yield {"round": record.round, "party": party} | _fields(result, OF_PARTY)
    yield {"round": record.round, "party": AVERAGE, "role": AVERAGE} | {
        name: getattr(record, f"average_{name}") for name in METRICS
    }
    combined = [result for result in record.parties.values() if result.weight > 0]
    yield {
        "round": record.round,
        "party": FEDERATED,
        "role": FEDERATED,
        "status": f"{len(combined)} of {len(record.parties)}",
        "weight": sum(result.weight for result in combined),
        "patients": sum(result.patients for result in combined),
        "images": sum(result.images for result in combined),
    } | _fields(record, OF_ALL)


def _fields(source: Record | PartyResult, names: Sequence[str]) -> dict[str, Any]:
    own = source.personal.model_dump() if source.personal is not None else {}
    personal = {f"personal_{name}": value for name, value in own.items()}
    return {name: getattr(source, name) for name in names} | personal


def _type(name: str) -> pa.DataType:
    if name in TEXT:
        return pa.string()
    return pa.int64() if name in ("round", *WHOLE) else pa.float64()


def _tested(model: str, outcome: Outcome) -> Iterator[Sequence[object]]:
    for party, scores in sorted(outcome.parties.items()):
        yield model, party, *_counted(scores)
    means = average(outcome.reported.values())
    yield model, AVERAGE, None, None, *(_known(means.get(name)) for name in METRICS)
    yield model, FEDERATED, *_counted(outcome.pooled)


def _counted(scores: AnyScores | None) -> Sequence[object]:
    if scores is None:
        return [None] * (len(METRICS) + 2)
    return scores.patients, scores.images, *(_known(scores.value(name)) for name in METRICS)


def _known(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _csv(table: pa.Table) -> str:
    return _written(COLUMNS, zip(*table.to_pydict().values(), strict=True))


def _written(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Python writes the shortest text that reads back as the same float."""
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return sink.getvalue()
