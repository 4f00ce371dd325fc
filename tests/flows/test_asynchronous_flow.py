"""Rounds that close early through the real command: the simulated bits, and nobody waits."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import mlflow
import pytest
from command_story import Site, two_sites, until, write_files
from rounds_story import hospitals, task_file

from fedcore.params import digest
from fedcore.simulation import World, simulate

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    return hospitals(tmp_path_factory.mktemp("data"))


def test_a_full_buffer_has_the_bits_of_the_simulated_training(data, tmp_path) -> None:
    task = task_file(strategy="fedbuff", buffer_size=2)
    simulated = simulate(task, data, World(tmp_path / "simulated"))
    party_file = {
        "local": {"role": "guest", "party_id": "1"},
        "remote": {"role": "host", "party_id": "2", "address": "IP:PORT"},
    }
    arguments = write_files(tmp_path / "one", task, party_file)
    site = Site(tmp_path / "one", [*arguments, "--data", str(data["1"].parent)])
    assert site.run() == 0, site.printed
    assert site.bits() == (digest(simulated.best), digest(simulated.final))


def test_a_host_that_goes_away_delays_no_round_and_is_said_to_train(
    data, tmp_path, prefect_api
) -> None:
    task = task_file(strategy="fedbuff", buffer_size=1, epochs=5)
    where = str(tmp_path / "exchange")
    guest, host = two_sites(tmp_path, task, data, where, PREFECT_API_URL=prefect_api)
    guest.start()
    host.start()
    until(lambda: "Epoch 1/5" in guest.printed, "the first round")
    host.kill()
    until(lambda: "Epoch 5/5" in guest.printed, "the last round, without the host")
    assert "Host training" in guest.printed
    host.start()
    assert guest.wait() == 0, guest.printed
    assert host.wait() == 0, host.printed
    client = mlflow.MlflowClient(f"sqlite:///{guest.folder / 'mlflow.db'}")
    runs = client.search_runs([client.get_experiment_by_name("chest").experiment_id])
    parent = next(run for run in runs if "mlflow.parentRunId" not in run.data.tags)
    history = client.get_metric_history(parent.info.run_id, "round/parties")
    assert [one.value for one in history] == [1.0] * 5
