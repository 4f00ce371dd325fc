"""Same task, data and seed, same bits: what torch has to be told, and untold afterwards.

On a GPU, cuBLAS is reproducible only with a fixed workspace; the variable CUBLAS_WORKSPACE_CONFIG
must be set before its first use in the process, which is done here where nobody did. Operations
without a reproducible implementation there (the backward pass of adaptive pooling to more than one
value, as in VGG) make torch warn and go on.

In float32 a GPU convolves as torch does by default, in TensorFloat-32 (10 bits after the point),
unless it is asked to be exact.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch.utils import deterministic

from fedcore.training.hardware import Hardware

WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"
# A property of the module that torch's type stubs do not know.
FILL = "fill_uninitialized_memory"


def derive_seed(seed: int, *parts: str | int) -> int:
    """A 63-bit seed for one purpose; the same in every process and on every machine."""
    text = "|".join([str(seed), *map(str, parts)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


@contextmanager
def reproducible(seed: int, hardware: Hardware, *, exact: bool = False) -> Iterator[None]:
    """Seeded and deterministic inside; outside, all of torch's settings and random states stay.

    With `exact`, float32 has all its bits on a GPU, too.
    """
    devices = [torch.cuda.current_device()] if hardware.device == "cuda" else []
    with ExitStack() as stack:
        for restore in _current_settings(hardware):
            stack.callback(restore)
        stack.enter_context(torch.random.fork_rng(devices=devices))
        _settle(hardware, exact)
        torch.default_generator.manual_seed(seed)
        if devices:
            torch.cuda.manual_seed(seed)
        yield


def _settle(hardware: Hardware, exact: bool) -> None:
    on_gpu = hardware.device == "cuda"
    if on_gpu:
        os.environ.setdefault(WORKSPACE, ":4096:8")
        torch.backends.cudnn.allow_tf32 = not exact
    torch.use_deterministic_algorithms(True, warn_only=on_gpu)
    # Filling fresh memory finds reads of uninitialised values; here it would only cost time.
    setattr(deterministic, FILL, False)
    torch.backends.cudnn.benchmark = False
    torch.set_float32_matmul_precision("highest")
    torch.set_num_threads(hardware.threads)


def _current_settings(hardware: Hardware) -> list[Callable[[], object]]:
    """One call for each setting that puts it back as it is now."""
    on = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    fill = getattr(deterministic, FILL)
    benchmark = torch.backends.cudnn.benchmark
    precision = torch.get_float32_matmul_precision()
    threads = torch.get_num_threads()
    return [
        *_gpu_settings(hardware),
        lambda: torch.use_deterministic_algorithms(on, warn_only=warn_only),
        lambda: setattr(deterministic, FILL, fill),
        lambda: setattr(torch.backends.cudnn, "benchmark", benchmark),
        lambda: torch.set_float32_matmul_precision(precision),
        lambda: torch.set_num_threads(threads),
    ]


def _gpu_settings(hardware: Hardware) -> list[Callable[[], object]]:
    if hardware.device == "cpu":
        return []
    coarse = torch.backends.cudnn.allow_tf32
    return [lambda: setattr(torch.backends.cudnn, "allow_tf32", coarse)]
