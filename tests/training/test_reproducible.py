"""Inside: deterministic. Outside: nothing of torch's state has changed."""

import pytest
import torch

from fedcore.training.hardware import Hardware
from fedcore.training.reproducible import reproducible


def settings():
    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.utils.deterministic.fill_uninitialized_memory,
        torch.backends.cudnn.benchmark,
        torch.get_float32_matmul_precision(),
        torch.get_num_threads(),
        torch.get_rng_state().tolist(),
    )


def work_and_fail(hardware):
    with reproducible(1, hardware):
        torch.rand(3)
        raise KeyError


def test_settings_and_random_state_come_back_even_after_an_error():
    before = settings()
    with pytest.raises(KeyError):
        work_and_fail(Hardware(threads=2))
    assert settings() == before


def test_inside_it_is_deterministic_with_the_threads_asked_for():
    with reproducible(1, Hardware(threads=2)):
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.get_num_threads() == 2
        first = torch.rand(3)
    torch.rand(5)
    with reproducible(1, Hardware()):
        assert torch.equal(torch.rand(3), first)
