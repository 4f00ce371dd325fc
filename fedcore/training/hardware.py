"""On what a party computes: device, precision, memory layout and threads."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, ParamSpec, TypeVar

import torch

from fedcore.config.training import TrainingSection
from fedcore.errors import InputError, problem

Given = ParamSpec("Given")
Found = TypeVar("Found")


@dataclass(frozen=True)
class Hardware:
    """What the `auto` settings of the task file came out as on one machine."""

    device: Literal["cpu", "cuda"] = "cpu"
    bfloat16: bool = False
    channels_last: bool = False
    threads: int = 1

    @property
    def layout(self) -> torch.memory_format:
        """The memory layout of images and kernels in training."""
        return torch.channels_last if self.channels_last else torch.contiguous_format


def hardware_for(
    section: TrainingSection, *, gpu: bool, cores: int, gpu_bfloat16: bool = True
) -> Hardware:
    """Resolve the `auto` settings for a machine with or without a GPU and with `cores` cores.

    Without a GPU, bfloat16 is left to whoever asks for it: it is faster only on processors that
    have it in hardware; and so it is with a GPU that has not (`gpu_bfloat16`: those before NVIDIA's
    Ampere). Raises `InputError` when a GPU is demanded and there is none.
    """
    if section.device == "cuda" and not gpu:
        raise InputError(
            problem("the task file", "training.device", "cuda", "no GPU is usable here; write auto")
        )
    on_gpu = gpu and section.device != "cpu"
    bfloat16 = section.precision == "bfloat16" or (
        section.precision == "auto" and on_gpu and gpu_bfloat16
    )
    channels_last = section.channels_last == "on" or (section.channels_last == "auto" and bfloat16)
    # Logical cores come in pairs that share one floating-point unit. Beside a GPU they only copy
    # batches, and several threads take longer to agree than one takes to copy.
    threads = section.threads or (1 if on_gpu else max(1, cores // 2))
    return Hardware("cuda" if on_gpu else "cpu", bfloat16, channels_last, threads)


def this_machine(section: TrainingSection) -> Hardware:
    """Resolve the `auto` settings for the machine that this process runs on."""
    gpu = torch.cuda.is_available()
    # The question begins to use the GPU, so it is left out where nothing hangs on it.
    hangs = gpu and section.device != "cpu" and section.precision == "auto"
    fast = hangs and torch.cuda.is_bf16_supported(including_emulation=False)
    cores = os.cpu_count() or 1
    return hardware_for(section, gpu=gpu, cores=cores, gpu_bfloat16=fast)


def named(hardware: Hardware) -> str:
    """All that the bits of a training hang on of a machine, the kind of its GPU included."""
    card = torch.cuda.get_device_name() if hardware.device == "cuda" else "no GPU"
    return f"{hardware!r} {card}"


def gives_back(act: Callable[Given, Found]) -> Callable[Given, Found]:
    """`act`, after which the GPU memory that it no longer uses is everybody's again.

    torch keeps such memory for its process; a session waits for hours between its rounds, and
    others may want to use the same GPU.
    """

    @functools.wraps(act)
    def acted(*given: Given.args, **named: Given.kwargs) -> Found:
        try:
            return act(*given, **named)
        finally:
            torch.cuda.empty_cache()

    return acted
