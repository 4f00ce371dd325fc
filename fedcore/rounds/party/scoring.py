"""Scoring: how good global and personal models are on this hospital's own patients, as counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fedcore.data.images import ImageSet
from fedcore.exchange import keys
from fedcore.params import Params
from fedcore.rounds import sealed
from fedcore.rounds.messages import Combined, FinalEvaluation, ObjectRef, Score
from fedcore.rounds.party import personal, weights
from fedcore.rounds.party.desk import Desk
from fedcore.rounds.party.overtaken import unless_over
from fedcore.rounds.party.standardising import standardised
from fedcore.training.evaluation import evaluate, withhold


def score(desk: Desk, number: int) -> Score | None:
    """Score round `number`'s combined model on the validation split and send the counts.

    `None`, and nothing leaves, when a later round is over and the model was removed.
    """
    desk.fence.glance()
    return unless_over(desk, lambda: _score(desk, number))


def score_final(desk: Desk) -> Score | None:
    """Score the models of the final request on the test split and send the counts.

    Where the task file asks for it, the best one is fine-tuned here first and scored as well.
    `None`, and nothing leaves, when the training has ended and a party's model was removed.
    """
    desk.fence.require()
    return unless_over(desk, lambda: _score_final(desk))


def _score(desk: Desk, number: int) -> Score:
    key, public = keys.combined(desk.run, number), desk.coordinator_key()
    combined = sealed.read(desk.store, key, Combined, public)
    images = desk.cohort.validation
    scores = _scores(desk, lambda: weights.after_round(desk, combined), images)
    found = {combined.model.sha256: scores}
    found |= _personal_scores(desk, personal.after_round(desk, number), images)
    message = _message(desk, number, found)
    desk.send("scores", keys.score(desk.party, desk.run, number), message)
    return message


def _score_final(desk: Desk) -> Score:
    key, public = keys.final_evaluation(desk.run), desk.coordinator_key()
    request = sealed.read(desk.store, key, FinalEvaluation, public)
    personal.fine_tune(desk, request)
    found: dict[str, dict[str, Any] | None] = {}
    for name, ref in sorted(request.models.items()):
        if ref.sha256 not in found:
            number = request.rounds[name]
            found[ref.sha256] = _tested(desk, ref, number)
    found |= _personal_scores(desk, personal.at_the_end(desk), desk.cohort.test)
    message = _message(desk, 0, found)
    desk.send("test scores", keys.final_score(desk.party, desk.run), message)
    return message


def _message(desk: Desk, number: int, found: dict[str, dict[str, Any] | None]) -> Score:
    """The scores with the head of the ledger that says what was scored: the same when repeated."""
    given = {sha256: scores is not None for sha256, scores in found.items()}
    head = desk.note("scored", {"round": number, "models": given})
    return Score(run=desk.run, party=desk.party, round=number, scores=found, ledger=head)


def _tested(desk: Desk, ref: ObjectRef, number: int) -> dict[str, Any] | None:
    """The counts of a global model, with what of it stayed at home here after round `number`."""
    return _scores(desk, lambda: weights.to_score(desk, ref, number), desk.cohort.test)


def _personal_scores(
    desk: Desk, params: Params | None, images: ImageSet
) -> dict[str, dict[str, Any] | None]:
    """The counts of the party's own model under the name `personal`; nothing without one."""
    return {} if params is None else {personal.PERSONAL: _scores(desk, lambda: params, images)}


def _scores(desk: Desk, opened: Callable[[], Params], images: ImageSet) -> dict[str, Any] | None:
    """The counts as they may leave; `None` when policy or task file keep them at home."""
    agreed = desk.task.data.min_reported
    if not desk.leaving.allows("scores", images.patients, agreed):
        return None
    params = opened()
    rows = standardised(desk, images)
    desk.progress("evaluate", 0, 1, None)
    known = withhold(evaluate(desk.network, params, rows, desk.seen_task), agreed)
    desk.progress("evaluate", 1, 1, None)
    return known.to_json() if known is not None else None
