"""What a model is worth, as numbers that may leave a hospital and can be pooled exactly.

A party scores the model at home and gives away a `Scores`: counts, a confusion matrix, and one
histogram of predicted probabilities per class. Scores of several parties add up; every metric
follows from the sum. Numpy only: the coordinator uses it, too.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from fedcore.metrics_bins import BINS, SCALE, area_under_roc, average_precision, bins_of
from fedcore.metrics_survival import OF_SURVIVAL, SurvivalScores, pool_survival

# The headline metrics of a classifier: each is a property of `Scores`.
OF_CLASSES = ("auroc", "auprc", "accuracy", "balanced_accuracy", "f1", "loss")
# All of either kind, under the names that task files, records and tables use.
METRICS = tuple(dict.fromkeys((*OF_CLASSES[:-1], *OF_SURVIVAL)))
# More than the losses of all patients on earth; sums of such numbers stay finite.
MOST_LOSS = 1e15
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Scores:
    """Sums over a set of images of C classes.

    `confusion` is (C, C): row = truth, column = prediction. `histograms` is (C, 2, BINS): for
    class c, how many images that are not c ([c, 0]) and that are c ([c, 1]) were given which
    probability of c, in the bins of `fedcore.metrics_bins`.
    """

    patients: int
    images: int
    loss_sum: float
    confusion: Ints
    histograms: Ints

    @classmethod
    def of(
        cls,
        probabilities: npt.NDArray[np.floating[Any]],
        truth: Ints,
        loss_sum: float,
        patients: int,
    ) -> Self:
        """Count `probabilities` (N, C) against `truth` (N,) of class numbers."""
        images, classes = probabilities.shape
        confusion = np.zeros((classes, classes), dtype=np.int64)
        np.add.at(confusion, (truth, probabilities.argmax(axis=1)), 1)
        bins = bins_of(probabilities)
        histograms = np.zeros((classes, 2, BINS), dtype=np.int64)
        for number in range(classes):
            np.add.at(histograms[number], ((truth == number).astype(np.int64), bins[:, number]), 1)
        return cls(patients, images, float(loss_sum), confusion, histograms)

    @property
    def loss(self) -> float:
        """Mean loss per image; NaN without images."""
        return self.loss_sum / self.images if self.images else float("nan")

    @property
    def accuracy(self) -> float:
        """Share of images whose most probable class is the true one; NaN without images."""
        return float(np.trace(self.confusion)) / self.images if self.images else float("nan")

    @property
    def balanced_accuracy(self) -> float:
        """The plain mean over the classes of the share of theirs that is found; NaN without images.

        A class without images is left out.
        """
        there = self.confusion.sum(axis=1)
        found = np.diag(self.confusion)[there > 0] / there[there > 0]
        return float(found.mean()) if len(found) else float("nan")

    @property
    def f1(self) -> float:
        """F1 of the most probable class: of class 1 of two, else the plain mean over the classes.

        Twice the right answers over the class's images and answers together. A class that is
        neither there nor answered is left out; NaN where none is left.
        """
        both = self.confusion.sum(axis=1) + self.confusion.sum(axis=0)
        right = 2 * np.diag(self.confusion)
        return _mean([right[c] / both[c] for c in self._columns if both[c]])

    @property
    def auroc(self) -> float:
        """Area under the ROC curve; with C > 2 the plain mean over classes, one against the rest.

        Images in the same bin count as ties (half), so the value differs from the unbinned one by
        at most half the share of mixed pairs within one bin. NaN when no class has both members
        and non-members.
        """
        return _mean([area_under_roc(*self.histograms[c]) for c in self._columns])

    @property
    def auprc(self) -> float:
        """Average precision, of the classes that `auroc` is of and NaN where that is."""
        return _mean([average_precision(*self.histograms[c]) for c in self._columns])

    @property
    def _columns(self) -> Iterable[int]:
        """Of two classes the second one is looked for; of more, each in turn."""
        return [1] if len(self.confusion) == 2 else range(len(self.confusion))

    def value(self, metric: str) -> float:
        """The metric by name, such as `auroc` or `loss`; NaN for one of other scores."""
        return float(getattr(self, metric, float("nan")))

    def summary(self) -> dict[str, float]:
        """The headline numbers."""
        return {name: self.value(name) for name in OF_CLASSES}

    def to_json(self) -> dict[str, Any]:
        """Plain lists and numbers; histograms as sparse [class, truth, bin, count] rows."""
        places = np.argwhere(self.histograms)
        sparse = [[*map(int, place), int(self.histograms[tuple(place)])] for place in places]
        return {
            "patients": self.patients,
            "images": self.images,
            "loss_sum": self.loss_sum,
            "confusion": self.confusion.tolist(),
            "bins": SCALE,
            "histograms": sparse,
        }

    @classmethod
    def from_json(cls, content: Any) -> Self:
        """The inverse of `to_json`; raises `ValueError` for whatever `to_json` cannot have said."""
        fields = (*cls.__dataclass_fields__, "bins")
        if not isinstance(content, dict) or content.keys() != {*fields}:
            raise ValueError(f"scores have the fields {', '.join(fields)}")
        if content["bins"] != SCALE:
            raise ValueError(f"scores are not counted in the bins {SCALE}")
        confusion = _square(content["confusion"])
        loss_sum = content["loss_sum"]
        if type(loss_sum) not in (int, float) or not -MOST_LOSS <= loss_sum <= MOST_LOSS:
            raise ValueError("loss_sum is no number that losses can add up to")
        scores = cls(
            _count(content["patients"]),
            _count(content["images"]),
            float(loss_sum),
            confusion,
            _dense(content["histograms"], len(confusion)),
        )
        scores._require_one_total()
        return scores

    def _require_one_total(self) -> None:
        """Each image stands once in the confusion matrix and once per class in a histogram."""
        truth = self.confusion.sum(axis=1)
        found = self.histograms.sum(axis=2)
        if truth.sum() != self.images:
            raise ValueError("the confusion matrix does not add up to the images")
        if (found[:, 1] != truth).any() or (found.sum(axis=1) != self.images).any():
            raise ValueError("the histograms do not add up to the confusion matrix")


def metrics_of(task_type: str) -> tuple[str, ...]:
    """The headline metrics of a task of that type, the most telling one first."""
    return OF_SURVIVAL if task_type == "survival" else OF_CLASSES


def pool(parts: Iterable[Scores]) -> Scores | None:
    """The scores of all images together; `None` when nobody reported.

    Raises `ValueError` when the parts do not count the same number of classes.
    """
    known = list(parts)
    if not known:
        return None
    if len({len(part.confusion) for part in known}) > 1:
        raise ValueError("scores over different numbers of classes cannot be pooled")
    return Scores(
        patients=sum(part.patients for part in known),
        images=sum(part.images for part in known),
        # fsum is exact, so the order of arrival does not show.
        loss_sum=math.fsum(part.loss_sum for part in known),
        confusion=np.sum([part.confusion for part in known], axis=0),
        histograms=np.sum([part.histograms for part in known], axis=0),
    )


AnyScores = Scores | SurvivalScores


def read_scores(content: Any) -> AnyScores:
    """Scores of either kind from their JSON; raises `ValueError` for anything else."""
    if isinstance(content, dict) and "concordant" in content:
        return SurvivalScores.from_json(content)
    return Scores.from_json(content)


def pool_any(parts: Iterable[AnyScores]) -> AnyScores | None:
    """`pool` for scores of either kind; raises `ValueError` for a mixture."""
    known = list(parts)
    survival = [one for one in known if isinstance(one, SurvivalScores)]
    if not survival:
        return pool(one for one in known if isinstance(one, Scores))
    if len(survival) < len(known):
        raise ValueError("scores of survival and of classes cannot be pooled")
    return pool_survival(survival)


def average(parts: Iterable[AnyScores]) -> dict[str, float]:
    """The plain mean over parties of each headline number, whatever their sizes.

    A party at which a number is undefined is left out of that mean; NaN where all are, or none is.
    """
    found = [part.summary() for part in parts]
    names = sorted({name for one in found for name in one})
    return {name: _mean([one[name] for one in found]) for name in names}


def _mean(values: list[float]) -> float:
    known = [value for value in values if math.isfinite(value)]
    # fsum is exact, so the order of the parties does not show.
    return math.fsum(known) / len(known) if known else float("nan")


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**53:
        raise ValueError("a count is no whole number of 0 or more")
    return value


def _square(rows: Any) -> Ints:
    """A list of C lists of C counts as an array; C is at least 1."""
    if not isinstance(rows, list) or not rows:
        raise ValueError("confusion is no list of rows")
    if any(not isinstance(row, list) or len(row) != len(rows) for row in rows):
        raise ValueError("confusion is not square")
    return np.array([[_count(value) for value in row] for row in rows], dtype=np.int64)


def _dense(rows: Any, classes: int) -> Ints:
    """Sparse [class, truth, bin, count] rows as the (C, 2, BINS) array that they stand for."""
    histograms = np.zeros((classes, 2, BINS), dtype=np.int64)
    if not isinstance(rows, list) or any(
        not isinstance(row, list) or len(row) != 4 for row in rows
    ):
        raise ValueError("histograms are no list of rows of four")
    for row in rows:
        *place, count = (_count(value) for value in row)
        if any(at >= size for at, size in zip(place, histograms.shape, strict=True)):
            raise ValueError("a histogram row lies outside")
        histograms[tuple(place)] += count
    return histograms
