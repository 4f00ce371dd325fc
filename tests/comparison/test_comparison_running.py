"""The work of a comparison without Prefect: what is read once, what a kill leaves."""

from __future__ import annotations

import pytest
from comparison_story import comparison
from comparison_story import result as cell_result
from modality_story import crossmodal
from rounds_story import hospitals, task_file, write_pictures

from fedcore.comparison import result
from fedcore.comparison.plan import arms_of
from fedcore.comparison.running import prepare, run_cell
from fedcore.comparison.workshop import PUBLIC, Workshop, data_hash
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


def test_a_cell_keeps_what_personal_models_are_worth_in_each_round_and_at_the_end(place):
    first, workshop = place
    one = comparison("ditto:epochs=1", seeds=1, baselines=False, parties=first.parties)
    done = run_cell(one, one.cells()[0], workshop, lambda _: None)
    assert done.personal.keys() == done.tests.keys() == {"1", "2"}
    assert done.personal != done.tests
    assert done.rounds[0].personal["loss"] != done.rounds[0].values["loss"]
    assert result.found(workshop.output, one)[done.cell.name] == done


def test_each_modality_has_its_cells_and_another_ones_test_is_unknown(place, tmp_path):
    first, workshop = place
    task = crossmodal(epochs=1)
    modalities = {"1": "ct", "2": "xray"}
    arms = arms_of(content_of(task), "fedavg")
    one = first.model_copy(
        update={"task": task, "arms": arms, "baselines": True, "modalities": modalities}
    )
    prepare(one, workshop, silent)
    done = [run_cell(one, cell, workshop, lambda _: None) for cell in one.cells()]
    assert [one.cell.label for one in done][1:] == [
        "local-only at 1, seed 0",
        "local-only at 2, seed 0",
    ]
    assert [{party for party, scores in one.tests.items() if scores} for one in done] == [
        {"1", "2"},
        {"1"},
        {"2"},
    ]


def test_every_cell_begins_with_the_stage_on_public_images_which_may_not_change(place, tmp_path):
    first, workshop = place
    content = content_of(task_file(epochs=1))
    content["pretrain"] = {"epochs": 1}
    arms = arms_of(content, "fedavg")
    public = write_pictures(tmp_path / "public", patients=8, seed=5)
    changed = {"task": arms[0].task, "arms": arms, "baselines": True, "public": str(public)}
    one = first.model_copy(update=changed)
    found = prepare(one, workshop, silent)
    assert (found[PUBLIC]["images"], found[PUBLIC]["test_images"]) == (8, 0)
    before = data_hash(workshop)
    told = [run_cell(one, cell, workshop, lambda _: None).tests for cell in one.cells()]
    plain = one.model_copy(update={"task": task_file(epochs=1), "public": None})
    plain = plain.model_copy(update={"arms": arms_of(content_of(plain.task), "fedavg")})
    other = Workshop(tmp_path / "plain")
    bare = [run_cell(plain, cell, other, lambda _: None).tests for cell in plain.cells()]
    assert all(a != b for a, b in zip(told, bare, strict=True))
    assert len(told) == 4
    next((public / "NORMAL").glob("*.png")).unlink()
    with pytest.raises(RunMismatch, match="the public images changed"):
        prepare(one, workshop, silent)
    assert data_hash(workshop) == before


def content_of(task):
    return task.model_dump(mode="json", exclude_unset=True)
