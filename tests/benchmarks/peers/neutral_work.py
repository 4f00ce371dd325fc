"""What stands in the place of training and scoring in a party of fedcore's, and nothing else.

The rest of a training around it is real: invitations, updates and scores, signed, hashed, checked,
written once, in everybody's ledger.
"""

from __future__ import annotations

import numpy as np
from neutral import perturbed

from fedcore.metrics import Scores
from fedcore.training.carried import Carried
from fedcore.training.local import TrainResult

IMAGES = 10
METRICS = {"loss": 0.5, "accuracy": 0.75}


def trained_at_once(network: object, start: dict, *_: object, **__: object) -> TrainResult:
    """In the place of the loop over batches."""
    return TrainResult(perturbed(start), METRICS, steps=1, images=IMAGES, carried=Carried())


def scored_at_once(*_: object) -> Scores:
    """In the place of a pass over the images."""
    return Scores.of(np.full((IMAGES, 2), 0.5), np.arange(IMAGES) % 2, 5.0, IMAGES)
