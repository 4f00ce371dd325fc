"""The work of a comparison without Prefect: what is read once, what a kill leaves."""

from __future__ import annotations

import pytest
from comparison_story import comparison
from comparison_story import result as cell_result
from rounds_story import hospitals, write_pictures

from fedcore.comparison import result
from fedcore.comparison.running import prepare, run_cell
from fedcore.comparison.workshop import Workshop, data_hash
from fedcore.errors import RunMismatch


@pytest.fixture
def place(tmp_path):
    """A comparison of one cell, and its workshop."""
    folders = hospitals(tmp_path / "data")
    parties = {party: str(folder) for party, folder in folders.items()}
    one = comparison("fedavg", seeds=1, baselines=False, parties=parties)
    return one, Workshop(tmp_path / "out")


def silent(_party):
    return lambda _done, _total: None


def test_a_cell_that_was_killed_goes_on_with_its_round_and_has_the_same_scores(place):
    one, workshop = place
    (cell,) = one.cells()
    prepare(one, workshop, silent)

    def die(record):
        if record.round == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_cell(one, cell, workshop, die)
    assert not result.found(workshop.output, one)
    heard = []
    done = run_cell(one, cell, workshop, heard.append)
    assert [record.round for record in heard] == [2]
    assert [one.number for one in done.rounds] == [1, 2]
    whole = run_cell(one, cell, Workshop(workshop.output.parent / "whole"), heard.append)
    assert done.tests == whole.tests
    assert not workshop.bench(cell).exists()


def test_what_a_kill_left_of_a_finished_cell_is_removed(place):
    one, workshop = place
    (cell,) = one.cells()
    run_cell(one, cell, workshop, lambda _: None)
    workshop.bench(cell).mkdir(parents=True)
    prepare(one, workshop, silent)
    assert not workshop.bench(cell).exists()


def test_files_that_come_later_are_left_out_and_changed_data_is_refused(place, tmp_path):
    one, workshop = place
    first = prepare(one, workshop, silent)
    before = data_hash(workshop)
    write_pictures(tmp_path / "data" / "1", patients=3, seed=9)
    assert prepare(one, workshop, silent) == first
    assert data_hash(workshop) == before
    next((tmp_path / "data" / "1" / "NORMAL").glob("patient0x*")).unlink()
    with pytest.raises(RunMismatch, match="party 1: its data changed"):
        prepare(one, workshop, silent)


def test_a_cell_whose_scores_are_counted_in_other_bins_is_not_mixed_with_the_new_ones(tmp_path):
    one = comparison("fedavg", seeds=1, baselines=False)
    older = cell_result("fedavg", 0, {"1": 5})
    tests = {"1": {**older.tests["1"], "bins": "equal-400"}}
    result.keep(tmp_path, older.model_copy(update={"tests": tests}))
    with pytest.raises(RunMismatch, match=r"fedavg-0\.json.*choose another --output"):
        result.found(tmp_path, one)
