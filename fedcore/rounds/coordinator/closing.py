"""Closing: collect the scores of a combined model, record the round, and end the training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fedcore.errors import Refused
from fedcore.exchange import keys
from fedcore.metrics import AnyScores, read_scores
from fedcore.rounds import sealed
from fedcore.rounds.coordinator import ledger_parts
from fedcore.rounds.coordinator.asking import (
    bytes_down,
    invitation_of,
    staleness_of,
    wait_for,
)
from fedcore.rounds.coordinator.combining import combined_of, reply_as_combined
from fedcore.rounds.coordinator.desk import Desk
from fedcore.rounds.coordinator.local_models import publish_local_models
from fedcore.rounds.coordinator.numbers import (
    fits,
    headline,
    own_headline,
    plain_average,
    pooled,
)
from fedcore.rounds.coordinator.resuming import records
from fedcore.rounds.messages import (
    LATE,
    NOT_INVITED,
    Combined,
    End,
    FinalEvaluation,
    Invitation,
    LedgerHead,
    ObjectRef,
    PartyResult,
    Record,
    Reply,
    Score,
)
from fedcore.rounds.selection import best_round, blindness

FINAL = 0
PERSONAL = "personal"  # names a party's own model among its scores, of which nobody has a hash
SCORED = "scored"


def await_score(desk: Desk, number: int, party: str, until: float | None = None) -> str:
    """Wait for a party's scores of round `number` (0: the final test); `scored` or `late`."""
    key = _score_key(desk, number, party)
    what = f"{desk.member(party).label}'s scores of {_round_name(number)}"
    scored = wait_for(desk, party, key, what, until, kind=f"scores of {party}")
    return SCORED if scored else LATE


def record(desk: Desk, number: int, seconds: float) -> Record:
    """Write the round's commit marker: every number that the hospitals gave away for it."""
    desk.fence.require()
    combined, invitation = combined_of(desk, number), invitation_of(desk, number)
    replies = {
        party: reply
        for party in combined.weights
        if (reply := reply_as_combined(desk, combined, invitation, party)) is not None
    }
    said = {party: _said(desk, number, party) for party in _may_score(desk, combined, invitation)}
    scores = {party: _scores_of(desk, one, combined.model.sha256) for party, one in said.items()}
    own = {party: _own_scores(desk, one) for party, one in said.items()}
    # Before the marker: nobody comes back to a round that is done.
    desk.ledger.append_once("recorded", {"round": number, "model": combined.model.sha256})
    ledgers = _heads(desk, number, [*replies.values(), *said.values()])
    mine = Record(
        run=desk.run,
        round=number,
        model=combined.model,
        parties=_party_results(desk, combined, invitation, replies, scores, own),
        train_loss=_weighted(combined, replies, "loss"),
        train_accuracy=_weighted(combined, replies, "accuracy"),
        bytes_up=sum(reply.update.size for reply in replies.values()),
        bytes_down=bytes_down(desk, invitation),
        seconds=round(seconds, 3),
        ledgers=ledgers,
        personal=own_headline(pooled(own)),
        **headline(pooled(scores)),
        **{f"average_{name}": value for name, value in plain_average(scores).items()},
    )
    blind = blindness(mine, desk.task.federation) if number == 1 else None
    if blind is not None:
        desk.watch.say(blind)
    return sealed.settle(desk.store, keys.record(desk.run, number), mine, desk.key)


def scorers(desk: Desk, number: int) -> list[str]:
    """Whose scores of round `number` are waited for: of those in it, all that keep pace.

    And of those that were not invited: so each round is judged by the same patients. Where a
    round closes early, a party keeps pace that has not missed more rounds than it takes
    all parties to be in one each; the others' scores are taken if they are there.
    """
    combined, invitation = combined_of(desk, number), invitation_of(desk, number)
    buffer = desk.task.federation.buffer
    if buffer is None:
        return _may_score(desk, combined, invitation)
    pace = len(invitation.parties)
    replies = [reply_as_combined(desk, combined, invitation, one) for one in combined.weights]
    return [
        reply.party
        for reply in replies
        if reply is not None and staleness_of(invitation, reply) * buffer < pace
    ]


def _may_score(desk: Desk, combined: Combined, invitation: Invitation) -> list[str]:
    """Whose scores count: of all in the round or not invited, and where it closes early of all."""
    if desk.task.federation.buffer is not None:
        return list(invitation.parties)
    return sorted({*combined.weights, *invitation.not_invited})


def request_final_test(desk: Desk) -> FinalEvaluation:
    """Ask every party to score the best and the final model on its test split.

    With `evaluation.cross_site`, every party's last local model as well.
    """
    standing = desk.recall(keys.final_evaluation(desk.run), FinalEvaluation, desk.key.public)
    if standing is not None:
        return standing
    done = records(desk)
    best = best_round(done, desk.task.federation.select_by)
    named: dict[str, tuple[ObjectRef, int]] = {
        "best": (best.model, best.round),
        "final": (done[-1].model, done[-1].round),
    }
    if desk.task.evaluation.cross_site:
        named |= publish_local_models(desk, done)
    request = FinalEvaluation(
        run=desk.run,
        models={name: ref for name, (ref, _) in named.items()},
        rounds={name: number for name, (_, number) in named.items()},
    )
    return sealed.settle(desk.store, keys.final_evaluation(desk.run), request, desk.key)


def conclude(desk: Desk) -> End:
    """Write the last word: why the training ended, which models it made, their test scores."""
    desk.fence.require()
    request, done = request_final_test(desk), records(desk)
    guest = desk.hello(desk.guest.party_id)
    early = len(done) < desk.task.federation.epochs
    said = {party: _said(desk, FINAL, party) for party in desk.hellos()}
    named = {name: ref.sha256 for name, ref in request.models.items()}
    asked = named | ({PERSONAL: PERSONAL} if desk.task.federation.personal else {})
    tested = {
        name: {party: _scores_of(desk, one, found) for party, one in said.items()}
        for name, found in asked.items()
    }
    desk.ledger.append_once("training_ended", {"rounds": len(done), **named})
    mine = End(
        run=desk.run,
        reason="stopped early: no improvement" if early else "all rounds done",
        rounds=len(done),
        best_round=request.rounds["best"],
        best=request.models["best"],
        final=request.models["final"],
        classes=guest.classes if guest else (),
        scores={name: _as_json(scores) for name, scores in tested.items()},
        averages={name: plain_average(scores) for name, scores in tested.items()},
        ledgers=_final_heads(desk, done[-1], list(said.values())),
    )
    return sealed.settle(desk.store, keys.end(desk.run), mine, desk.key)


def _party_results(
    desk: Desk,
    combined: Combined,
    invitation: Invitation,
    replies: dict[str, Reply],
    scores: dict[str, AnyScores | None],
    own: dict[str, AnyScores | None],
) -> dict[str, PartyResult]:
    results = {}
    for member in desk.members:
        party = member.party_id
        if party in combined.weights:
            admitted = _admitted(desk, combined, party, replies.get(party), scores[party])
            results[party] = admitted.model_copy(update={"personal": own_headline(own[party])})
        else:
            status = combined.absent.get(party) or _left_out(desk, invitation, party)
            numbers = headline(scores.get(party))
            results[party] = PartyResult(role=member.role, status=status, **numbers)
    return results


def _left_out(desk: Desk, invitation: Invitation, party: str) -> str:
    """Why a party was not asked in a round: not drawn, or it had not come."""
    if party in invitation.not_invited:
        return NOT_INVITED
    pending = desk.store.exists(keys.pending(party, desk.run))
    return desk.refusal(party) or ("pending" if pending else "never_came")


def _admitted(
    desk: Desk, combined: Combined, party: str, reply: Reply | None, scores: AnyScores | None
) -> PartyResult:
    """What is said of a party whose update is in; without its reply only what was combined."""
    told: dict[str, Any] = {}
    if reply is not None:
        told = {"patients": reply.patients, "images": reply.images}
        told["staleness"] = combined.round - reply.trained_in
        told |= {f"train_{name}": value for name, value in reply.metrics.items()}
    return PartyResult(
        role=desk.member(party).role,
        status="admitted",
        weight=combined.weights[party],
        **told,
        **headline(scores),
    )


def _weighted(combined: Combined, replies: dict[str, Reply], name: str) -> float | None:
    """The mean of a training metric over the parties that gave it, by their weights."""
    known = {
        party: reply.metrics[name] for party, reply in replies.items() if name in reply.metrics
    }
    total = sum(combined.weights[party] for party in known)
    if not total:
        return None
    return sum(combined.weights[party] * known[party] for party in sorted(known)) / total


def _as_json(scores: dict[str, AnyScores | None]) -> dict[str, dict[str, Any] | None]:
    return {party: one.to_json() if one else None for party, one in scores.items()}


def _heads(desk: Desk, number: int, said: Sequence[Reply | Score | None]) -> dict[str, LedgerHead]:
    """The newest head of every ledger in round `number`, and of the coordinator's as published."""
    before = _recorded(desk, number - 1) if number > 1 else None
    heads = ledger_parts.newest(desk, before.ledgers if before else {}, said)
    return ledger_parts.with_own(heads, ledger_parts.publish_part(desk, number))


def _final_heads(desk: Desk, last: Record, said: Sequence[Score | None]) -> dict[str, LedgerHead]:
    heads = ledger_parts.newest(desk, last.ledgers, said)
    return ledger_parts.with_own(heads, ledger_parts.publish_final_part(desk, last.round))


def _recorded(desk: Desk, number: int) -> Record | None:
    return desk.recall(keys.record(desk.run, number), Record, desk.key.public)


def _said(desk: Desk, number: int, party: str) -> Score | None:
    """What a party has said of a round (0: the final test); `None` when nothing that counts."""
    key = _score_key(desk, number, party)
    try:
        score = sealed.read_if_there(desk.store, key, Score, desk.public_key(party))
    except Refused:
        _refuse_scores(desk, number, party)
        return None
    if score is None or (score.run, score.party, score.round) != (desk.run, party, number):
        return None
    return score


def _scores_of(desk: Desk, score: Score | None, name: str) -> AnyScores | None:
    """The scores of one model, by its hash or `personal`; `None`: late, withheld or refused."""
    if score is None:
        return None
    try:
        found = {sha: read_scores(one) for sha, one in score.scores.items() if one is not None}
    except (KeyError, ValueError, TypeError, IndexError):
        _refuse_scores(desk, score.round, score.party)
        return None
    one = found.get(name)
    return one if one is not None and fits(one, desk.task) else None


def _own_scores(desk: Desk, score: Score | None) -> AnyScores | None:
    """The scores of a party's own model; `None` where the task file gives it none."""
    return _scores_of(desk, score, PERSONAL) if desk.task.federation.personal else None


def _refuse_scores(desk: Desk, number: int, party: str) -> None:
    subject = {"round": number, "party": party, "reason": "malformed"}
    desk.ledger.append_once("scores_refused", subject)


def _score_key(desk: Desk, number: int, party: str) -> str:
    if number == FINAL:
        return keys.final_score(party, desk.run)
    return keys.score(party, desk.run, number)


def _round_name(number: int) -> str:
    return "the final test" if number == FINAL else f"round {number}"
