"""Closing: collect the scores of a combined model, record the round, and end the training."""

from __future__ import annotations

import math
from typing import Any

from fedcore.config.task import METRICS
from fedcore.errors import Refused
from fedcore.exchange import keys
from fedcore.metrics import Scores, pool
from fedcore.rounds import sealed
from fedcore.rounds.coordinator.asking import invitation_of, reply_of
from fedcore.rounds.coordinator.combining import combined_of
from fedcore.rounds.coordinator.desk import Desk
from fedcore.rounds.coordinator.resuming import records
from fedcore.rounds.messages import (
    Combined,
    End,
    FinalEvaluation,
    PartyResult,
    Record,
    Reply,
    Score,
)
from fedcore.rounds.selection import best_round

FINAL = 0
SCORED = "scored"


def await_score(desk: Desk, number: int, party: str, until: float | None = None) -> str:
    """Wait for a party's scores of round `number` (0: the final test); `scored` or `late`."""
    key = _score_key(desk, number, party)
    what = f"{desk.member(party).label}'s scores of {_round_name(number)}"
    there = desk.watch.wait(lambda: desk.store.exists(key) or None, what, until)
    return SCORED if there else "late"


def record(desk: Desk, number: int, seconds: float) -> Record:
    """Write the round's commit marker: every number that the hospitals gave away for it."""
    combined, invitation = combined_of(desk, number), invitation_of(desk, number)
    replies = {party: reply_of(desk, invitation, party) for party in combined.weights}
    scores = {party: _score_of(desk, combined, party) for party in combined.weights}
    known = [score for score in scores.values() if score is not None]
    numbers = _numbers(pool(known))
    mine = Record(
        run=desk.run,
        round=number,
        model=combined.model,
        parties=_party_results(desk, combined, replies, scores),
        train_loss=_weighted(combined, replies, "loss"),
        train_accuracy=_weighted(combined, replies, "accuracy"),
        bytes_up=sum(reply.update.size for reply in replies.values()),
        bytes_down=invitation.weights.size * len(invitation.parties),
        seconds=round(seconds, 3),
        **numbers,
    )
    standing = sealed.settle(desk.store, keys.record(desk.run, number), mine, desk.key)
    desk.ledger.append_once("recorded", {"round": number, "model": standing.model.sha256})
    return standing


def request_final_test(desk: Desk) -> FinalEvaluation:
    """Ask every party to score the best and the final model on its test split."""
    done = records(desk)
    best = best_round(done, desk.task.federation.select_by)
    request = FinalEvaluation(
        run=desk.run,
        models={"best": best.model, "final": done[-1].model},
        rounds={"best": best.round, "final": done[-1].round},
    )
    return sealed.settle(desk.store, keys.final_evaluation(desk.run), request, desk.key)


def conclude(desk: Desk) -> End:
    """Write the last word: why the training ended, which models it made, their test scores."""
    request, done = request_final_test(desk), records(desk)
    guest = desk.hello(desk.guest.party_id)
    early = len(done) < desk.task.federation.epochs
    mine = End(
        run=desk.run,
        reason="stopped early: no improvement" if early else "all rounds done",
        rounds=len(done),
        best_round=request.rounds["best"],
        best=request.models["best"],
        final=request.models["final"],
        classes=guest.classes if guest else (),
        scores={name: _test_scores(desk, ref.sha256) for name, ref in request.models.items()},
    )
    standing = sealed.settle(desk.store, keys.end(desk.run), mine, desk.key)
    subject = {"best": standing.best.sha256, "final": standing.final.sha256}
    desk.ledger.append_once("training_ended", {"rounds": standing.rounds, **subject})
    return standing


def _party_results(
    desk: Desk,
    combined: Combined,
    replies: dict[str, Reply],
    scores: dict[str, Scores | None],
) -> dict[str, PartyResult]:
    results = {}
    for member in desk.members:
        party = member.party_id
        if party in replies:
            results[party] = _admitted(desk, combined, replies[party], scores[party])
        else:
            status = combined.absent.get(party) or desk.refusal(party) or "never_came"
            results[party] = PartyResult(role=member.role, status=status)
    return results


def _admitted(desk: Desk, combined: Combined, reply: Reply, scores: Scores | None) -> PartyResult:
    return PartyResult(
        role=desk.member(reply.party).role,
        status="admitted",
        weight=combined.weights[reply.party],
        patients=reply.patients,
        images=reply.images,
        train_loss=reply.metrics.get("loss"),
        train_accuracy=reply.metrics.get("accuracy"),
        **_numbers(scores),
    )


def _numbers(scores: Scores | None) -> dict[str, Any]:
    """The headline numbers; `None` in place of what is withheld or undefined."""
    if scores is None:
        return dict.fromkeys(METRICS)
    return {name: _or_none(value) for name, value in scores.summary().items()}


def _weighted(combined: Combined, replies: dict[str, Reply], name: str) -> float | None:
    """The mean of a training metric over the parties that gave it, by their weights."""
    known = {
        party: reply.metrics[name] for party, reply in replies.items() if name in reply.metrics
    }
    total = sum(combined.weights[party] for party in known)
    if not total:
        return None
    return sum(combined.weights[party] * known[party] for party in sorted(known)) / total


def _score_of(desk: Desk, combined: Combined, party: str) -> Scores | None:
    """A party's scores of the round's model; `None` when late, withheld or refused."""
    return _scores(desk, combined.round, party).get(combined.model.sha256)


def _test_scores(desk: Desk, sha256: str) -> dict[str, dict[str, Any] | None]:
    found = {party: _scores(desk, FINAL, party).get(sha256) for party in desk.hellos()}
    return {party: scores.to_json() if scores else None for party, scores in found.items()}


def _scores(desk: Desk, number: int, party: str) -> dict[str, Scores]:
    """The scores that a party has given for a round, by model hash; empty when it has not."""
    key = _score_key(desk, number, party)
    try:
        score = sealed.read_if_there(desk.store, key, Score, desk.public_key(party))
        if score is None or (score.run, score.party, score.round) != (desk.run, party, number):
            return {}
        found = {sha: Scores.from_json(one) for sha, one in score.scores.items() if one is not None}
        classes = desk.task.model.num_classes
        return {sha: one for sha, one in found.items() if len(one.confusion) == classes}
    except (Refused, KeyError, ValueError, TypeError, IndexError):
        subject = {"round": number, "party": party, "reason": "malformed"}
        desk.ledger.append_once("scores_refused", subject)
        return {}


def _score_key(desk: Desk, number: int, party: str) -> str:
    if number == FINAL:
        return keys.final_score(party, desk.run)
    return keys.score(party, desk.run, number)


def _round_name(number: int) -> str:
    return "the final test" if number == FINAL else f"round {number}"


def _or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None
