"""The table of the hub's services. One more is one more line here."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from flows.hub import probes, seaweed
from flows.hub.database import MLFLOW, PREFECT, Postgres
from flows.hub.home import Hub
from flows.hub.service import Service
from flows.hub.settings import MLFLOW_BUCKET
from flows.secrets_file import write_private

POOL = "coordinator"  # the work pool of the hub's own worker


def services(hub: Hub) -> tuple[Service, ...]:
    """In the order in which they are started; they end in the other order."""
    return (seaweed.storage(hub), seaweed.exchange(hub), prefect(hub), mlflow(hub), worker(hub))


def prefect(hub: Hub) -> Service:
    """Prefect's API and page."""
    admin = hub.secrets.pair("prefect")
    return Service(
        name="prefect",
        command=(sys.executable, "-m", "flows.hub.prefect_service", str(hub.home)),
        cwd=hub.home / "prefect",
        environ=_prefect_environ(hub),
        probe=lambda _: (
            probes.page_answers(f"{hub.prefect_url}/ready", admin, hub.ca)
            and probes.page_answers(f"{hub.prefect_url}/admin/version", admin, hub.ca)
        ),
        prepare=lambda: _make_databases(hub),
        reads=hub.settings.certificates,
        address=hub.settings.url("prefect"),
    )


def mlflow(hub: Hub) -> Service:
    """MLflow's tracking server; artifacts pass through it into its own bucket."""
    settings, admin = hub.settings, hub.secrets.pair("mlflow")
    page = f"{hub.mlflow_url}/api/2.0/mlflow/experiments/get?experiment_id=0"
    place = hub.mlflow_url.partition("://")[2]
    names = f"{place},localhost:{settings.ports['mlflow']}"
    command = (
        *(sys.executable, "-m", "mlflow", "server", "--app-name", "basic-auth"),
        *("--host", settings.host, "--port", str(settings.ports["mlflow"]), "--workers", "1"),
        *("--artifacts-destination", f"s3://{MLFLOW_BUCKET}"),
        *("--allowed-hosts", names, "--cors-allowed-origins", hub.mlflow_url),
        *("--uvicorn-opts", shlex.join(["--log-level", "warning", *_tls(hub)])),
    )
    return Service(
        name="mlflow",
        command=command,
        cwd=hub.home / "mlflow",
        environ=_mlflow_environ(hub),
        probe=lambda _: probes.page_answers(page, admin, hub.ca),
        prepare=lambda: _prepare_mlflow(hub),
        reads=hub.settings.certificates,
        address=hub.mlflow_url,
    )


def worker(hub: Hub) -> Service:
    """The coordinator's own worker, which runs the flows of the hub's pool."""
    filters = f"{hub.prefect_url}/work_pools/{POOL}/workers/filter"
    admin = hub.secrets.pair("prefect")
    return Service(
        name="worker",
        command=(sys.executable, "-m", "flows.worker.coordinator", str(hub.home)),
        cwd=hub.home / "worker",
        environ=_python(),
        probe=lambda _: b'"ONLINE"' in probes.page(filters, admin, hub.ca, b"{}"),
        prepare=lambda: _ensure_pool(hub),
        after=("prefect",),
    )


def source_root() -> Path:
    """Where `flows` can be imported from, whatever folder a service runs in."""
    return Path(__file__).resolve().parents[2]


def _python() -> dict[str, str]:
    return {"PYTHONPATH": str(source_root())}


def _prefect_environ(hub: Hub) -> dict[str, str]:
    home, settings = hub.home / "prefect", hub.settings
    base = settings.url("prefect")
    return _python() | {
        "PREFECT_HOME": str(home),
        "PREFECT_API_DATABASE_CONNECTION_URL": _url(
            hub, "postgresql+asyncpg", PREFECT, f"sqlite+aiosqlite:///{home / 'prefect.db'}"
        ),
        "PREFECT_SERVER_API_AUTH_STRING": hub.secrets.pair("prefect").auth_string,
        "PREFECT_SERVER_API_HOST": settings.host,
        "PREFECT_SERVER_API_PORT": str(settings.ports["prefect"]),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": base,
        # A copy of the page is written there: the installed package is not ours to change.
        "PREFECT_UI_STATIC_DIRECTORY": str(home / "page"),
        "PREFECT_UI_API_URL": hub.prefect_url,
        "PREFECT_UI_URL": base,
        "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
        "PREFECT_SERVER_SERVICES_LATE_RUNS_LOOP_SECONDS": "15",
        "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "30",
        "PREFECT_SERVER_SERVICES_FOREMAN_LOOP_SECONDS": "15",
        # By default each event of a task run is a transaction of its own. What a killed server
        # had not written yet is sent again by the flows' outboxes.
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "200",
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
        "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_BATCH_SIZE": "500",
        "PREFECT_SERVER_EVENTS_MESSAGING_BROKER": "flows.hub.prefect_messages",
        # By itself, Prefect forgets events after a week and keeps all else for ever.
        "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
        "PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD": str(86400 * settings.prefect_days),
        "DO_NOT_TRACK": "1",
    }


def _mlflow_environ(hub: Hub) -> dict[str, str]:
    keys = hub.secrets.pair("artifacts")
    trust = {"AWS_CA_BUNDLE": str(hub.ca)} if hub.ca else {}
    return trust | {
        "MLFLOW_BACKEND_STORE_URI": _mlflow_url(hub),
        "MLFLOW_AUTH_CONFIG_PATH": str(_auth_file(hub)),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": hub.secrets.token("flask"),
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_S3_ENDPOINT_URL": hub.exchange.location,
        "AWS_ACCESS_KEY_ID": keys.name,
        "AWS_SECRET_ACCESS_KEY": keys.secret,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
        "AWS_EC2_METADATA_DISABLED": "true",
        "DO_NOT_TRACK": "1",
    }


def _prepare_mlflow(hub: Hub) -> None:
    """Make its databases, and the file that names its administrator."""
    _make_databases(hub)
    admin = hub.secrets.pair("mlflow")
    # ConfigParser takes % for a reference to another field.
    lines = {
        "default_permission": "NO_PERMISSIONS",
        "database_uri": _mlflow_url(hub, "auth.db").replace("%", "%%"),
        "admin_username": admin.name,
        "admin_password": admin.secret,
        "authorization_function": "mlflow.server.auth:authenticate_request_basic_auth",
        "grant_default_workspace_access": "false",
        # Else each request pays for a slow hash of the password again.
        "auth_cache_ttl_seconds": "60",
    }
    text = "".join(f"{name} = {value}\n" for name, value in lines.items())
    write_private(_auth_file(hub), f"[mlflow]\n{text}")


def _make_databases(hub: Hub) -> None:
    url = hub.secrets.database
    if url:
        Postgres.parse(url).make_databases()


def _ensure_pool(hub: Hub) -> None:
    # Prefect's client takes a second to import, which the commands need not wait for.
    from flows.hub.pools import ensure_pools  # noqa: PLC0415

    ensure_pools(hub.prefect_environ(), ())


def _mlflow_url(hub: Hub, file: str = "mlflow.db") -> str:
    return _url(hub, "postgresql+psycopg2", MLFLOW, f"sqlite:///{hub.home / 'mlflow' / file}")


def _url(hub: Hub, driver: str, database: str, otherwise: str) -> str:
    """Where a service keeps its records."""
    held = hub.secrets.database
    return Postgres.parse(held).url(driver, database) if held else otherwise


def _auth_file(hub: Hub) -> Path:
    return hub.secrets.folder / "mlflow-auth.ini"


def _tls(hub: Hub) -> list[str]:
    settings = hub.settings
    if not (settings.cert and settings.key):
        return []
    return ["--ssl-certfile", settings.cert, "--ssl-keyfile", settings.key]
