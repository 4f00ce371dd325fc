"""The exchange's doors: S3 opens to the right keys, and no other door opens to anybody."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import subprocess
from pathlib import Path

import pytest

from fedcore.errors import FedcoreError, NotAllowed
from fedcore.exchange.s3 import S3Store
from fedcore.exchange.s3_users import create_party_user
from flows.hub.home import Hub
from flows.hub.ports import GRPC_OFFSET
from flows.hub.seaweed import LOOPBACK, weed
from flows.hub.settings import BUCKET, MLFLOW_BUCKET

pytestmark = pytest.mark.servers
KEY = "tests/doors/object"
PARTS = ("master", "filer", "volume", "admin")


@pytest.fixture(scope="module")
def store(hub) -> S3Store:
    """The exchange as the coordinator sees it, with one object in it."""
    store = S3Store(hub.exchange.location, BUCKET, hub.exchange_environ())
    store.put_once(KEY, b"an update")
    return store


def ask(host: str, port: int, method: str, path: str, body: bytes | None = None) -> tuple[int, str]:
    """Status and body of an answer; 0 where nobody speaks HTTP."""
    line = http.client.HTTPConnection(host, port, timeout=10)
    with contextlib.closing(line):
        try:
            line.request(method, path, body=body)
            answer = line.getresponse()
            return answer.status, answer.read().decode("utf-8", "replace")
        except (OSError, http.client.HTTPException):
            return 0, ""


@pytest.mark.parametrize(
    ("part", "method", "path"),
    [
        ("filer", "GET", f"/buckets/{BUCKET}/{KEY}"),
        ("filer", "GET", "/buckets/?pretty=y"),
        ("filer", "PUT", f"/buckets/{BUCKET}/tests/doors/other"),
        ("filer", "POST", f"/buckets/{BUCKET}/tests/doors/other"),
        ("filer", "DELETE", f"/buckets/{BUCKET}/{KEY}"),
        ("filer", "DELETE", f"/buckets/{BUCKET}?recursive=true"),
        ("master", "GET", "/dir/assign"),
        ("master", "GET", "/dir/lookup?fileId=1,01637037d6"),
        ("master", "GET", f"/col/delete?collection={BUCKET}"),
        ("master", "GET", "/vol/grow?count=1"),
        ("master", "GET", "/vol/vacuum"),
        ("master", "POST", "/submit"),
        ("volume", "GET", "/1,01637037d6"),
        ("volume", "POST", "/1,01637037d6"),
        ("volume", "DELETE", "/1,01637037d6"),
        ("volume", "GET", "/ui/index.html"),
        ("admin", "GET", "/"),
        ("admin", "GET", "/api/config"),
    ],
)
def test_no_http_door_gives_takes_or_deletes(hub, store, part, method, path):
    status, text = ask(LOOPBACK, hub.settings.ports[part], method, path, b"x")
    assert status in (0, 401, 403, 404, 405), text
    assert "fid" not in text
    assert store.get(KEY) == b"an update"


@pytest.mark.parametrize("part", [*PARTS, "s3"])
def test_no_grpc_door_opens_without_our_certificate(hub, store, part):
    host = hub.settings.host if part == "s3" else LOOPBACK
    place = (host, hub.settings.ports[part] + GRPC_OFFSET)
    stranger = ssl.create_default_context()
    stranger.check_hostname, stranger.verify_mode = False, ssl.CERT_NONE
    stranger.set_alpn_protocols(["h2"])
    with pytest.raises(ssl.SSLError, match=r"(?i)certificate.required|bad.certificate"):
        _greet(place, stranger)
    folder = hub.secrets.folder / "seaweedfs"
    stranger.load_cert_chain(folder / "grpc-cert.pem", folder / "grpc-key.pem")
    assert _greet(place, stranger)


def _greet(place: tuple[str, int], context: ssl.SSLContext) -> bytes:
    """What an HTTP/2 server answers to the preface that opens every gRPC connection."""
    with (
        socket.create_connection(place, timeout=20) as plain,
        context.wrap_socket(plain, server_hostname="any") as line,
    ):
        line.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0")
        return line.recv(9)


def test_the_shell_of_seaweedfs_sees_nothing_without_our_certificate(hub, store, tmp_path):
    assert MLFLOW_BUCKET not in shell(hub, tmp_path, 4)
    assert MLFLOW_BUCKET in shell(hub, hub.secrets.folder / "seaweedfs", 60)


def shell(hub: Hub, folder: Path, seconds: float) -> str:
    """What the shell prints, run in a folder that holds a `security.toml` or none."""
    ports = hub.settings.ports
    command = [weed(), "shell", f"-master={LOOPBACK}:{ports['master']}"]
    command.append(f"-filer={LOOPBACK}:{ports['filer']}")
    with subprocess.Popen(
        command,
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            # Without certificates it asks again for ever.
            return process.communicate("s3.bucket.list\nexit\n", timeout=seconds)[0]
        except subprocess.TimeoutExpired:
            process.kill()
            return process.communicate()[0]


def test_s3_refuses_everybody_without_the_right_keys(hub, store):
    port = hub.settings.ports["s3"]
    for method, path in (
        ("GET", "/"),
        ("GET", f"/{BUCKET}?list-type=2"),
        ("GET", f"/{BUCKET}/{KEY}"),
        ("PUT", f"/{BUCKET}/tests/doors/other"),
        ("DELETE", f"/{BUCKET}/{KEY}"),
        ("PUT", "/somebodys-bucket"),
    ):
        assert ask(hub.settings.host, port, method, path, b"x")[0] == 403, (method, path)
    wish = b"Action=CreateUser&UserName=me&Version=2010-05-08"
    assert ask(hub.settings.host, port, "POST", "/", wish)[0] in (400, 403)
    right = hub.exchange_environ()
    for changed in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        wrong = S3Store(hub.exchange.location, BUCKET, right | {changed: "guessed-at-random"})
        with pytest.raises(NotAllowed):
            wrong.get(KEY)
        with pytest.raises(NotAllowed):
            wrong.put_once("tests/doors/other", b"x")
    assert store.keys("tests/doors/") == [KEY]


def test_mlflows_keys_reach_its_own_bucket_alone(hub, store):
    pair = hub.secrets.pair("artifacts")
    keys = {"AWS_ACCESS_KEY_ID": pair.name, "AWS_SECRET_ACCESS_KEY": pair.secret}
    stranger_environ = hub.exchange_environ() | keys
    stranger = S3Store(hub.exchange.location, BUCKET, stranger_environ)
    for deed in (
        lambda: stranger.get(KEY),
        stranger.keys,
        lambda: stranger.put_once("tests/doors/other", b"x"),
    ):
        with pytest.raises(NotAllowed):
            deed()
    with pytest.raises(FedcoreError):
        create_party_user(hub.exchange.location, stranger_environ, BUCKET, "made-by-mlflow")
    own = S3Store(hub.exchange.location, MLFLOW_BUCKET, hub.exchange_environ() | keys)
    own.put_once("tests/doors/own", b"x")
    assert own.get("tests/doors/own") == b"x"


def test_everything_but_s3_listens_on_loopback_and_other_users_open_no_socket(hub):
    ports = hub.settings.ports
    for left in Path("/tmp").glob(f"seaweedfs-*-{ports['filer']}.sock"):
        assert left.stat().st_mode & 0o077 == 0
    listening = {(host, port) for host, port in _listening() if port in ports.values()}
    hosts = {host for host, port in listening if port != ports["s3"]}
    assert hosts == {LOOPBACK}
    assert len(listening) >= 6


def _listening() -> list[tuple[str, int]]:
    """Address and port of every TCP listener of this machine (state 0A in /proc/net/tcp)."""
    found = []
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == "0A":
            host, port = fields[1].split(":")
            found.append((socket.inet_ntoa(bytes.fromhex(host)[::-1]), int(port, 16)))
    return found
