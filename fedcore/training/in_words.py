"""What torch says at length and a person can act on, in one sentence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from fedcore.config.base import BatchSize
from fedcore.errors import TrainingFailed, problem

# How the CUDA libraries say that the card's memory is full, where torch does not say it for them.
FULL = ("CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED")
FULL_FOR_ALL = (
    "this machine's GPU: its memory is full: end what else uses it (nvidia-smi names it), or hide "
    "the GPU with CUDA_VISIBLE_DEVICES=-1 to compute without"
)
ONE_IMAGE = (
    "the task file: federation.batch_size leaves a batch of one image, from which this "
    "network's BatchNorm cannot learn: use batches and training sets of 2 images or more, "
    "and leave training.join_single at true or write training.drop_last: true"
)


@contextmanager
def in_words(size: BatchSize | None = None) -> Iterator[None]:
    """`TrainingFailed` for a GPU without memory left, or a batch that BatchNorm cannot learn from.

    `size` is the task file's batch size, where the memory hangs on it.
    """
    try:
        yield
    except RuntimeError as fault:
        if not _is_full(fault):
            raise
        raise TrainingFailed(FULL_FOR_ALL if size is None else _too_large(size)) from None
    except ValueError as fault:
        if "more than 1 value per channel" not in str(fault):
            raise
        raise TrainingFailed(ONE_IMAGE) from None


def _is_full(fault: RuntimeError) -> bool:
    return isinstance(fault, torch.OutOfMemoryError) or any(one in str(fault) for one in FULL)


def _too_large(size: BatchSize) -> str:
    remedy = "too large for the memory of this GPU, or of what others leave of it: lower it"
    return problem("the task file", "federation.batch_size", size, remedy)
