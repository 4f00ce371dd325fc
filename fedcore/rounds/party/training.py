"""Answering an invitation: from the global model to a signed update."""

from __future__ import annotations

import json
from pathlib import Path

from fedcore.audit.durable import replace_with
from fedcore.errors import Refused
from fedcore.exchange import codec, keys
from fedcore.models.state import shared_names
from fedcore.params import Params, clip, select, subtract
from fedcore.rounds import sealed
from fedcore.rounds.messages import Invitation, Reply
from fedcore.rounds.party import weights
from fedcore.rounds.party.desk import Desk
from fedcore.rounds.party.requests import invitation
from fedcore.training.local import TrainResult, train_round


def train(desk: Desk, number: int) -> str:
    """Train from the round's global model and spool the update; the update's SHA-256.

    The one place that sees both a patient and a weight. What is spooled already for the same
    weights is not trained again.
    """
    asked = invitation(desk, number)
    if asked.task_hash != desk.task.fingerprint():
        raise Refused("wrong_task", f"the invitation to round {number}")
    done = _spooled(desk, asked)
    if done is not None:
        return str(done["sha256"])
    start = weights.open_model(desk, asked.weights)
    at_home = weights.with_home(desk, start, number)
    result = train_round(
        desk.network,
        at_home,
        desk.cohort.train,
        desk.task,
        party_id=desk.party,
        number=number,
        on_step=lambda step, total, loss: desk.progress("train", step, total, loss),
    )
    weights.keep_home(desk, result.params, number)
    shared = shared_names(desk.network, desk.task.federation.batch_norm)
    limit = desk.task.federation.clip_norm
    update = clip(subtract(select(result.params, shared), select(start, shared)), limit)
    return _spool(desk, asked, update, result)


def upload(desk: Desk, number: int) -> Reply:
    """Send the spooled update, then the signed reply that makes it count."""
    asked = invitation(desk, number)
    done = _spooled(desk, asked)
    if done is None:
        raise Refused("not_trained", f"nothing is spooled for round {number}")
    body = _update_path(desk, number).read_bytes()
    ref = sealed.reference(keys.update(desk.party, desk.run, number), body)
    desk.note_departure("update", ref)
    desk.store.put_once(ref.key, body)
    enough = desk.cohort.train.patients >= desk.task.data.min_reported
    reply = Reply(
        run=desk.run,
        round=number,
        party=desk.party,
        base=asked.weights.sha256,
        update=ref,
        codec="float32",
        patients=desk.cohort.train.patients,
        images=len(desk.cohort.train),
        metrics=done["metrics"] if enough else {},
        task_hash=asked.task_hash,
        contract_hash=desk.cohort.contract_hash,
        code_version=desk.code_version,
    )
    desk.send("reply", keys.reply(desk.party, desk.run, number), reply)
    _forget_before(desk, number)
    return reply


def _spool(desk: Desk, asked: Invitation, update: Params, result: TrainResult) -> str:
    """Write the update and, last, the note that makes it valid."""
    body = codec.encode(update)
    replace_with(_update_path(desk, asked.round), [body])
    sha256 = sealed.reference("spool", body).sha256
    note = {"base": asked.weights.sha256, "sha256": sha256, "metrics": result.metrics}
    replace_with(_note_path(desk, asked.round), [json.dumps(note).encode()])
    return sha256


def _spooled(desk: Desk, asked: Invitation) -> dict[str, object] | None:
    """The note of a spooled update that was trained from these very weights, or `None`."""
    try:
        note = json.loads(_note_path(desk, asked.round).read_bytes())
        body = _update_path(desk, asked.round).read_bytes()
    except (FileNotFoundError, ValueError):
        return None
    whole = sealed.reference("spool", body).sha256 == note.get("sha256")
    return note if whole and note.get("base") == asked.weights.sha256 else None


def _update_path(desk: Desk, number: int) -> Path:
    return desk.spool / f"update-{number:05d}.safetensors"


def _note_path(desk: Desk, number: int) -> Path:
    return desk.spool / f"update-{number:05d}.json"


def _forget_before(desk: Desk, number: int) -> None:
    """Updates of earlier rounds are in the exchange and in the ledger; free their disk space."""
    for path in desk.spool.glob("update-*"):
        if path.name < f"update-{number:05d}":
            path.unlink(missing_ok=True)
