"""The process that trains cells: what it cannot do is said, and its death costs one cell."""

from __future__ import annotations

import pytest
from comparison_story import comparison

from fedcore.comparison.workshop import Workshop
from flows.cell_child import CellFailed, Trainer


def test_a_process_that_dies_costs_one_cell_and_a_mistake_says_what_it_is(tmp_path):
    comparison().save(Workshop(tmp_path).state)
    trainer = Trainer(tmp_path, tmp_path / "trainings.log")
    heard: list[dict] = []
    try:
        with pytest.raises(
            CellFailed, match=r"no-cell-0: its process died .*trainings\.log"
        ) as dead:
            trainer.do("no-cell-0", heard.append)
        with pytest.raises(CellFailed, match="data: data/1: ") as mistaken:
            trainer.do("data", heard.append)
    finally:
        trainer.stop()
    assert (dead.value.exit_code, mistaken.value.exit_code) == (1, 2)
    assert "StopIteration" in (tmp_path / "trainings.log").read_text()
    assert heard == []
