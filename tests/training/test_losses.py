"""What training minimises: each loss against torch's own, or its definition in numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchvision.ops import sigmoid_focal_loss
from training_plans import task_of

from fedcore.config.base import validate
from fedcore.config.task import TaskFile
from fedcore.data.images import ArrayImages
from fedcore.errors import TaskFileError
from fedcore.training.hardware import Hardware
from fedcore.training.objectives import objective_for
from fedcore.training.plan import plan_for
from fedcore.training.pretraining import stage_task

RANDOM = np.random.default_rng(0)
OUTPUTS, LABELS = RANDOM.normal(size=(9, 2)).astype(np.float32), RANDOM.integers(0, 2, 9)
LOGITS, TRUTH = torch.from_numpy(OUTPUTS), torch.from_numpy(LABELS)
ONE = LOGITS[:, 1:] - LOGITS[:, :1]  # the same probabilities by one logit


def loss_of(outputs, **fields):
    """The loss of nine rows by a network that gives one logit, or one a class."""
    plan = plan_for(task_of(**fields))
    images = ArrayImages(np.zeros((9, 1, 16, 16), np.uint8), LABELS, 9)
    return objective_for(plan, images, Hardware()).loss(outputs, TRUTH)


def by_hand(weights, gamma):
    """Mean of w_y (1 - p_y)^gamma * -log p_y, in float64."""
    odds = np.exp(OUTPUTS.astype(np.float64))
    right = (odds / odds.sum(axis=1, keepdims=True))[np.arange(9), LABELS]
    return np.mean(np.array(weights)[LABELS] * (1 - right) ** gamma * -np.log(right))


def test_numbers_weigh_the_classes_as_torchs_cross_entropy_has_it():
    theirs = torch.nn.CrossEntropyLoss(torch.tensor([1.0, 3.5]))(LOGITS, TRUTH)
    assert torch.equal(loss_of(LOGITS, class_weights=[1, 3.5]), theirs)


@pytest.mark.parametrize("outputs", [LOGITS, ONE])
def test_a_positive_weight_is_torchs_pos_weight(outputs):
    theirs = torch.nn.BCEWithLogitsLoss(pos_weight=torch.tensor(3.0))(ONE[:, 0], TRUTH.float())
    ours = loss_of(outputs, positive_weight=3.0)
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-6)
    assert ours.item() == pytest.approx(by_hand([1, 3], 0), rel=1e-6)


@pytest.mark.parametrize("outputs", [LOGITS, ONE])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_the_focal_loss_is_that_of_its_paper(outputs, gamma):
    plain = loss_of(outputs, focal_gamma=gamma)
    assert plain.item() == pytest.approx(by_hand([1, 1], gamma), rel=1e-6)
    ours = loss_of(outputs, focal_gamma=gamma, class_weights=[0.75, 0.25])
    theirs = sigmoid_focal_loss(ONE[:, 0], TRUTH.float(), 0.25, gamma, reduction="mean")
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-6)


def test_a_row_that_is_understood_has_a_focal_loss_without_a_slope():
    sure = torch.tensor([[-200.0, 200.0]] * 9, requires_grad=True)
    plan = plan_for(task_of(focal_gamma=0.5))
    images = ArrayImages(np.zeros((9, 1, 16, 16), np.uint8), np.ones(9, np.int64), 9)
    loss = objective_for(plan, images, Hardware()).loss(sure, torch.ones(9, dtype=torch.int64))
    loss.backward()
    assert loss.item() == 0
    assert torch.isfinite(sure.grad).all()


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"training": {"class_weights": [1, 2, 3]}}, "write one number for each of the 2 classes"),
        (
            {"training": {"positive_weight": 2}, "model": {"num_classes": 3}},
            "training.positive_weight is 2.0: it is for two classes: write class_weights",
        ),
    ],
)
def test_weights_that_do_not_fit_the_classes_are_refused(fields, said):
    content = {"task_type": "classification", "model": {}, "federation": {}, **fields}
    with pytest.raises(TaskFileError, match=said):
        validate(TaskFile, content, "task.yaml", TaskFileError)


def test_a_public_stage_with_other_classes_takes_no_weights_of_the_tasks():
    content = {
        "task_type": "classification",
        "model": {},
        "federation": {},
        "training": {"class_weights": [1, 2]},
        "pretrain": {"epochs": 1, "num_classes": 5},
    }
    task = TaskFile.model_validate(content)
    assert stage_task(task).training.class_weights == "none"
    same = TaskFile.model_validate({**content, "pretrain": {"epochs": 1}})
    assert stage_task(same).training.class_weights == (1.0, 2.0)
