"""`fedcore demo` up to the training: its files, its hospitals, and when it goes on or afresh."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from fedcore.config import load_task_file
from fedcore.data.phantom_looks import LOOKS
from flows import demo, launch
from tasks.seat import Seat


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A demo folder whose hospitals stand already."""
    folder = tmp_path_factory.mktemp("demo")
    for party in LOOKS:
        (folder / "hospitals-seed-0" / party).mkdir(parents=True)
    return folder


@pytest.fixture
def demo_folder(folder: Path, tmp_path: Path) -> Path:
    (tmp_path / "hospitals-seed-0").symlink_to(folder / "hospitals-seed-0")
    return tmp_path


def prepare(folder: Path, environ: dict[str, str] | None = None, **wish) -> launch.Order:
    return demo.prepare(demo.Wish(folder, **wish), lambda _: None, environ or {})


def test_the_task_is_small_has_five_rounds_or_more_and_the_published_strategy():
    task = load_task_file(demo.template("demo_task.yaml"))
    assert task.federation.epochs >= 5
    assert task.federation.strategy == "fedavg"
    assert task.model.input_size[0] == 1
    assert max(task.model.input_size) <= 64
    assert demo.PATIENTS * task.data.test * len(LOOKS) >= 40


def test_all_three_hospitals_and_the_coordinator_sit_here(demo_folder):
    plan = launch.plan(prepare(demo_folder))
    assert plan.coordinator is not None
    assert sorted(seat.owner for seat in plan.parties) == sorted(LOOKS)
    assert plan.exchange.kind == "folder"
    assert all(Path(seat.data or "").name == seat.owner for seat in plan.parties)


def test_rounds_and_seed_go_into_the_task_file_that_is_written(demo_folder):
    order = prepare(demo_folder, rounds=9)
    written = load_task_file(order.task_path)
    assert written == order.task
    assert (written.federation.epochs, written.seed) == (9, 0)
    assert demo.task_of(demo.Wish(demo_folder, seed=7)).seed == 7


def test_what_was_interrupted_goes_on_under_the_same_run(demo_folder):
    first, second = prepare(demo_folder), prepare(demo_folder)
    assert second.output == first.output
    assert launch.plan(second).run == launch.plan(first).run


def test_what_was_finished_stays_and_the_next_has_a_run_of_its_own(demo_folder):
    first = prepare(demo_folder)
    (first.output / demo.FINISHED).touch()
    second = prepare(demo_folder)
    assert second.output != first.output
    assert launch.plan(second).run != launch.plan(first).run
    (second.output / demo.FINISHED).touch()
    assert prepare(demo_folder).output.name == "training-3"


def test_another_wish_does_not_go_on_with_an_interrupted_training(demo_folder):
    assert prepare(demo_folder).output != prepare(demo_folder, rounds=8).output


def test_mlflow_keeps_its_store_in_the_folder_unless_it_is_set_up(demo_folder):
    assert prepare(demo_folder).tracking_uri == f"sqlite:///{demo_folder}/mlflow.db"
    environ = {"MLFLOW_TRACKING_URI": "http://localhost:5000"}
    assert prepare(demo_folder, environ).tracking_uri == "http://localhost:5000"


def test_the_story_is_told_in_three_lines(demo_folder):
    lines: list[str] = []
    demo.prepare(demo.Wish(demo_folder), lines.append, {})
    assert len(lines) == 3
    assert "training-1 begins" in lines[2]
    lines.clear()
    demo.prepare(demo.Wish(demo_folder), lines.append, {})
    assert "training-1 goes on" in lines[2]


def test_hospitals_that_were_half_written_are_written_again(tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "PATIENTS", 4)
    half = tmp_path / ".hospitals-seed-3.part" / "9999"
    half.mkdir(parents=True)
    (half / "left.dcm").touch()
    lines: list[str] = []
    folder = demo.write_hospitals(tmp_path / "hospitals-seed-3", 3, lines.append)
    assert sorted(path.name for path in folder.iterdir()) == sorted(LOOKS)
    assert not list(folder.rglob("left.dcm"))
    assert not half.exists()
    assert len(lines) == 3
    assert demo.write_hospitals(folder, 3, lines.append) == folder
    assert len(lines) == 3


def test_seats_of_the_demo_can_be_saved(demo_folder):
    plan = launch.plan(prepare(demo_folder))
    assert Seat.load(plan.parties[0].save()) == plan.parties[0]


def test_the_last_lines_can_be_typed_without_an_activated_environment(demo_folder):
    beside = Path(sys.executable).parent / "fedcore"
    lines = demo.look_further(prepare(demo_folder))
    programs = [line.split()[1] for line in lines]
    assert programs == [programs[0]] * 2
    assert not beside.exists() or Path(programs[0]).resolve() == beside.resolve()
