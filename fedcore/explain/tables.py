"""The rounds as a table for the data scientist: Parquet and CSV, one row per round and party.

Rows named `federated` hold what is true of all together, rows named `average` the plain mean of the
parties' own validation metrics. Columns named `personal_...` hold the same metrics of the parties'
personal models, where there are any. Numbers that were withheld are empty, not zero. pyarrow is
needed here and only here in this room.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from fedcore.audit.durable import replace_with
from fedcore.metrics import METRICS

if TYPE_CHECKING:
    from fedcore.rounds.messages import PartyResult, Record

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


def _csv(table: pa.Table) -> str:
    """Python writes the shortest text that reads back as the same float."""
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(zip(*table.to_pydict().values(), strict=True))
    return sink.getvalue()
