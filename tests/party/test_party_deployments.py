"""`deployments/prefect.yaml`: made from the parties, and registered by Prefect's own command."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from prefect.client.schemas.actions import DeploymentUpdate, WorkPoolUpdate

from fedcore.errors import FedcoreError
from flows.hub import deployments, pools

pytestmark = pytest.mark.servers
ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = "deployments/prefect.yaml"
PARTIES = ("berlin", "bonn", "munich")
DEPLOYED = {
    "federated-training/train",
    "retraining/weekly",
    *(f"party-session/{party}" for party in PARTIES),
}


def deploy(folder: Path, file: str, api: str) -> subprocess.CompletedProcess[str]:
    prefect = str(Path(sys.executable).parent / "prefect")
    environ = {**os.environ, "PREFECT_API_URL": api}
    return subprocess.run(
        [prefect, "--no-prompt", "deploy", "--prefect-file", file, "--all"],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def deployed(api: str) -> dict[str, object]:
    with pools.connected({"PREFECT_API_URL": api}) as prefect:
        flows = {one.id: one.name for one in prefect.read_flows()}
        return {f"{flows[one.flow_id]}/{one.name}": one for one in prefect.read_deployments()}


def test_the_repositorys_file_is_what_the_hub_makes_for_three_parties():
    assert (ROOT / EXAMPLE).read_text("utf-8") == deployments.text(PARTIES, EXAMPLE)


@pytest.fixture(scope="module")
def registered(prefect_api, tmp_path_factory) -> str:
    """All of it, registered from a hub's home."""
    home = tmp_path_factory.mktemp("hub")
    pools.ensure_pools({"PREFECT_API_URL": prefect_api}, PARTIES)
    said = deploy(home, str(deployments.write(home, PARTIES)), prefect_api)
    assert said.returncode == 0, said.stdout + said.stderr
    return prefect_api


def test_prefects_own_command_registers_all_of_it_from_a_home(registered):
    found = deployed(registered)
    assert found.keys() >= DEPLOYED
    weekly = found["retraining/weekly"]
    assert [(one.schedule.cron, one.active) for one in weekly.schedules] == [("0 3 * * 0", False)]
    assert found["federated-training/train"].work_pool_name == "coordinator"
    assert "task_file" in found["federated-training/train"].parameter_openapi_schema["properties"]
    for party in PARTIES:
        session = found[f"party-session/{party}"]
        assert session.work_pool_name == f"party-{party}"
        assert set(session.tags) == {"fedcore", f"party:{party}"}
        assert session.global_concurrency_limit is None
    with pools.connected({"PREFECT_API_URL": registered}) as prefect:
        for name in ("coordinator", *(f"party-{party}" for party in PARTIES)):
            assert prefect.read_work_pool(name).concurrency_limit == 1


def test_the_same_again_from_the_root_of_the_repository_changes_no_deployment(registered):
    before = {name: one.id for name, one in deployed(registered).items()}
    pools.ensure_pools({"PREFECT_API_URL": registered}, PARTIES)
    said = deploy(ROOT, EXAMPLE, registered)
    assert said.returncode == 0, said.stdout + said.stderr
    assert {name: one.id for name, one in deployed(registered).items()} == before


def test_parameters_and_schedules_that_people_have_set_outlive_the_next_invitation(
    registered, tmp_path
):
    environ = {"PREFECT_API_URL": registered}
    weekly = deployed(registered)["retraining/weekly"]
    with pools.connected(environ) as prefect:
        own = {"task_file": "/srv/task.yaml"}
        prefect.update_deployment(weekly.id, DeploymentUpdate(parameters=own))
        schedule = weekly.schedules[0]
        prefect.update_deployment_schedule(weekly.id, schedule.id, active=True)
    pools.ensure_pools(environ, ["new"])
    chosen = pools.chosen(environ, deployments.CHOOSABLE)
    file = deployments.write(tmp_path, [*PARTIES, "new"], chosen)
    said = deploy(tmp_path, str(file), registered)
    assert said.returncode == 0, said.stdout + said.stderr
    after = deployed(registered)["retraining/weekly"]
    assert after.parameters == {"task_file": "/srv/task.yaml"}
    assert [(one.schedule.cron, one.active) for one in after.schedules] == [("0 3 * * 0", True)]
    again = deployments.write(tmp_path, PARTIES)
    assert "/srv/task.yaml" in again.read_text()


def test_pools_run_processes_one_at_a_time_and_only_the_coordinators_may_be_widened(prefect_api):
    environ = {"PREFECT_API_URL": prefect_api}
    pools.ensure_pools(environ, ["alone"])
    names = ("party-alone", "coordinator")
    with pools.connected(environ) as prefect:
        made = [prefect.read_work_pool(name) for name in names]
        for name in names:
            prefect.update_work_pool(name, WorkPoolUpdate(concurrency_limit=3))
        pools.ensure_pools(environ, ["alone"])
        again = [prefect.read_work_pool(name).concurrency_limit for name in names]
        prefect.update_work_pool("coordinator", WorkPoolUpdate(concurrency_limit=1))
    assert {(one.type, one.concurrency_limit) for one in made} == {("process", 1)}
    assert made[0].base_job_template["job_configuration"]
    assert again == [1, 3]


def test_a_withdrawn_party_has_no_deployment_and_a_paused_pool_until_it_is_asked_again(registered):
    environ = {"PREFECT_API_URL": registered}
    for _ in range(2):
        pools.withdraw(environ, "bonn")
    pools.withdraw(environ, "never-there")
    left = deployed(registered)
    assert "party-session/bonn" not in left
    assert left.keys() >= DEPLOYED - {"party-session/bonn"}
    with pools.connected(environ) as prefect:
        assert prefect.read_work_pool("party-bonn").is_paused
        assert not prefect.read_work_pool("party-berlin").is_paused
    pools.ensure_pools(environ, ["bonn"])
    with pools.connected(environ) as prefect:
        assert not prefect.read_work_pool("party-bonn").is_paused


def test_a_party_without_a_worker_was_never_seen(prefect_api):
    environ = {"PREFECT_API_URL": prefect_api}
    pools.ensure_pools(environ, ["silent"])
    assert pools.heartbeats(environ, ["silent", "unknown"]) == {}
    with pools.connected(environ) as prefect:
        prefect.send_worker_heartbeat("party-silent", "its-worker", 30)
    seen = pools.heartbeats(environ, ["silent", "unknown"])
    assert list(seen) == ["silent"]
    assert seen["silent"].endswith(" UTC")


def test_a_prefect_that_does_not_answer_is_one_sentence():
    with pytest.raises(FedcoreError, match=r"does not answer .*: run fedcore status"):
        pools.ensure_pools({"PREFECT_API_URL": "http://127.0.0.1:9/api"}, ["a"])


def test_no_path_of_a_machine_and_no_secret_is_in_the_file():
    content = yaml.safe_load(deployments.text(PARTIES, EXAMPLE))
    assert content["pull"] == [
        {"prefect.deployments.steps.set_working_directory": {"directory": "."}}
    ]
    assert {one["parameters"] == {} for one in content["deployments"]} == {True}
    assert not any("job_variables" in one["work_pool"] for one in content["deployments"])
