"""A real worker at a real Prefect server: deaths, restarts, cancellations, refusals, outages."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from command_story import until
from prefect.states import Cancelling
from servers_prefect_again import PrefectServer
from worker_story import Pool, Worker, alive, marks, waits

pytestmark = pytest.mark.servers


def go(folder: Path, *numbers: int) -> None:
    """Let the steps of those numbers end."""
    for number in numbers:
        (folder / f"go-{number}").touch()


def reaches(folder: Path, step: int, times: int = 1) -> int:
    """Wait until a step has begun so often; the process that began it last."""
    begun = lambda: [one["pid"] for one in marks(folder) if one["step"] == step]  # noqa: E731
    until(lambda: len(begun()) >= times, f"step {step}", 60)
    return begun()[-1]


def test_a_flow_run_of_the_pool_is_run_as_the_workers_own_flow(pool: Pool, worker: Worker):
    deployment = pool.deploy("small")
    run = pool.submit(deployment, "first", run="chest-1")
    worker.start()
    go(worker.folder, 1, 2, 3)
    found = pool.becomes(run, "Completed")
    assert found.name == "chest-1"
    assert found.run_count == 1
    expected = [(f"step {number}", "Completed") for number in (1, 2, 3)]
    until(lambda: pool.tasks(run) == expected, "the task runs", 20)
    outbox = worker.folder / "prefect" / "outbox" / f"{run}.jsonl"
    until(lambda: not outbox.exists(), "the outbox to be empty", 20)


def test_what_the_server_names_as_code_and_command_is_never_run(pool: Pool, worker: Worker):
    bait = worker.folder / "bait"
    touch = f"touch {bait}"
    hostile = pool.deploy(
        "small",
        entrypoint=f"{bait}.py:small",
        path=str(worker.folder),
        pull_steps=[{"prefect.deployments.steps.run_shell_script": {"script": touch}}],
        job_variables={"command": touch, "env": {"BAIT": "1"}, "working_dir": str(bait)},
    )
    bait.with_suffix(".py").write_text(f"import os\nos.system({touch!r})\n")
    run = pool.submit(hostile, "bait", run="chest-1")
    worker.start()
    pid = reaches(worker.folder, 1)
    assert b"BAIT" not in Path(f"/proc/{pid}/environ").read_bytes()
    go(worker.folder, 1, 2, 3)
    pool.becomes(run, "Completed")
    assert not bait.exists()


@pytest.mark.parametrize(
    ("flow", "parameters", "said"),
    [
        ("other", {"run": "a"}, "this worker does not run the flow 'other'"),
        ("small", {"run": "../../etc"}, "parameter run is '../../etc': use up to 63 letters"),
        ("small", {"run": "a", "command": "touch x"}, "parameter command is 'given': leave it out"),
        ("small", {}, "parameter run is None"),
    ],
)
def test_what_is_not_served_or_does_not_fit_fails_with_a_sentence(
    pool: Pool, worker: Worker, flow, parameters, said
):
    deployment = pool.deploy(flow)
    run = pool.submit(deployment, "strange", **parameters)
    worker.start()
    refused = pool.becomes(run, "Refused")
    assert refused.state_type == "FAILED"
    assert said in refused.state.message
    assert not marks(worker.folder)


def test_a_flow_that_fails_is_failed_and_not_started_again(pool: Pool, worker: Worker):
    run = pool.submit(pool.deploy("broken"), "broken", run="a")
    worker.start()
    assert "no way, a" in pool.becomes(run, "Failed").state.message
    until(lambda: "Failed" in worker.said, "the worker's word", 10)
    assert pool.run(run).run_count == 1


def test_a_killed_process_is_started_again_in_the_same_flow_run(pool: Pool, worker: Worker):
    run = pool.submit(pool.deploy("small"), "killed", run="a")
    worker.start()
    first = reaches(worker.folder, 1)
    until(lambda: pool.tasks(run) == [("step 1", "Running")], "the step on Prefect's page", 60)
    os.kill(first, signal.SIGKILL)
    assert reaches(worker.folder, 1, times=2) != first
    go(worker.folder, 1, 2, 3)
    assert pool.becomes(run, "Completed").run_count == 2
    assert "its process died (signal 9)" in worker.said
    ended = [("step 1", "Completed"), ("step 1", "Crashed")]
    until(lambda: pool.tasks(run)[:2] == ended, "the dead step to be shown as such", 60)


def test_a_process_that_dies_without_getting_further_is_given_up(pool: Pool, worker: Worker):
    run = pool.submit(pool.deploy("small"), "dying", run="a")
    worker.environ["WORKER_PATIENCE"] = "1"
    worker.start()
    for times in (1, 2):
        os.kill(reaches(worker.folder, 1, times), signal.SIGKILL)
    crashed = pool.becomes(run, "Crashed")
    assert "died (signal 9) 2 times in a row without getting further" in crashed.state.message


def test_the_flow_ends_with_its_worker_and_the_next_one_goes_on_with_it(pool: Pool, worker: Worker):
    run = pool.submit(pool.deploy("small"), "left", run="a")
    worker.start()
    first = reaches(worker.folder, 1)
    worker.kill()
    until(lambda: not alive(first), "the end of the orphan", 10)
    assert pool.run(run).state_name == "Running"
    worker.start()
    reaches(worker.folder, 1, times=2)
    go(worker.folder, 1, 2, 3)
    pool.becomes(run, "Completed")


def test_a_stopped_worker_says_so_and_its_flow_goes_on_at_the_next_start(
    pool: Pool, worker: Worker
):
    run = pool.submit(pool.deploy("small"), "stopped", run="a")
    worker.start()
    first = reaches(worker.folder, 1)
    worker.end()
    assert not alive(first)
    assert "goes on when it starts again" in pool.becomes(run, "WorkerStopped").state.message
    worker.start()
    go(worker.folder, 1, 2, 3)
    pool.becomes(run, "Completed")


def test_a_second_worker_leaves_what_a_living_one_works_on(pool: Pool, worker: Worker):
    run = pool.submit(pool.deploy("small"), "mine", run="a")
    worker.start()
    reaches(worker.folder, 1)
    second = Worker(pool, worker.folder / "second", "machine-2")
    second.start()
    try:
        until(lambda: "serves pool" in second.said, "the second worker", 20)
        assert waits(4, lambda: "goes on" not in second.said)
    finally:
        second.end()
    go(worker.folder, 1, 2, 3)
    pool.becomes(run, "Completed")
    assert len({one["pid"] for one in marks(worker.folder)}) == 1


def test_a_person_who_cancels_ends_the_process_group_and_sees_cancelled(pool: Pool, worker: Worker):
    run = pool.submit(pool.deploy("small"), "unwanted", run="a")
    worker.start()
    pid = reaches(worker.folder, 1)
    with pool.settings():
        pool.client.set_flow_run_state(run, Cancelling())
    cancelled = pool.becomes(run, "Cancelled")
    assert cancelled.state.message == "cancelled by a person"
    assert not alive(pid)
    assert waits(3, lambda: pool.run(run).state_name == "Cancelled")


def test_one_flow_run_at_a_time(pool: Pool, worker: Worker):
    deployment = pool.deploy("small")
    runs = [pool.submit(deployment, name, run=name) for name in ("a", "b")]
    worker.start()
    reaches(worker.folder, 1)
    assert waits(4, lambda: len(marks(worker.folder)) == 1)
    go(worker.folder, 1, 2, 3)
    for run in runs:
        pool.becomes(run, "Completed")


def test_without_prefect_a_flow_goes_on_and_all_of_it_is_told_once_afterwards(
    prefect_server: PrefectServer, pool: Pool, worker: Worker
):
    run = pool.submit(pool.deploy("small"), "outage", run="a")
    worker.start()
    reaches(worker.folder, 1)
    prefect_server.stop()
    try:
        until(lambda: "cannot be reached" in worker.said, "a word on it", 30)
        go(worker.folder, 1, 2, 3)
        reaches(worker.folder, 3)
        assert waits(6, lambda: worker.process is not None and worker.process.poll() is None)
    finally:
        prefect_server.start()
    found = pool.becomes(run, "Completed")
    assert found.run_count == 1
    expected = [(f"step {number}", "Completed") for number in (1, 2, 3)]
    until(lambda: pool.tasks(run) == expected, "the task runs of the outage", 30)
    until(lambda: "Prefect answers again" in worker.said, "the worker to notice", 20)
