"""Answering an invitation: from the global model to a signed update."""

from __future__ import annotations

from collections.abc import Mapping

from fedcore.config.policy import METRICS
from fedcore.errors import Conflict, Refused
from fedcore.exchange import codec, keys
from fedcore.params import CONTROL, Array, Params, prefixed, schema, select, subtract
from fedcore.rounds import sealed
from fedcore.rounds.messages import Invitation, Reply
from fedcore.rounds.party import carrying, controls, packing, personal, spool, weights
from fedcore.rounds.party.desk import Desk
from fedcore.rounds.party.requests import invitation
from fedcore.rounds.party.spool import Spooled
from fedcore.rounds.party.standardising import standardised
from fedcore.rounds.waiting import with_room
from fedcore.training.carried import Carried
from fedcore.training.checkpoint import Checkpoint
from fedcore.training.local import TrainResult, train_round
from fedcore.training.normaliser import normaliser
from fedcore.training.plan import plan_for


def train(desk: Desk, number: int) -> str:
    """Train from the round's global model and spool the update; the update's SHA-256.

    The one place that sees both a patient and a weight. What is spooled already for the same
    weights is not trained again, nor what missed an earlier round and counts in this one. Where
    rounds close early, a training that was cut off goes on although its round is over.
    """
    desk.fence.glance()
    asked = invitation(desk, number)
    if asked.task_hash != desk.task.fingerprint():
        raise Refused("wrong_task", f"the invitation to round {number}")
    done = _spooled(desk, asked)
    if done is not None:
        personal.train_beside(desk, asked)
        return done.sha256
    asked = _begun(desk, asked)
    sha256 = _train_shared(desk, asked)
    personal.train_beside(desk, asked)
    return sha256


def _train_shared(desk: Desk, asked: Invitation) -> str:
    """Train the global model on, spool what was learned; the update's SHA-256."""
    number, start = asked.round, weights.open_model(desk, asked.weights, asked.step)
    begun, held = weights.with_home(desk, start, number), controls.take_up(desk, asked, start)
    checkpoint = _checkpoint(desk, asked)
    before = carrying.before(desk, number)
    result = _train(desk, begun, number, checkpoint, held.offsets, before)
    turned = controls.turn(desk, held, begun, result)
    draft = codec.Draft(schema(select(start, desk.shared)))
    update = _update(desk, start, result.params, draft)
    packed = packing.pack(desk, asked, update)
    body = codec.encode({**packed.arrays, **prefixed(CONTROL, turned)}, draft)

    def keep() -> str:
        sha256 = spool.keep_body(desk, number, body)
        weights.keep_home(desk, result.params, number)
        carrying.keep(desk, result.carried, number)
        packing.keep(desk, packed, number)
        controls.keep(desk, held, turned, number, sha256)
        return _spool(desk, asked, sha256, result)

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
    if _may_close_without_us(desk) and desk.store.exists(keys.combined(desk.run, number)):
        desk.ledger.append_once("late", {"round": number, "update": done.sha256})
        return None
    try:
        reply = _send(desk, asked, done)
    except Conflict:  # a process that began before us has answered meanwhile
        standing = _our_reply(desk, number)
        if standing is None:
            raise
        return standing
    spool.forget_before(desk, done.trained_in)
    if desk.lasting or not _may_come_late(desk):
        spool.forget(desk, done.trained_in)
    return reply


def _begun(desk: Desk, asked: Invitation) -> Invitation:
    """The invitation whose training is unfinished and may still count, else the one at hand."""
    federation = desk.task.federation
    number = Checkpoint.round_in(desk.spool / "checkpoint")
    if federation.buffer is None or number is None or number >= asked.round:
        return asked
    most = federation.max_staleness
    too_old = most is not None and asked.round - number > most
    return asked if too_old else invitation(desk, number)


def _checkpoint(desk: Desk, asked: Invitation) -> Checkpoint:
    """Where the round's training is kept while it runs; nothing in it leaves."""
    bound = {"base": asked.weights.sha256, "contract": desk.cohort.contract_hash}
    place, watch = desk.spool / "checkpoint", desk.watch
    return Checkpoint(place, bound, clock=watch.clock, say=watch.say)


def _update(desk: Desk, start: Params, trained: Params, draft: codec.Draft) -> Params:
    """Trained minus global weights of what is shared, where the update's body will lie."""
    return subtract(select(trained, desk.shared), select(start, desk.shared), draft.arrays)


def _train(
    desk: Desk,
    start: Params,
    number: int,
    checkpoint: Checkpoint,
    offsets: Mapping[str, Array],
    before: Carried,
) -> TrainResult:
    return train_round(
        desk.network,
        start,
        standardised(desk, desk.cohort.train),
        desk.seen_task,
        party_id=desk.party,
        number=number,
        on_step=lambda step, total, loss: desk.progress("train", step, total, loss),
        checkpoint=checkpoint,
        offsets=offsets,
        carried=before,
    )


def _send(desk: Desk, asked: Invitation, done: Spooled) -> Reply:
    ref = spool.reference(desk, done)
    head = desk.note_departure("update", ref)
    spool.send(desk, done, ref)
    reply = Reply(
        run=desk.run,
        round=asked.round,
        trained_in=done.trained_in,
        party=desk.party,
        base=done.base,
        update=ref,
        codec=desk.task.update.codec,
        patients=desk.cohort.train.patients,
        images=len(desk.cohort.train),
        metrics=_may_leave(desk, done.metrics),
        normaliser=done.normaliser,
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


def _may_come_late(desk: Desk) -> bool:
    """Whether an update may be offered again after the round that it was trained in."""
    federation = desk.task.federation
    return federation.buffer is not None or federation.late == "next_round"


def _may_close_without_us(desk: Desk) -> bool:
    """Whether a round can be over for who was invited to it and has not replied."""
    federation = desk.task.federation
    return federation.deadline is not None or federation.buffer is not None


def _our_reply(desk: Desk, number: int) -> Reply | None:
    key = keys.reply(desk.party, desk.run, number)
    if desk.said.missed(key):
        return None
    return sealed.read_if_there(desk.store, key, Reply, desk.key.public)


def _spool(desk: Desk, asked: Invitation, sha256: str, result: TrainResult) -> str:
    done = Spooled(
        trained_in=asked.round,
        base=asked.weights.sha256,
        sha256=sha256,
        metrics=result.metrics,
        normaliser=_normaliser(desk, result),
    )
    spool.keep(desk, done)
    return done.sha256


def _normaliser(desk: Desk, result: TrainResult) -> float:
    if desk.task.federation.strategy != "fednova":
        return 1.0
    return normaliser(plan_for(desk.task), result.rates)


def _spooled(desk: Desk, asked: Invitation) -> Spooled | None:
    """What can answer this invitation: trained for it, or late from an earlier round."""
    done = spool.find(desk, asked.round, asked.weights.sha256)
    return done or spool.find_late(desk, asked.round)
