"""What `auto` comes out as on which machine."""

import pytest

from fedcore.config.training import TrainingSection
from fedcore.errors import InputError
from fedcore.training.hardware import Hardware, hardware_for, this_machine


def test_a_gpu_that_is_demanded_and_missing_is_an_error():
    with pytest.raises(InputError, match=r"training\.device is 'cuda': no GPU"):
        hardware_for(TrainingSection(device="cuda"), gpu=False, cores=4)


@pytest.mark.parametrize(
    ("fields", "gpu", "wanted"),
    [
        ({}, False, Hardware("cpu", False, False, 2)),
        ({}, True, Hardware("cuda", True, True, 1)),
        ({"device": "cpu"}, True, Hardware("cpu", False, False, 2)),
        ({"precision": "bfloat16"}, False, Hardware("cpu", True, True, 2)),
        ({"precision": "float32"}, True, Hardware("cuda", False, False, 1)),
        ({"channels_last": "off", "threads": 3}, True, Hardware("cuda", True, False, 3)),
        ({"channels_last": "on", "threads": 7}, False, Hardware("cpu", False, True, 7)),
    ],
)
def test_auto_settings_follow_the_machine(fields, gpu, wanted):
    assert hardware_for(TrainingSection(**fields), gpu=gpu, cores=4) == wanted


def test_a_gpu_without_bfloat16_in_hardware_is_left_with_float32_unless_asked():
    def on(**fields):
        section = TrainingSection(**fields)
        return hardware_for(section, gpu=True, cores=4, gpu_bfloat16=False)

    assert on() == Hardware("cuda", False, False, 1)
    assert on(precision="bfloat16") == Hardware("cuda", True, True, 1)


def test_one_core_still_gives_one_thread():
    assert hardware_for(TrainingSection(), gpu=False, cores=1).threads == 1
    assert this_machine(TrainingSection(device="cpu")).threads >= 1
