"""A public stage before the first round: same network, other images, perhaps other classes."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from fedcore.config.federation import FederationSection
from fedcore.config.pretrain import PretrainSection
from fedcore.config.task import TaskFile
from fedcore.data.images import ImageSet
from fedcore.models.catalogue import build
from fedcore.models.layers import head_names
from fedcore.models.state import to_params
from fedcore.params import Params
from fedcore.training.checkpoint import Checkpoint
from fedcore.training.hardware import Hardware
from fedcore.training.local import OnStep, train_round


def stage_task(task: TaskFile) -> TaskFile:
    """The stage as a task of one round, on all public images; `ValueError` where there is none.

    Optimiser, schedule, regularisation and augmentation are the task's; what is said of rounds
    (freezing, warm-up by rounds, what is carried over them) and the factor on the backbone's
    learning rate are left to the rounds; weights of classes, where the stage has another number.
    """
    stage = task.pretrain
    if stage is None:
        raise ValueError("the task has no pretrain section")
    federation = task.federation
    rounds = FederationSection(
        epochs=1,
        local_epochs=stage.epochs,
        batch_size=stage.batch_size or federation.batch_size,
        lr=stage.lr or federation.lr,
    )
    plain: dict[str, object] = {
        "freeze": (),
        "warmup_rounds": 0,
        "loader": "per_round",
        "optimizer_state": "fresh",
        "backbone_lr": 1.0,
    }
    classes = stage.num_classes or task.model.num_classes
    if classes != task.model.num_classes and task.training.class_weights != "balanced":
        plain |= {"class_weights": "none", "positive_weight": None}
    model = {"num_classes": classes, "weights": None}
    return task.model_copy(
        update={
            "pretrain": None,
            "model": task.model.model_copy(update=model),
            "federation": rounds,
            "training": task.training.model_copy(update=plain),
            "data": task.data.model_copy(update=_all_for_training(stage)),
        }
    )


def _all_for_training(stage: PretrainSection) -> dict[str, object]:
    return {
        "labels": "auto",
        "label_attribute": None,
        "classes": stage.classes,
        "validation": 0.0,
        "test": 0.0,
        "split_file": None,
        "min_patients": 1,
        "require_all_classes": False,
    }


def pretrain(  # noqa: PLR0913 (two have a default)
    network: nn.Module,
    start: Params,
    images: ImageSet,
    task: TaskFile,
    *,
    party_id: str,
    same_classes: bool,
    hardware: Hardware | None = None,
    on_step: OnStep | None = None,
    checkpoint: Checkpoint | None = None,
) -> Params:
    """`start` after the stage on `images`, deterministic and resumable as a round is.

    Where the public images have other classes, the stage has a fresh classifier of its own, and
    `start` keeps its classifier as it is. Raises what `train_round` raises.
    """
    stage = stage_task(task)
    other = build(stage.model, stage.seed)
    own = frozenset() if same_classes else head_names(network)
    result = train_round(
        other,
        _graft(to_params(other), start, own),
        images,
        stage,
        party_id=party_id,
        number=1,
        hardware=hardware,
        on_step=on_step,
        checkpoint=checkpoint,
    )
    return _graft(start, result.params, own)


def same_classes(task: TaskFile, ours: Sequence[str], public: Sequence[str]) -> bool:
    """Whether the stage's classifier is the task's: the same classes in the same order."""
    return tuple(ours) == tuple(public) and len(ours) == task.model.num_classes


def _graft(onto: Params, params: Params, without: frozenset[str]) -> Params:
    return {name: onto[name] if name in without else params[name] for name in onto}
