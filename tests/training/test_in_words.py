"""What torch says at length, in one sentence; and everything else as it is."""

from __future__ import annotations

import pytest
import torch

from fedcore.errors import TrainingFailed
from fedcore.models.state import to_params
from fedcore.training import evaluation, gradient, local
from fedcore.training.in_words import in_words

SAID = "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of ..."


@pytest.mark.parametrize(
    "fault",
    [
        torch.OutOfMemoryError(SAID),
        RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be ..."),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
)
@pytest.mark.parametrize(
    ("size", "sentence"),
    [
        (64, "the task file: federation.batch_size is 64: too large for the memory of this GPU"),
        ("full", "the task file: federation.batch_size is 'full': too large for the memory"),
        (None, "this machine's GPU: its memory is full: end what else uses it"),
    ],
)
def test_a_gpu_without_memory_left_is_one_sentence(fault, size, sentence):
    with pytest.raises(TrainingFailed) as told, in_words(size):
        raise fault
    assert str(told.value).startswith(sentence)
    assert "\n" not in str(told.value)
    assert told.value.__suppress_context__


@pytest.mark.parametrize("fault", [RuntimeError("size mismatch"), ValueError("odd"), KeyError("a")])
def test_other_faults_stay_what_they_are(fault):
    with pytest.raises(type(fault)) as raised, in_words(8):
        raise fault
    assert raised.value is fault


@pytest.mark.parametrize("room", [local, evaluation, gradient])
def test_memory_may_run_out_as_early_as_when_the_network_is_moved(
    make_task, make_images, make_network, cpu, monkeypatch, room
):
    def full(*_):
        raise torch.OutOfMemoryError(SAID)

    monkeypatch.setattr(room, "lay_out", full)
    task, images, network = make_task(), make_images(), make_network(make_task())
    start = to_params(network)
    acts = {
        local: lambda: local.train_round(
            network, start, images, task, party_id="1", number=1, hardware=cpu
        ),
        evaluation: lambda: evaluation.evaluate(network, start, images, task, hardware=cpu),
        gradient: lambda: gradient.mean_gradient(network, start, images, task, hardware=cpu),
    }
    with pytest.raises(TrainingFailed, match="memory"):
        acts[room]()
