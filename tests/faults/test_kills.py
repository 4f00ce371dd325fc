"""A sample of the kills; `python tests/faults/kill_table.py` does all of them."""

from __future__ import annotations

import pytest
from faults_kills import MOMENTS, kill_and_go_on
from rounds_story import hospitals, task_file

from fedcore.params import digest
from fedcore.simulation import World, simulate

pytestmark = pytest.mark.servers
SAMPLE = list(zip(("guest", "host", "both"), list(MOMENTS)[1:4], strict=True))


@pytest.mark.parametrize(("who", "moment"), SAMPLE)
def test_a_killed_training_goes_on_to_the_same_bits(who, moment, tmp_path, prefect_api) -> None:
    task, data = task_file(epochs=3), hospitals(tmp_path / "data")
    whole = simulate(task, data, World(tmp_path / "whole"))
    expected = digest(whole.best), digest(whole.final)
    outcome = kill_and_go_on(
        tmp_path, task, data, expected, who, moment, PREFECT_API_URL=prefect_api
    )
    assert outcome.same_bits
