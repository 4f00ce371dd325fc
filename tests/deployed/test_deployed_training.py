"""A training through Prefect's pools, with its servers going away in the middle of it."""

from __future__ import annotations

import os
import re
import signal
from uuid import UUID

import mlflow
import pytest
from command_story import until
from prefect.states import Cancelling
from rounds_story import task_file, write_pictures

from fedcore.config.pretrain import PretrainSection
from fedcore.exchange import codec
from fedcore.models.catalogue import build
from fedcore.models.state import to_params
from fedcore.params import digest
from fedcore.simulation import World, simulate

pytestmark = [pytest.mark.servers, pytest.mark.timeout(1800)]
LONG = 30


def ends(world, flow_run, limit: float = 600) -> str:
    """Wait for the flow run's end; the name of its state."""
    try:
        until(lambda: world.is_over(flow_run), "the end of the flow run", limit)
    except AssertionError as late:
        raise AssertionError(f"{late}\n{world.texts()}") from None
    return world.run(flow_run).state_name


@pytest.fixture(scope="module")
def trained(world, task) -> UUID:
    """The flow run of a training that went through."""
    flow_run = world.submit("federated-training/train", task_file=world.task_path(task), run="one")
    assert ends(world, flow_run) == "Completed", world.texts()
    return flow_run


def test_a_training_through_the_pools_has_the_bits_of_the_simulated_one(world, trained, simulated):
    end = world.finished("one")
    assert world.bits(end) == (digest(simulated.best), digest(simulated.final))


def test_prefect_and_mlflow_show_a_training_its_sessions_its_rounds_and_its_model(world, trained):
    runs = world.runs()
    assert runs["one"].id == trained
    for name in ("one · guest-1", "one · host-2"):
        assert ends(world, runs[name].id, 120) == "Completed"
    assert world.artifacts(trained) == [f"one-round-{number:03d}" for number in (1, 2, 3)]
    client = mlflow.MlflowClient(world.mlflow.uri, world.mlflow.uri)
    versions = client.search_model_versions("name = 'chest'")
    assert [one.tags["fedcore.run_id"] for one in versions].count("one") == 1


def test_without_prefect_and_mlflow_a_training_goes_on_and_they_are_told_once_afterwards(world):
    # So many that they go on while both servers are being stopped.
    longer, numbers = task_file(epochs=LONG), range(1, LONG + 1)
    flow_run = world.submit(
        "federated-training/train", task_file=longer.model_dump(mode="json"), run="two"
    )
    until(lambda: world.recorded("two", 1), "the first round", 600)
    world.prefect.stop()
    world.mlflow.stop()
    try:
        assert world.finished("two") is None
        until(lambda: world.finished("two") is not None, "the end of the training", 600)
    finally:
        world.prefect.start()
    until(lambda: "register model" in dict(world.tasks(flow_run)), "the outage's tasks", 60)
    assert not world.is_over(flow_run)
    world.mlflow.start()
    assert ends(world, flow_run) == "Completed", world.texts()
    assert world.run(flow_run).run_count == 1
    expected = {f"two-round-{number:03d}" for number in numbers}
    assert world.artifacts(flow_run) == sorted(expected)
    names = [name for name, _ in world.tasks(flow_run)]
    assert len(names) == len(set(names))
    steps = ("invite", "guest-1 · reply", "host-2 · reply", "combine", "record")
    assert {f"round-{number:03d} · {one}" for number in numbers for one in steps} <= set(names)
    assert "round-001 · track" in names
    # Prefect's recorder writes task runs down in batches, a little after their events.
    done = {"Completed"}
    until(lambda: {state for _, state in world.tasks(flow_run)} == done, "the last task runs", 240)
    session = world.runs()["two · host-2"].id
    assert ends(world, session, 60) == "Completed"
    trained = [name for name, _ in world.tasks(session) if name.endswith("· train")]
    assert trained == [f"round-{number:03d} · host-2 · train" for number in numbers]
    client = mlflow.MlflowClient(world.mlflow.uri, world.mlflow.uri)
    experiment = client.get_experiment_by_name("chest").experiment_id
    runs = client.search_runs([experiment], "tags.`fedcore.run_id` = 'two'")
    [parent] = [one for one in runs if "mlflow.parentRunId" not in one.data.tags]
    assert parent.info.status == "FINISHED"
    assert len(client.get_metric_history(parent.info.run_id, "federated/auroc")) == LONG


@pytest.mark.long
def test_a_training_starts_from_a_file_and_then_from_the_guests_own_public_images(world):
    public = write_pictures(world.home("1") / "public", patients=8, seed=5)
    start = world.folder / "start.safetensors"
    plain = task_file(epochs=1)
    start.write_bytes(codec.encode(to_params(build(plain.model, 77))))
    model = plain.model.model_copy(update={"weights": start.name})
    staged = {"model": model, "pretrain": PretrainSection(epochs=1)}
    task = plain.model_copy(update=staged)
    flow_run = world.submit(
        "federated-training/train", task_file=world.task_path(task), run="staged"
    )
    assert ends(world, flow_run) == "Completed", world.texts()
    alone = World(world.folder / "alone-staged")
    expected = simulate(task, world.data, alone, run="staged", weights=start, public=public)
    assert world.bits(world.finished("staged")) == (digest(expected.best), digest(expected.final))
    bare = simulate(plain, world.data, World(world.folder / "alone-bare"))
    assert digest(bare.final) != digest(expected.final)


@pytest.mark.long
def test_killed_sessions_and_a_killed_coordinator_go_on_in_the_same_flow_runs(world):
    longer = task_file(epochs=5)
    flow_run = world.submit(
        "federated-training/train", task_file=longer.model_dump(mode="json"), run="three"
    )
    until(lambda: world.recorded("three", 1), "the first round", 600)
    for name in ("coordinator", "1", "2"):
        for pid in world.processes(name):
            os.kill(pid, signal.SIGKILL)
    assert ends(world, flow_run) == "Completed", world.texts()
    assert world.run(flow_run).run_count == 2
    runs = world.runs()
    for name in ("three · guest-1", "three · host-2"):
        assert ends(world, runs[name].id, 120) == "Completed"
        assert runs[name].run_count <= 2


@pytest.mark.long
def test_of_two_machines_that_work_for_one_hospital_the_later_goes_on_and_the_other_says_so(world):
    """The first is frozen in mid-training and comes back when the second has taken over."""
    longer = task_file(epochs=6)
    flow_run = world.submit(
        "federated-training/train", task_file=longer.model_dump(mode="json"), run="five"
    )
    until(lambda: world.recorded("five", 1), "the first round", 600)
    frozen = [world.programs["2"].pid, *world.processes("2")]
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    try:
        world.start_copy("2", "2-again")
        until(lambda: world.finished("five") is not None, "the end of the training", 600)
    finally:
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)
    assert ends(world, flow_run) == "Completed", world.texts()
    assert ends(world, world.runs()["five · host-2"].id, 120) == "Completed"
    until(lambda: not world.processes("2"), "the end of the earlier session", 120)
    alone = simulate(longer, world.data, World(world.folder / "alone-five"), run="five")
    assert world.bits(world.finished("five")) == (digest(alone.best), digest(alone.final))
    assert "another process took this run over" in world.texts()


@pytest.mark.long
def test_a_cancelled_training_ends_its_sessions_and_goes_on_when_it_is_started_again(world):
    longer = task_file(epochs=5)
    order = {"task_file": longer.model_dump(mode="json"), "run": "four"}
    first = world.submit("federated-training/train", **order)
    until(lambda: world.recorded("four", 1), "the first round", 600)
    with world.settings():
        world.client.set_flow_run_state(first, Cancelling())
    assert ends(world, first, 120) == "Cancelled"
    for name in ("four · guest-1", "four · host-2"):
        assert ends(world, world.runs()[name].id, 120) == "Cancelled"
    assert world.finished("four") is None
    again = world.submit("federated-training/train", **order)
    assert ends(world, again) == "Completed", world.texts()


@pytest.mark.long
def test_a_retraining_starts_from_the_champion_and_makes_a_challenger(world, task, trained):
    flow_run = world.submit("retraining/weekly", task_file=task.model_dump(mode="json"))
    assert ends(world, flow_run) == "Completed", world.texts()
    name = world.run(flow_run).name
    assert re.fullmatch(r"chest-\d{8}-\d{4}", name)
    agreed = world.agreement(name).task["model"]["weights"]
    assert agreed.startswith(f"exchange:coordinator/{name}/start-")
    client = mlflow.MlflowClient(world.mlflow.uri, world.mlflow.uri)
    challenger = client.get_model_version_by_alias("chest", "challenger")
    assert challenger.tags["fedcore.run_id"] == name
    assert client.get_model_version_by_alias("chest", "champion").version != challenger.version
