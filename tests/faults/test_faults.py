"""A sample of the fault matrix; `python tests/faults/matrix.py` plays all of it.

One hub and two hospitals for all of the sample: a new training per fault.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fault_kinds import Fault
from matrix import all_faults
from stage import Stage, play, stage

pytestmark = [pytest.mark.servers, pytest.mark.timeout(600)]
SAMPLE = (
    "kill -9: coordinator's flow, while combining",
    "kill -9: party session, between update and reply",
    "kill -9: exchange, while uploading",
    "exchange answers: 503 SlowDown, three times, to west",
)
BY_TITLE = {one.title: one for one in all_faults()}


@pytest.fixture(scope="module")
def on(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("faults")) as ready:
        yield ready


@pytest.mark.parametrize("fault", [BY_TITLE[title] for title in SAMPLE], ids=lambda one: one.title)
def test_a_struck_training_ends_with_the_same_bits(on: Stage, fault: Fault) -> None:
    outcome = play(on, fault.title, fault.act)
    assert outcome.survived, outcome.happened
    assert outcome.lost == 0
