"""One round of training at one party: global parameters in, trained parameters and metrics out."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from types import MappingProxyType

import torch
from torch import nn

from fedcore.config.task import TaskFile
from fedcore.data.images import ImageSet
from fedcore.errors import Interrupted, Refused, TrainingFailed, problem
from fedcore.models.inference import lay_out
from fedcore.models.state import load_params, to_params
from fedcore.params import Array, Params, digest, require_finite
from fedcore.training import moment
from fedcore.training.ahead import ahead
from fedcore.training.alternation import alternating
from fedcore.training.batches import Feed, draws, require_batches, require_usable
from fedcore.training.carried import Carried
from fedcore.training.checkpoint import Bound, Checkpoint
from fedcore.training.corrections import Toward, corrections_for
from fedcore.training.freezing import freeze
from fedcore.training.hardware import Hardware, gives_back, named, this_machine
from fedcore.training.in_words import in_words
from fedcore.training.objectives import Objective, objective_for
from fedcore.training.optimizers import make_optimizer, set_rate
from fedcore.training.plan import TrainPlan, plan_for
from fedcore.training.reproducible import derive_seed, reproducible
from fedcore.training.schedule import learning_rate

OnStep = Callable[[int, int, float], None]
# Reading a number off a GPU makes it wait; a person watching does not need every one.
GPU_LOOKS_EVERY = 10


@dataclass(frozen=True)
class TrainResult:
    """What a round gave: `metrics` are loss and accuracy as means over all images seen in it.

    `rates` holds the learning rate of each step, `carried` what the party's next round is to be
    given.
    """

    params: Params
    metrics: dict[str, float]
    steps: int
    images: int
    carried: Carried
    rates: tuple[float, ...] = ()


@gives_back
def train_round(  # noqa: PLR0913 (most have a default)
    network: nn.Module,
    start: Params,
    images: ImageSet,
    task: TaskFile,
    *,
    party_id: str,
    number: int,
    hardware: Hardware | None = None,
    on_step: OnStep | None = None,
    checkpoint: Checkpoint | None = None,
    offsets: Mapping[str, Array] = MappingProxyType({}),
    carried: Carried | None = None,
    toward: Toward | None = None,
) -> TrainResult:
    """Train `network`, starting from `start`, for round `number` (from 1) on a party's images.

    `hardware` defaults to this machine's. `on_step(done, total, loss)` is called
    after every step (on a GPU after every tenth) and may raise to stop. Metrics are those of
    training mode: each batch as the network was before its step, without the proximal term.
    `offsets` are added to the gradients of the parameters that they name, in every step.

    `carried` is what the party's last round gave, whichever that was, for a task that continues its
    loader or keeps its optimiser; nothing in the party's first round.

    With a `checkpoint`, a round that was begun with the same weights goes on from there, with the
    same bits as if it had never stopped; it is the caller's to remove once the result is safe.

    With `toward`, the network is a personal one that is drawn to another model.

    Raises `DataError` for images that do not fit, `Refused` for a `start` of another schema,
    `TrainingFailed` when the loss is no number any more or memory runs out.
    """
    plan, machine = plan_for(task), hardware or this_machine(task.training)
    before = carried or Carried()
    require_usable(images, plan)
    require_batches(images, plan)
    seed = derive_seed(plan.seed, "torch", party_id, number)
    with in_words(plan.batch_size), reproducible(seed, machine):
        lay_out(network, machine.device, machine.layout)
        load_params(network, start)
        freeze(network, plan, number)
        objective = objective_for(plan, images, machine)
        training = _Training(network, plan, machine, objective, offsets, before, toward)
        steps = plan.steps_per_round(len(images))
        kept = _Kept(checkpoint, training)
        own: dict[str, str | int] = {"party": party_id, "round": number, "images": len(images)}
        begun = kept.take_up(
            lambda: own | _bits_of(task, start, before, machine) | {"offsets": digest(offsets)}
        )
        rates = _rates(plan, number, steps)
        feed = Feed(images, plan, machine)
        row = islice(draws(plan, len(images), party_id, number, before.steps), begun, None)
        with (
            alternating(network, plan, len(images)) as turn,
            ahead(row, feed.batch, machine) as batches,
        ):
            for done, (pixels, labels) in enumerate(batches, start=begun):
                turn(done)
                loss = training.step(pixels, labels, rates[done])
                with kept.at(done + 1):
                    if _looked_at(machine, done + 1, steps):
                        _look(float(loss), done + 1, steps, plan, on_step)
        params, after = _trained(network, plan), training.carried(before.steps + steps)
        return TrainResult(params, training.metrics(), steps, len(images), after, rates)


def _rates(plan: TrainPlan, number: int, steps: int) -> tuple[float, ...]:
    """The learning rate of each of the `steps` of round `number`."""
    begun, total = (number - 1) * steps, plan.rounds * steps
    return tuple(learning_rate(plan, begun + done, total, steps) for done in range(steps))


def _looked_at(machine: Hardware, done: int, steps: int) -> bool:
    return machine.device == "cpu" or done % GPU_LOOKS_EVERY == 0 or done == steps


def _bits_of(
    task: TaskFile, start: Params, before: Carried, machine: Hardware
) -> dict[str, str | int]:
    """What else the bits hang on: where any of it changed, the round begins anew."""
    return {
        "task": task.fingerprint(),
        "start": digest(start),
        "carried": before.fingerprint(),
        "hardware": named(machine),
        "torch": str(torch.__version__),
    }


class _Kept:
    """A training and its checkpoint, if it has one."""

    def __init__(self, checkpoint: Checkpoint | None, training: _Training) -> None:
        self._checkpoint, self._training = checkpoint, training

    def take_up(self, bound: Callable[[], Bound]) -> int:
        """Go back to where it stood; the number of steps that are done."""
        saved = self._checkpoint.find(bound) if self._checkpoint else None
        if saved is None:
            return 0
        self._training.restore(saved.arrays)
        return saved.step

    @contextmanager
    def at(self, done: int) -> Iterator[None]:
        """After `done` steps: save when it is time, and when whoever watches ends the training."""
        if self._checkpoint is None:
            yield
            return
        try:
            yield
        except Interrupted:
            self._checkpoint.save(done, self._training.capture())
            raise
        if self._checkpoint.due:
            self._checkpoint.save(done, self._training.capture())


class _Training:
    """Network, optimiser and running sums of one round; everything stays on the device."""

    def __init__(
        self,
        network: nn.Module,
        plan: TrainPlan,
        machine: Hardware,
        objective: Objective,
        offsets: Mapping[str, Array],
        before: Carried,
        toward: Toward | None,
    ) -> None:
        """`network` is in training mode; `before` is what the party carries from earlier rounds."""
        self._network, self._plan = network, plan
        self._optimizer = make_optimizer(network, plan)
        if plan.keeps_optimizer and before.optimizer:
            moment.load_optimizer(self._optimizer, before.optimizer)
        self._corrections = corrections_for(network, plan, offsets, toward)
        self._objective = objective
        self._machine = machine
        self._seen = torch.zeros((), dtype=torch.int64)
        self._loss = torch.zeros((), dtype=torch.float64, device=machine.device)
        self._right = torch.zeros((), dtype=torch.int64, device=machine.device)
        self._counts = True

    def step(self, pixels: torch.Tensor, labels: torch.Tensor, rate: float) -> torch.Tensor:
        """One optimiser step; gives the batch's mean loss before it."""
        set_rate(self._optimizer, rate)
        self._optimizer.zero_grad(set_to_none=True)
        with torch.enable_grad():
            with torch.autocast(self._machine.device, torch.bfloat16, self._machine.bfloat16):
                logits = self._network(pixels)
            loss = self._objective.loss(logits, labels)
            loss.backward()  # type: ignore[no-untyped-call]
        for correction in self._corrections:
            correction.pull()
        self._optimizer.step()
        self._count(logits.detach(), labels, loss.detach())
        return loss.detach()

    def metrics(self) -> dict[str, float]:
        """Mean loss and, where it is counted, accuracy over the images seen so far."""
        seen = int(self._seen)
        means = {"loss": float(self._loss) / seen, "accuracy": float(self._right) / seen}
        return means if self._counts else {"loss": means["loss"]}

    def carried(self, steps: int) -> Carried:
        """What the next round is given, after `steps` steps in all rounds."""
        kept = self._plan.keeps_optimizer
        return Carried(steps, moment.optimizer_arrays(self._optimizer) if kept else {})

    def capture(self) -> Params:
        """Everything that the next step depends on."""
        return moment.capture(self._network, self._optimizer, self._sums())

    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Go on from what `capture` gave."""
        moment.restore(arrays, self._network, self._optimizer, self._sums())

    def _sums(self) -> dict[str, torch.Tensor]:
        return {"seen": self._seen, "loss": self._loss, "right": self._right}

    def _count(self, logits: torch.Tensor, labels: torch.Tensor, loss: torch.Tensor) -> None:
        self._seen += len(labels)
        self._loss += loss * len(labels)
        right = self._objective.right(logits, labels)
        if right is None:
            self._counts = False
        else:
            self._right += right


def _look(loss: float, done: int, total: int, plan: TrainPlan, on_step: OnStep | None) -> None:
    if not math.isfinite(loss):
        raise TrainingFailed(_diverged(plan, f"the loss was {loss} at step {done} of {total}"))
    if on_step is not None:
        on_step(done, total, loss)


def _trained(network: nn.Module, plan: TrainPlan) -> Params:
    params = to_params(network)
    network.zero_grad(set_to_none=True)
    try:
        require_finite(params)
    except Refused as refusal:
        raise TrainingFailed(_diverged(plan, f"after the last step {refusal.detail}")) from None
    return params


def _diverged(plan: TrainPlan, what: str) -> str:
    remedy = f"{what}; lower the learning rate, or set training.precision to float32"
    return problem("the task file", "federation.lr", plan.lr, remedy)
