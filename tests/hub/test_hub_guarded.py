"""A hub with TLS and PostgreSQL: who trusts its authority gets in, and no one else."""

from __future__ import annotations

import datetime
import subprocess
import sys

import httpx
import psycopg2
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from prefect.client.orchestration import get_client
from prefect.settings import (
    PREFECT_API_AUTH_STRING,
    PREFECT_API_SSL_CERT_FILE,
    PREFECT_API_URL,
    temporary_settings,
)
from servers_hub import plain, running

from fedcore.errors import FedcoreError, InputError, Unreachable
from fedcore.exchange.s3 import S3Store
from flows.hub.certificates import Authority
from flows.hub.database import VARIABLE, Postgres
from flows.hub.home import Hub
from flows.hub.keeper import note_path
from flows.hub.processes import Note
from flows.hub.services import services
from flows.hub.settings import BUCKET
from flows.hub.starting import down

HOST = "127.0.0.2"  # loopback, and not where the doors inside listen


@pytest.fixture(scope="module")
def guarded(tmp_path_factory, postgres_url):
    folder = tmp_path_factory.mktemp("guarded")
    now = datetime.datetime.now(datetime.UTC)
    authority = Authority.found("a hospital group's own authority", now)
    cert, key = authority.issue("hub", HOST, now)
    paths = {"cert": cert, "key": key, "ca": authority.pem}
    for name, text in paths.items():
        (folder / f"{name}.pem").write_text(text)
    files = {name: folder / f"{name}.pem" for name in paths}
    with running(folder / "hub", {VARIABLE: postgres_url}, host=HOST, **files) as hub:
        yield hub


@pytest.mark.servers
def test_the_exchange_opens_to_who_trusts_its_authority_alone(guarded):
    environ = guarded.exchange_environ()
    trusting = S3Store(guarded.exchange.location, BUCKET, environ)
    trusting.put_once("tests/tls", b"x")
    assert trusting.get("tests/tls") == b"x"
    del environ["AWS_CA_BUNDLE"]
    with pytest.raises(Unreachable):
        S3Store(guarded.exchange.location, BUCKET, environ).get("tests/tls")


@pytest.mark.servers
def test_prefect_opens_to_who_trusts_its_authority_alone(guarded):
    url, auth = guarded.prefect_url, guarded.secrets.pair("prefect").auth_string
    trust = {PREFECT_API_URL: url, PREFECT_API_AUTH_STRING: auth}
    trust[PREFECT_API_SSL_CERT_FILE] = guarded.prefect_environ()["PREFECT_API_SSL_CERT_FILE"]
    with temporary_settings(trust), get_client(sync_client=True) as api:
        assert api.read_work_pool("coordinator").name == "coordinator"
    with pytest.raises(httpx.ConnectError, match=r"(?i)certificate"):
        httpx.get(f"{url}/health")


@pytest.mark.servers
def test_mlflow_opens_to_who_trusts_its_authority_alone(guarded, monkeypatch, tmp_path):
    for name, value in guarded.mlflow_environ().items():
        monkeypatch.setenv(name, value)
    api = MlflowClient(guarded.mlflow_url)
    run = api.create_run(api.create_experiment("tls"))
    api.log_text(run.info.run_id, "the report", "report.md")
    assert api.download_artifacts(run.info.run_id, "report.md", str(tmp_path))
    monkeypatch.delenv("MLFLOW_TRACKING_SERVER_CERT_PATH")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(MlflowException, match=r"(?i)certificate|ssl"):
        MlflowClient(guarded.mlflow_url).search_experiments()


@pytest.mark.servers
def test_plain_http_is_not_answered(guarded):
    for service in ("s3", "prefect", "mlflow"):
        url = f"http://{HOST}:{guarded.settings.ports[service]}/"
        try:
            answer = httpx.get(url)
        except httpx.HTTPError:
            continue
        assert answer.status_code == 400, service


@pytest.mark.servers
def test_both_databases_are_in_postgresql_and_no_file_is_used(guarded, postgres_url):
    tables = {}
    for name in ("fedcore_prefect", "fedcore_mlflow"):
        with psycopg2.connect(f"{postgres_url}/{name}") as line, line.cursor() as cursor:
            cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
            tables[name] = {row[0] for row in cursor.fetchall()}
    assert "flow_run" in tables["fedcore_prefect"]
    assert {"runs", "users"} <= tables["fedcore_mlflow"]
    assert not list(guarded.home.rglob("*.db"))


@pytest.mark.servers
def test_the_databases_password_is_in_no_log_and_on_no_command_line(guarded, postgres_url):
    secret = postgres_url.split(":")[2].split("@")[0]
    found = subprocess.run(["ps", "-ww", "-eo", "args"], capture_output=True, text=True, check=True)
    logs = "".join(path.read_text("utf-8", "replace") for path in guarded.home.rglob("*.log"))
    assert str(guarded.home) in found.stdout
    assert secret not in found.stdout + logs + (guarded.home / "hub.json").read_text()
    assert secret in guarded.secrets.path.read_text()


@pytest.mark.servers
def test_down_leaves_no_process_and_again_is_harmless(guarded):
    notes = {one.name: Note.read(note_path(guarded, one.name)) for one in services(guarded)}
    down(guarded, lambda _: None)
    assert not [name for name, note in notes.items() if note.process.left]
    said: list[str] = []
    down(guarded, said.append)
    assert said == []
    status = [sys.executable, "-m", "flows.cli", "status", "--home", str(guarded.home)]
    done = subprocess.run(status, env=plain(), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout.count("dead") == len(notes) + 1


@pytest.mark.parametrize("url", ["mysql://u:hush@h", "postgresql://", "hush", "postgresql://[hush"])
def test_an_address_that_is_none_is_refused_without_its_password(url):
    with pytest.raises(InputError, match=f"environment: {VARIABLE} is .*: write it as") as refused:
        Postgres.parse(url)
    assert "hush" not in str(refused.value)


def test_a_postgresql_that_is_away_is_said_before_anything_starts(tmp_path):
    with (
        pytest.raises(
            FedcoreError, match=r"PostgreSQL at 127.0.0.1:9: .* start it, or set"
        ) as away,
        running(tmp_path / "hub", {VARIABLE: "postgresql://u:hush@127.0.0.1:9"}),
    ):
        pass
    assert "hush" not in str(away.value)
    assert not list((tmp_path / "hub" / "run").glob("*.json"))
    assert Hub.load(tmp_path / "hub").secrets.database is None


def test_a_wrong_password_is_said_and_not_shown(postgres_url):
    wrong = postgres_url.replace(postgres_url.split(":")[2].split("@")[0], "hush")
    with pytest.raises(FedcoreError, match="password authentication failed") as refused:
        Postgres.parse(wrong).make_databases()
    assert "hush" not in str(refused.value)
    assert "hush" not in repr(Postgres.parse(wrong))


def test_each_driver_gets_its_own_form_of_the_address():
    place = Postgres.parse("postgresql://u:p%40@h:5432/main?sslmode=require")
    assert (
        place.url("postgresql+psycopg2", "a")
        == "postgresql+psycopg2://u:p%40@h:5432/a?sslmode=require"
    )
    assert (
        place.url("postgresql+asyncpg", "a") == "postgresql+asyncpg://u:p%40@h:5432/a?ssl=require"
    )
