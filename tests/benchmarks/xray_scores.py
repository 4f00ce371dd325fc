"""What a model says about every hospital's test images, and how sure one can be of its AUROC."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file
from xray_arms import Arm, Trained

from fedcore.config import TaskFile
from fedcore.data import Cohort
from fedcore.metrics import Scores, pool
from fedcore.models.catalogue import build
from fedcore.training.evaluation import evaluate, predict

DRAWS = 2000
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Answers:
    """Truth (N,) and the probability of pneumonia (N,) for one set of test images."""

    truth: npt.NDArray[np.int64]
    chance: npt.NDArray[np.float32]

    @property
    def accuracy(self) -> float:
        """Share of images on the right side of one half."""
        return float(((self.chance > 0.5) == self.truth).mean())

    @property
    def auroc(self) -> float:
        """Area under the ROC curve, ties counted half."""
        return float(self.ordered().mean())

    def ordered(self) -> Floats:
        """(positives, negatives): 1 where the pair is in the right order, half for a tie."""
        ill, well = self.chance[self.truth == 1, None], self.chance[None, self.truth == 0]
        return np.asarray((ill > well) + 0.5 * (ill == well), np.float64)


def join(parts: Sequence[Answers]) -> Answers:
    """The answers to all parts together."""
    truth = np.concatenate([part.truth for part in parts])
    return Answers(truth, np.concatenate([part.chance for part in parts]))


def ask(task: TaskFile, weights: str, cohorts: Mapping[str, Cohort]) -> dict[str, Answers]:
    """The model's answers on every party's test split."""
    network, params = build(task.model, task.seed), load_file(weights)
    return {
        party: Answers(
            cohort.test.labels, predict(network, params, cohort.test, task).probabilities[:, 1]
        )
        for party, cohort in cohorts.items()
    }


def require_agreement(
    task: TaskFile, arm: Arm, trained: Trained, cohorts: Mapping[str, Cohort]
) -> None:
    """The command's last line must say what its model scores here, to the digit."""
    network, params = build(task.model, task.seed), load_file(Path(trained.weights))
    parts: list[Scores] = [
        evaluate(network, params, cohorts[party].test, task) for party in arm.parties
    ]
    scores = pool(parts)
    expected = scores and f"AUROC {scores.auroc:.3f}, accuracy {scores.accuracy:.1%}"
    if not expected or expected not in trained.said:
        raise ValueError(f"{arm.name}: scored here {expected}, but the command: {trained.said}")


def interval(tests: Sequence[Answers], seed: int = 0) -> tuple[float, float]:
    """95 % bootstrap interval of the mean AUROC over `tests`, images drawn within each class."""
    rng = np.random.default_rng(seed)
    means = np.mean([_resampled(test.ordered(), rng) for test in tests], axis=0)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def _resampled(ordered: Floats, rng: np.random.Generator) -> Floats:
    """AUROC of DRAWS resamples: a resample only weighs rows and columns."""
    ill, well = (
        rng.multinomial(size, np.full(size, 1 / size), DRAWS) / size for size in ordered.shape
    )
    return np.asarray(((ill @ ordered) * well).sum(axis=1))
