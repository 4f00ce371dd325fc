"""Answering an invitation: from the global model to a signed update."""

from __future__ import annotations

from collections.abc import Mapping

from fedcore.config.policy import METRICS
from fedcore.errors import Refused
from fedcore.exchange import codec, keys
from fedcore.models.state import shared_names
from fedcore.params import Params, clip, select, subtract
from fedcore.rounds import sealed
from fedcore.rounds.messages import Invitation, Reply
from fedcore.rounds.party import spool, weights
from fedcore.rounds.party.desk import Desk
from fedcore.rounds.party.requests import invitation
from fedcore.rounds.party.spool import Spooled
from fedcore.rounds.party.standardising import standardised
from fedcore.rounds.waiting import with_room
from fedcore.training.checkpoint import Checkpoint
from fedcore.training.local import TrainResult, train_round


def train(desk: Desk, number: int) -> str:
    """Train from the round's global model and spool the update; the update's SHA-256.

    The one place that sees both a patient and a weight. What is spooled already for the same
    weights is not trained again, nor what missed an earlier round and counts in this one.
    """
    desk.fence.require()
    asked = invitation(desk, number)
    if asked.task_hash != desk.task.fingerprint():
        raise Refused("wrong_task", f"the invitation to round {number}")
    done = _spooled(desk, asked)
    if done is not None:
        return done.sha256
    start = weights.open_model(desk, asked.weights)
    checkpoint = _checkpoint(desk, asked)
    result = _train(desk, weights.with_home(desk, start, number), number, checkpoint)
    shared = shared_names(desk.network, desk.task.federation.batch_norm)
    limit = desk.task.federation.clip_norm
    update = clip(subtract(select(result.params, shared), select(start, shared)), limit)

    def keep() -> str:
        weights.keep_home(desk, result.params, number)
        return _spool(desk, asked, update, result)

    sha256 = with_room(keep, desk.watch)
    checkpoint.remove()
    return sha256


def upload(desk: Desk, number: int) -> Reply | None:
    """Send the spooled update, then the signed reply that makes it count.

    `None`, and nothing leaves, when the round was closed meanwhile: by the task file's `late` the
    update is then lost, or waits in the spool for the next invitation.
    """
    desk.fence.require()
    asked = invitation(desk, number)
    done = _spooled(desk, asked)
    if done is None:
        raise Refused("not_trained", f"nothing is spooled for round {number}")
    standing = _our_reply(desk, number)
    if standing is not None:
        return standing
    if desk.store.exists(keys.combined(desk.run, number)):
        desk.ledger.append_once("late", {"round": number, "update": done.sha256})
        return None
    reply = _send(desk, asked, done)
    spool.forget_before(desk, done.trained_in)
    return reply


def _checkpoint(desk: Desk, asked: Invitation) -> Checkpoint:
    """Where the round's training is kept while it runs; nothing in it leaves."""
    bound = {"base": asked.weights.sha256, "contract": desk.cohort.contract_hash}
    place, watch = desk.spool / "checkpoint", desk.watch
    return Checkpoint(place, bound, clock=watch.clock, say=watch.say)


def _train(desk: Desk, start: Params, number: int, checkpoint: Checkpoint) -> TrainResult:
    return train_round(
        desk.network,
        start,
        standardised(desk, desk.cohort.train),
        desk.task,
        party_id=desk.party,
        number=number,
        on_step=lambda step, total, loss: desk.progress("train", step, total, loss),
        checkpoint=checkpoint,
    )


def _send(desk: Desk, asked: Invitation, done: Spooled) -> Reply:
    ref = spool.reference(desk, done)
    head = desk.note_departure("update", ref)
    desk.store.put_file_once(ref.key, spool.update_path(desk, done.trained_in))
    reply = Reply(
        run=desk.run,
        round=asked.round,
        trained_in=done.trained_in,
        party=desk.party,
        base=done.base,
        update=ref,
        codec="float32",
        patients=desk.cohort.train.patients,
        images=len(desk.cohort.train),
        metrics=_may_leave(desk, done.metrics),
        task_hash=asked.task_hash,
        contract_hash=desk.cohort.contract_hash,
        code_version=desk.code_version,
        ledger=head,
    )
    desk.send("reply", keys.reply(desk.party, desk.run, asked.round), reply)
    return reply


def _may_leave(desk: Desk, metrics: Mapping[str, float]) -> dict[str, float]:
    """The training's numbers that policy and task file let leave."""
    patients, agreed = desk.cohort.train.patients, desk.task.data.min_reported
    allowed = [name for name in METRICS if desk.leaving.allows(name, patients, agreed)]
    return {name: value for name, value in metrics.items() if name in allowed}


def _our_reply(desk: Desk, number: int) -> Reply | None:
    key = keys.reply(desk.party, desk.run, number)
    return sealed.read_if_there(desk.store, key, Reply, desk.key.public)


def _spool(desk: Desk, asked: Invitation, update: Params, result: TrainResult) -> str:
    body = codec.encode(update)
    sha256 = sealed.reference("spool", body).sha256
    done = Spooled(
        trained_in=asked.round, base=asked.weights.sha256, sha256=sha256, metrics=result.metrics
    )
    spool.keep(desk, done, body)
    return sha256


def _spooled(desk: Desk, asked: Invitation) -> Spooled | None:
    """What can answer this invitation: trained for it, or late from an earlier round."""
    done = spool.find(desk, asked.round, asked.weights.sha256)
    return done or spool.find_late(desk, asked.round)
