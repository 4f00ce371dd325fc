"""MLflow of the hub: it wants the coordinator's password, and keeps artifacts in its bucket."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from fedcore.exchange.s3 import S3Store
from flows.hub.settings import MLFLOW_BUCKET

pytestmark = pytest.mark.servers


@pytest.fixture
def mlflow(hub, monkeypatch) -> MlflowClient:
    for name, value in hub.mlflow_environ().items():
        monkeypatch.setenv(name, value)
    return MlflowClient(hub.mlflow_url)


@pytest.mark.parametrize("name", ["MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"])
def test_a_wrong_name_or_password_is_refused(hub, mlflow, monkeypatch, name):
    monkeypatch.setenv(name, "guessed")
    with pytest.raises(MlflowException, match="401"):
        mlflow.search_experiments()


def test_without_a_password_neither_runs_nor_artifacts_are_shown(hub):
    for path in ("/api/2.0/mlflow/experiments/get?experiment_id=0", "/get-artifact?path=a", "/"):
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(hub.mlflow_url + path, timeout=30)


def test_a_page_of_another_name_cannot_speak_through_a_browser(hub):
    line = http.client.HTTPConnection(hub.settings.host, hub.settings.ports["mlflow"], timeout=30)
    line.request("GET", "/api/2.0/mlflow/experiments/get?experiment_id=0", headers={"Host": "evil"})
    assert line.getresponse().status == 403
    line.close()


def test_artifacts_pass_through_it_into_its_own_bucket(hub, mlflow, tmp_path):
    run = mlflow.create_run(mlflow.create_experiment("hub-test"))
    mlflow.log_metric(run.info.run_id, "federated/loss", 0.5)
    mlflow.log_text(run.info.run_id, "the report", "report.md")
    fetched = mlflow.download_artifacts(run.info.run_id, "report.md", str(tmp_path))
    assert Path(fetched).read_text() == "the report"
    bucket = S3Store(hub.exchange.location, MLFLOW_BUCKET, hub.exchange_environ())
    held = bucket.keys("")
    assert [key for key in held if key.endswith("report.md")]
