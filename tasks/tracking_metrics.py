"""What of a round and of the final test is charted, under which name: pure, without MLflow."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from fedcore.explain.matrix import PERSONAL
from fedcore.explain.outcome import outcome_of
from fedcore.metrics import METRICS, AnyScores, average
from fedcore.rounds.messages import End, Numbers, PartyResult, Record

Values = dict[str, float]


@dataclass(frozen=True)
class Point:
    """One number of one run: `party` is None for the federation's own run; step is the round."""

    party: str | None
    name: str
    value: float
    step: int


def of_round(record: Record) -> list[Point]:
    """All numbers of a round; withheld ones are left out."""
    named: dict[str | None, Values] = {None: _federated(record)}
    named |= {party: _party(result) for party, result in record.parties.items()}
    return _points(named, record.round)


def of_end(end: End) -> list[Point]:
    """Test metrics of the best model, pooled and per party, at the round it comes from."""
    outcome = outcome_of(end)
    averages = average(outcome.reported.values())
    averaged = {f"test/average_{name}": value for name, value in averages.items()}
    named: dict[str | None, Values] = {None: _test(outcome.pooled) | _known(averaged)}
    named |= {party: _test(scores) for party, scores in outcome.parties.items()}
    return [*_points(named, end.best_round), *_own(end)]


def _own(end: End) -> list[Point]:
    """Test metrics of personal models, pooled and per party, at the last round."""
    if PERSONAL not in end.scores:
        return []
    outcome = outcome_of(end, PERSONAL)
    named: dict[str | None, Values] = {None: _test(outcome.pooled, PERSONAL)}
    named |= {party: _test(scores, PERSONAL) for party, scores in outcome.parties.items()}
    return _points(named, end.rounds)


def _federated(record: Record) -> Values:
    return _known(
        {
            **{f"federated/{name}": getattr(record, name) for name in METRICS},
            **{f"average/{name}": getattr(record, f"average_{name}") for name in METRICS},
            "federated/train_loss": record.train_loss,
            "federated/train_accuracy": record.train_accuracy,
            **_personal("federated/personal_", record.personal),
            "round/seconds": record.seconds,
            "round/bytes_up": float(record.bytes_up),
            "round/bytes_down": float(record.bytes_down),
            "round/parties": float(sum(one.weight > 0 for one in record.parties.values())),
        }
    )


def _party(result: PartyResult) -> Values:
    return _known(
        {
            "train/loss": result.train_loss,
            "train/accuracy": result.train_accuracy,
            **{f"val/{name}": getattr(result, name) for name in METRICS},
            **_personal("personal/", result.personal),
            "weight": result.weight,
        }
    )


def _personal(prefix: str, numbers: Numbers | None) -> dict[str, float | None]:
    """The headline numbers of personal models; nothing where there are none."""
    known = numbers.model_dump() if numbers is not None else {}
    return {f"{prefix}{name}": value for name, value in known.items()}


def _test(scores: AnyScores | None, model: str = "") -> Values:
    summary = scores.summary() if scores else {}
    prefix = f"test/{model}_" if model else "test/"
    return _known({f"{prefix}{name}": value for name, value in summary.items()})


def _known(values: Mapping[str, float | None]) -> Values:
    """Without withheld values and without the NaN of a metric that is undefined."""
    return {
        name: value for name, value in values.items() if value is not None and math.isfinite(value)
    }


def _points(named: Mapping[str | None, Values], step: int) -> list[Point]:
    return [
        Point(party, name, value, step)
        for party, values in named.items()
        for name, value in values.items()
    ]
