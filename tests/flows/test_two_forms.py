"""The published command in both its forms, against the same training in one process."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import mlflow
import pyarrow.parquet as parquet
import pytest
from command_story import Site, listening, tree, two_sites, until, write_files
from rounds_story import asking, hospitals

from fedcore.audit.entry import Entry
from fedcore.config.update import UpdateSection
from fedcore.params import digest
from fedcore.simulation import Outcome, World, simulate

pytestmark = pytest.mark.servers
# With statistics, the strategy that keeps the most, and models that come as steps: every step of
# the rounds takes part.
TASK = asking(strategy="scaffold", epochs=3).model_copy(
    update={"update": UpdateSection(codec="int8", model="step")}
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    return hospitals(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def simulated(data, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return simulate(TASK, data, World(tmp_path_factory.mktemp("simulated")))


def bits(outcome: Outcome) -> tuple[str, str]:
    return digest(outcome.best), digest(outcome.final)


def story(path: Path) -> list[tuple[str, str]]:
    """What a ledger tells, less hash and size of messages that hold signatures and ledger indices.

    Only processes claim terms, so the indices differ: the simulation is one process for all.
    """
    entries = [Entry.read(line) for line in path.read_bytes().splitlines()]
    told = [one for one in entries if one.subject.get("object") != "term"]
    return [(entry.kind, _named(entry.subject)) for entry in told]


def _named(subject: dict) -> str:
    subject.pop("key", None) if "data" in subject else None
    signed = subject.get("object") in {"hello", "statistics", "reply", "scores", "test scores"}
    hidden = {"sha256", "size"} if signed else set()
    return str({key: value for key, value in subject.items() if key not in hidden})


def one_process(folder: Path, data: Mapping[str, Path]) -> Site:
    party_file = {
        "local": {"role": "guest", "party_id": "1"},
        "remote": {"role": "host", "party_id": "2", "address": "IP:PORT"},
    }
    arguments = write_files(folder, TASK, party_file)
    return Site(folder, [*arguments, "--data", str(data["1"].parent)])


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory: pytest.TempPathFactory) -> Site:
    site = one_process(tmp_path_factory.mktemp("one"), data)
    assert site.run() == 0, site.printed
    return site


def mlflow_of(site: Site) -> mlflow.MlflowClient:
    """Both halves by name: a registry that an earlier test chose would be asked otherwise."""
    place = f"sqlite:///{site.folder / 'mlflow.db'}"
    return mlflow.MlflowClient(place, place)


def test_the_scheduled_training_has_the_bits_of_the_simulated_one(finished, simulated) -> None:
    assert finished.bits() == bits(simulated)


def test_the_scheduled_training_has_the_ledgers_of_the_simulated_one(finished, simulated) -> None:
    found = {path.stem: story(path) for path in finished.output.glob(".fedcore/runs/*/ledger/*")}
    expected = {owner: story(ledger.path) for owner, ledger in simulated.ledgers.items()}
    assert found == expected


def test_a_line_per_round_and_the_last_lines_are_printed(finished) -> None:
    for number in (1, 2, 3):
        assert f"Epoch {number}/3 - Guest Loss: " in finished.printed
    assert finished.printed.count("Epoch ") == 3
    assert "mlflow ui --backend-store-uri sqlite:///" in finished.printed
    assert "Prefect UI PREFECT_HOME=prefect " in finished.printed
    assert "Traceback" not in finished.printed


def test_the_output_folder_holds_models_task_metrics_and_report(finished, simulated) -> None:
    names = {path.name for path in finished.output.iterdir()}
    files = {"best.safetensors", "final.safetensors", "federated_task.yaml", "report.html"}
    files |= {"metrics.csv", "metrics.parquet", "ledger-heads.json", "statistics.json"}
    files |= {"test_metrics.csv"}
    assert files <= names
    told = json.loads((finished.output / "statistics.json").read_text())
    assert simulated.statistics is not None
    assert told["total"] == simulated.statistics.model_dump(mode="json")["total"]
    rows = parquet.read_table(finished.output / "metrics.parquet").to_pylist()
    shown = [row["auroc"] for row in rows if row["party"] == "federated"]
    assert shown == [record.auroc for record in simulated.records]


def test_the_runs_and_the_registered_model_are_in_mlflow(finished, simulated) -> None:
    client = mlflow_of(finished)
    experiment = client.get_experiment_by_name("chest")
    runs = client.search_runs([experiment.experiment_id])
    parents = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    assert len(parents) == 1
    assert len(runs) == 3
    history = client.get_metric_history(parents[0].info.run_id, "federated/auroc")
    assert [one.value for one in history] == [record.auroc for record in simulated.records]
    assert int(client.get_model_version_by_alias("chest", "challenger").version) == 1
    artifacts = {one.path for one in client.list_artifacts(parents[0].info.run_id)}
    assert {"statistics.json", "statistics.png", "report.html"} <= artifacts
    assert parents[0].data.params["data.statistics"] == "full"


def test_running_a_finished_training_again_says_so_and_changes_nothing(finished) -> None:
    before = finished.bits()
    assert finished.run() == 0
    assert finished.bits() == before
    client = mlflow_of(finished)
    assert len(client.search_model_versions("name='chest'")) == 1


def test_the_process_that_combines_never_loads_torch(data, tmp_path) -> None:
    site = one_process(tmp_path, data)
    site.start()
    assert site.process is not None
    try:
        until(lambda: "Epoch 2/3" in site.printed, "the second round")
        maps = Path(f"/proc/{site.process.pid}/maps").read_text()
    finally:
        site.kill()
    assert "numpy" in maps
    assert "libtorch" not in maps


def test_two_processes_meet_in_a_folder_host_first_and_open_no_port_to_the_network(
    data, simulated, tmp_path, prefect_api
) -> None:
    where = str(tmp_path / "exchange")
    guest, host = two_sites(tmp_path, TASK, data, where, PREFECT_API_URL=prefect_api)
    host.start()
    until(lambda: any(host.output.glob(".fedcore/runs/*/ledger/*")), "the host's hello")
    guest.start()
    assert guest.process is not None
    assert host.process is not None
    until(lambda: "Epoch 1/3" in host.printed, "the first round")
    loopback = {"0100007F", "00000000000000000000000001000000"}
    sockets = listening(tree(guest.process.pid) | tree(host.process.pid))
    assert {address for address, _ in sockets} <= loopback
    assert guest.wait() == 0, guest.printed
    assert host.wait() == 0, host.printed
    assert guest.bits() == host.bits() == bits(simulated)
    assert (host.output / "report.html").exists()


def test_two_processes_meet_at_an_s3_endpoint_that_goes_away_and_comes_back(
    data, simulated, tmp_path, seaweedfs, prefect_api
) -> None:
    address = f"{seaweedfs.endpoint}/two-forms"
    environ = {**seaweedfs.environ, "PREFECT_API_URL": prefect_api}
    guest, host = two_sites(tmp_path, TASK, data, address, **environ)
    guest.start()
    host.start()
    until(lambda: "Epoch 1/3" in guest.printed, "the first round")
    seaweedfs.stop()
    try:
        until(lambda: "cannot be reached" in guest.printed + host.printed, "a word on it")
    finally:
        seaweedfs.start()
    assert guest.wait() == 0, guest.printed
    assert host.wait() == 0, host.printed
    assert guest.bits() == host.bits() == bits(simulated)
