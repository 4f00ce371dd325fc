"""The party's personal model: made beside the global one, or from it at the end; it stays here.

Ditto (Li et al. 2021, "Ditto: Fair and Robust Federated Learning Through Personalization",
algorithm 1) trains it in every round, drawn to the round's global model; the first starts there.
Fine-tuning goes on from the best global model once the training is over.
"""

from __future__ import annotations

from pathlib import Path

from fedcore.audit.durable import replace_with
from fedcore.config.task import TaskFile
from fedcore.exchange import codec
from fedcore.models.state import schema_of
from fedcore.params import Params, digest
from fedcore.rounds.messages import FinalEvaluation, Invitation
from fedcore.rounds.party import weights
from fedcore.rounds.party.desk import Desk
from fedcore.rounds.party.standardising import standardised
from fedcore.rounds.waiting import with_room
from fedcore.training.checkpoint import Checkpoint
from fedcore.training.corrections import Toward
from fedcore.training.local import train_round

# Names the personal model among a party's scores, where the others are named by their hash.
PERSONAL = "personal"
# What belongs to the rounds of the common training and not to fine-tuning after them.
PLAIN: dict[str, object] = {
    "schedule": "constant",
    "warmup_rounds": 0,
    "warmup_steps": 0,
    "freeze": (),
    "backbone_lr": 1.0,
}


def train_beside(desk: Desk, asked: Invitation) -> None:
    """Ditto's step of a round, once: the party's own model learns, drawn to the global one."""
    path = _of_round(desk, asked.round)
    if desk.task.federation.strategy != "ditto" or path.exists():
        return
    center = weights.open_model(desk, asked.weights, asked.step)
    kept = after_round(desk, asked.round - 1)
    toward = Toward(center, desk.task.federation.lam)
    start = center if kept is None else kept
    _train(desk, path, start, desk.seen_task, asked.round, toward)
    _forget_before(desk, asked.round)


def fine_tune(desk: Desk, request: FinalEvaluation) -> None:
    """Go on from the best global model on the party's own data alone, once."""
    path = desk.spool / f"{PERSONAL}-final.safetensors"
    if not desk.task.federation.finetune_epochs or path.exists():
        return
    start = weights.to_score(desk, request.models["best"], request.rounds["best"])
    _train(desk, path, start, fine_tuning_task(desk.seen_task), 1, None)


def fine_tuning_task(task: TaskFile) -> TaskFile:
    """Fine-tuning as a training of one round: plain, all parameters, a constant learning rate."""
    federation = {
        "strategy": "fedavg",
        "epochs": 1,
        "local_epochs": task.federation.finetune_epochs,
        "local_steps": None,
    }
    return task.model_copy(
        update={
            "federation": task.federation.model_copy(update=federation),
            "training": task.training.model_copy(update=PLAIN),
        }
    )


def after_round(desk: Desk, number: int) -> Params | None:
    """The personal model as it was after round `number`; `None` before its first."""
    kept = [path for path in _rounds(desk) if path.name <= _of_round(desk, number).name]
    return _read(desk, kept[-1]) if kept else None


def at_the_end(desk: Desk) -> Params | None:
    """The personal model once all is done: fine-tuned, or as it was after the last round."""
    final = desk.spool / f"{PERSONAL}-final.safetensors"
    if final.exists():
        return _read(desk, final)
    kept = _rounds(desk)
    return _read(desk, kept[-1]) if kept else None


def personal_model(desk: Desk) -> memoryview | None:
    """The personal model as a file for the hospital's own use; `None` where there is none."""
    params = at_the_end(desk)
    return None if params is None else codec.encode(params)


def _train(
    desk: Desk, path: Path, start: Params, task: TaskFile, number: int, toward: Toward | None
) -> None:
    """Train and keep; order of the data and optimiser are the personal model's own."""
    bound = {"center": _digest(toward), "contract": desk.cohort.contract_hash}
    place, watch = desk.spool / f"{PERSONAL}-checkpoint", desk.watch
    checkpoint = Checkpoint(place, bound, clock=watch.clock, say=watch.say)
    result = train_round(
        desk.network,
        start,
        standardised(desk, desk.cohort.train),
        task,
        party_id=f"{desk.party}/{PERSONAL}",
        number=number,
        on_step=lambda step, total, loss: desk.progress(PERSONAL, step, total, loss),
        checkpoint=checkpoint,
        toward=toward,
    )
    body = codec.encode(result.params)
    with_room(lambda: replace_with(path, [body]), watch)
    checkpoint.remove()


def _digest(toward: Toward | None) -> str:
    return "" if toward is None else digest(toward.center)


def _read(desk: Desk, path: Path) -> Params:
    return codec.decode(path.read_bytes(), schema_of(desk.network))


def _of_round(desk: Desk, number: int) -> Path:
    return desk.spool / f"{PERSONAL}-{number:05d}.safetensors"


def _rounds(desk: Desk) -> list[Path]:
    return sorted(desk.spool.glob(f"{PERSONAL}-[0-9]*.safetensors"))


def _forget_before(desk: Desk, number: int) -> None:
    """Keep this round's and the one before it, from which a repeated round would start."""
    for path in _rounds(desk)[:-2]:
        if path != _of_round(desk, number):
            path.unlink(missing_ok=True)
