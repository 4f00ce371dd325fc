"""The public stage at the guest: done once, kept on its own disk, written into its ledger."""

from __future__ import annotations

import json
from pathlib import Path

from fedcore.audit.durable import hash_file, replace_with
from fedcore.config.pretrain import NO_FOLDER
from fedcore.errors import DataError
from fedcore.exchange import codec
from fedcore.params import Params, digest
from fedcore.rounds.party.desk import Desk
from fedcore.training.checkpoint import Checkpoint
from fedcore.training.pretraining import pretrain, same_classes

BODY, NOTE = "pretrained.safetensors", "pretrained.json"


def pretrained(desk: Desk, start: Params) -> Params:
    """`start` after the task's public stage, if it has one; trained once, then found again.

    Raises `DataError` where the guest was given no folder of public images.
    """
    stage = desk.task.pretrain
    if stage is None:
        return start
    bound = {"task": desk.task.fingerprint(), "start": digest(start)}
    done = _found(desk, bound)
    if done is not None:
        return done
    if desk.public is None:
        raise DataError(NO_FOLDER)
    cohort = desk.public()
    trained = pretrain(
        desk.network,
        start,
        cohort.train,
        desk.task,
        party_id=desk.party,
        same_classes=same_classes(desk.task, desk.cohort.classes, cohort.classes),
        on_step=lambda step, total, loss: desk.progress("pretrain", step, total, loss),
        checkpoint=_checkpoint(desk, cohort.contract_hash),
    )
    counts = {"images": len(cohort.train), "patients": cohort.train.patients}
    desk.note("pretrained", {"data": cohort.contract_hash, "epochs": stage.epochs, **counts})
    _keep(desk, bound, trained)
    return trained


def _checkpoint(desk: Desk, contract_hash: str) -> Checkpoint:
    bound = {"base": "pretrain", "contract": contract_hash}
    return Checkpoint(_folder(desk), bound, clock=desk.watch.clock, say=desk.watch.say)


def _keep(desk: Desk, bound: dict[str, str], trained: Params) -> None:
    """The numbers, then the note that makes them valid, then the checkpoint goes."""
    body = desk.spool / BODY
    replace_with(body, [codec.encode(trained)])
    note = bound | {"sha256": hash_file(body)}
    replace_with(desk.spool / NOTE, [json.dumps(note).encode()])
    _checkpoint(desk, "").remove()


def _found(desk: Desk, bound: dict[str, str]) -> Params | None:
    body = desk.spool / BODY
    try:
        note = json.loads((desk.spool / NOTE).read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    if not body.exists() or note != bound | {"sha256": hash_file(body)}:
        return None
    return codec.decode(body.read_bytes())


def _folder(desk: Desk) -> Path:
    return desk.spool / "checkpoint"
