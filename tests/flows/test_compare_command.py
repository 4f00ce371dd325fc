"""`fedcore compare` as typed: stopped, killed, gone on with, and what lies there in the end."""

from __future__ import annotations

import csv
import json
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml
from command_story import ROOT, Site, tree, until
from mlflow import MlflowClient
from rounds_story import hospitals, task_file

from fedcore.metrics import OF_CLASSES
from fedcore.simulation import World, simulate

pytestmark = [pytest.mark.servers, pytest.mark.timeout(900)]
# A cell takes long enough to be stopped in its midst, on fast machines too.
TASK = task_file(epochs=2, local_epochs=150)
WORDS = ("--strategies", "fedavg,fedprox:mu=1", "--seeds", "2")
ARMS = ("fedavg", "fedprox:mu=1", "local-only", "pooled")


class Command(Site):
    """`fedcore compare` in a folder with a task file and two hospitals."""

    program = (sys.executable, "-m", "flows.cli", "compare")

    def cells(self) -> dict[str, bytes]:
        return {path.stem: path.read_bytes() for path in self.output.glob("cells/*.json")}


@dataclass
class Story:
    """What was seen on the way: cells after Ctrl-C, cells before the kill, processes after it."""

    command: Command
    codes: list[int] = field(default_factory=list)
    stopped: dict[str, bytes] = field(default_factory=dict)
    killed: dict[str, bytes] = field(default_factory=dict)
    left: set[int] = field(default_factory=set)


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    """The command is stopped after its first cell, killed after another, and then ends."""
    folder = tmp_path_factory.mktemp("compare")
    hospitals(folder / "data")
    (folder / "task.yaml").write_text(yaml.safe_dump(TASK.model_dump(mode="json")))
    told = Story(Command(folder, ["task.yaml", "--data", "data", *WORDS]))
    command = told.command
    command.start()
    try:
        until(lambda: len(command.cells()) > 0, "the first cell")
        command.process.send_signal(signal.SIGINT)
        told.codes.append(command.wait())
        told.stopped = command.cells()
        command.start()
        until(lambda: len(command.cells()) > len(told.stopped), "another cell")
        before = tree(command.process.pid)
        command.kill()
        told.killed = command.cells()
        until(lambda: not _alive(before), "the end of all that was started")
        command.start()
        told.codes.append(command.wait(600))
    finally:
        command.end()
    return told


def _alive(pids: set[int]) -> set[int]:
    return {pid for pid in pids if Path(f"/proc/{pid}/cmdline").exists() and _named(pid)}


def _named(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_ctrl_c_says_how_to_go_on_and_the_same_command_goes_on_to_the_end(story):
    assert story.codes == [130, 0], story.command.printed
    assert "finished trainings are kept: run the same command again" in story.command.printed
    assert "Traceback" not in story.command.printed


def test_finished_cells_are_not_trained_again(story):
    after = story.command.cells()
    assert len(after) == 10
    assert story.stopped
    assert len(story.killed) > len(story.stopped)
    assert story.stopped.items() <= story.killed.items() <= after.items()
    done = [line for line in story.command.printed.splitlines() if " of 10: " in line]
    assert max(Counter(line.split(": ")[1] for line in done).values()) == 1
    assert f"{len(story.killed)} of them finished before" in story.command.printed
    assert not list(story.command.output.glob(".fedcore/work/*"))


def test_a_cell_has_the_scores_of_the_simulation(story, tmp_path):
    data = {party: story.command.folder / "data" / party for party in ("1", "2")}
    outcome = simulate(TASK.model_copy(update={"seed": 1}), data, World(tmp_path))
    cell = json.loads(story.command.cells()["fedavg-1"])
    assert cell["tests"] == outcome.end.scores["best"]
    assert [one["values"]["loss"] for one in cell["rounds"]] == [
        record.loss for record in outcome.records
    ]


def test_the_table_has_every_arm_over_both_seeds(story):
    output = story.command.output
    rows = list(csv.DictReader((output / "comparison.csv").open()))
    assert {(row["strategy"], row["metric"]) for row in rows} == {
        (arm, metric) for arm in ARMS for metric in OF_CLASSES
    }
    assert {row["seeds"] for row in rows} == {"2"}
    assert all(row[f"{where}_std"] for row in rows for where in ("1", "2", "average", "pooled"))
    assert (output / "comparison.png").read_bytes().startswith(b"\x89PNG")
    assert "10 of 10 trainings" in (output / "comparison.html").read_text()
    printed = story.command.printed
    assert all(f"\n{arm} " in printed for arm in ARMS)
    assert "out/comparison.md" in printed
    assert "mlflow ui --backend-store-uri sqlite:///" in printed


def test_mlflow_has_one_parent_and_a_run_per_cell_with_each_number_once(story):
    client = MlflowClient(f"sqlite:///{story.command.folder / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("chest")
    runs = client.search_runs([experiment.experiment_id])
    nested = [run for run in runs if "mlflow.parentRunId" in run.data.tags]
    (parent,) = [run for run in runs if run not in nested]
    assert {run.data.tags["fedcore.cell"] for run in nested} == story.command.cells().keys()
    assert {run.info.status for run in runs} == {"FINISHED"}
    for run in nested:
        steps = [one.step for one in client.get_metric_history(run.info.run_id, "federated/loss")]
        assert steps == [1, 2]
    files = {one.path for one in client.list_artifacts(parent.info.run_id)}
    assert files >= {"comparison.md", "comparison.csv", "comparison.html", "comparison.png"}


def test_prefect_has_one_flow_and_a_task_per_cell(story):
    with sqlite3.connect(next(story.command.folder.glob("prefect/prefect.db"))) as database:
        flows = {name for (name,) in database.execute("select name from flow_run")}
        tasks = {name for (name,) in database.execute("select name from task_run")}
    (flow,) = flows
    assert flow.startswith("compare-chest-")
    wanted = {f"{arm}, seed {seed}" for arm in ("fedavg", "pooled") for seed in (0, 1)}
    assert {"read the data", "table and plot", "local-only at 2, seed 1", *wanted} <= tasks


def typed(folder: Path, *words: str) -> tuple[int, str]:
    """The command with these words; how it ended, and its standard error."""
    done = subprocess.run(
        [*Command.program, *words, "--output", str(folder / "out")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr


def test_mistakes_are_one_sentence_and_train_nothing(story, tmp_path):
    task = str(story.command.folder / "task.yaml")
    data = str(story.command.folder / "data")
    mistakes = {
        "did you mean 'fedavg'": (task, "--data", data, "--strategies", "fedavgg"),
        "there is no such folder": (task, "--data", str(tmp_path / "none")),
    }
    for words, line in mistakes.items():
        code, said = typed(tmp_path, *line)
        assert code == 2
        assert words in said
        assert len(said.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_another_task_file_in_the_same_folder_is_refused(story):
    folder = story.command.folder
    code, said = typed(
        folder, str(folder / "task.yaml"), "--data", str(folder / "data"), "--set", "seed=5"
    )
    assert code == 2
    assert "choose another --output" in said
