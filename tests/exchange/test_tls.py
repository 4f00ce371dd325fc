"""TLS to the exchange: what is trusted, and one sentence for each way in which it is not."""

from __future__ import annotations

import contextlib
import datetime
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from servers import SeaweedFS

from fedcore.config.party import Address
from fedcore.errors import InputError, Unreachable
from fedcore.exchange.opening import open_store
from fedcore.exchange.s3 import S3Store
from flows.hub.certificates import Authority

pytestmark = pytest.mark.servers
NOW = datetime.datetime.now(datetime.UTC)
KEYS = {"AWS_ACCESS_KEY_ID": "me", "AWS_SECRET_ACCESS_KEY": "secret"}


@pytest.fixture(scope="module")
def authority():
    return Authority.found("test", NOW)


@pytest.fixture
def trusting(authority, tmp_path):
    bundle = tmp_path / "ca.pem"
    bundle.write_text(authority.pem)
    return {**KEYS, "AWS_CA_BUNDLE": str(bundle)}


class SecureSeaweedFS(SeaweedFS):
    """The same over https only."""

    def __init__(self, folder: Path, authority: Authority) -> None:
        super().__init__(folder)
        self.endpoint = self.endpoint.replace("http://", "https://")
        certificate, key = authority.issue("exchange", "127.0.0.1", NOW)
        for name, text in (("c.pem", certificate), ("k.pem", key), ("ca.pem", authority.pem)):
            (folder / name).write_text(text)

    @property
    def environ(self) -> dict[str, str]:
        return {**super().environ, "AWS_CA_BUNDLE": str(self._folder / "ca.pem")}

    def _command(self) -> list[str]:
        files = [
            f"-s3.cert.file={self._folder / 'c.pem'}",
            f"-s3.key.file={self._folder / 'k.pem'}",
        ]
        return [*super()._command(), *files]


@contextlib.contextmanager
def listening(authority: Authority, name: str, issued: datetime.datetime, folder: Path):
    """Something that shakes hands with such a certificate and then hangs up; its port."""
    certificate, key = authority.issue("other", name, issued)
    (folder / "cert.pem").write_text(certificate + key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_shake_hands, args=(listener, context), daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(10)


def _shake_hands(listener: socket.socket, context: ssl.SSLContext) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with contextlib.suppress(OSError), connection:
            context.wrap_socket(connection, server_side=True).close()


@pytest.fixture(scope="module")
def secure(authority, tmp_path_factory) -> Iterator[SecureSeaweedFS]:
    server = SecureSeaweedFS(tmp_path_factory.mktemp("secure"), authority)
    try:
        server.start()
        yield server
    finally:
        server.stop()


def test_the_right_authority_is_trusted_also_for_large_bodies(secure, tmp_path):
    store = open_store(Address("s3", secure.endpoint, "secure"), secure.environ)
    store.prepare()
    (tmp_path / "large").write_bytes(bytes(9 << 20))
    store.put_file_once("a/large", tmp_path / "large")
    store.get_to_file("a/large", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == bytes(9 << 20)


def test_without_the_authority_or_with_another_one_nothing_is_sent(secure, tmp_path):
    known = {name: secure.environ[name] for name in KEYS}
    (tmp_path / "other.pem").write_text(Authority.found("other", NOW).pem)
    for environ in (known, {**known, "AWS_CA_BUNDLE": str(tmp_path / "other.pem")}):
        with pytest.raises(Unreachable, match="is not trusted: set AWS_CA_BUNDLE") as said:
            S3Store(secure.endpoint, "secure", environ).keys()
        assert "\n" not in str(said.value)


def test_an_expired_certificate_is_said_to_be_expired(authority, trusting, tmp_path):
    past = NOW - datetime.timedelta(days=3700)
    with (
        listening(authority, "127.0.0.1", past, tmp_path) as port,
        pytest.raises(Unreachable, match="the certificate has expired: ask"),
    ):
        S3Store(f"https://127.0.0.1:{port}", "bucket", trusting).get("a/b")


def test_a_certificate_that_is_not_valid_yet_speaks_of_the_clock(authority, trusting, tmp_path):
    future = NOW + datetime.timedelta(days=2)
    with (
        listening(authority, "127.0.0.1", future, tmp_path) as port,
        pytest.raises(Unreachable, match="not valid yet: set this machine's clock"),
    ):
        S3Store(f"https://127.0.0.1:{port}", "bucket", trusting).get("a/b")


@pytest.mark.parametrize("name", ["exchange.example.org", "127.0.0.2"])
def test_a_certificate_for_another_name_is_said_to_be_that(authority, trusting, tmp_path, name):
    for asked in ("127.0.0.1", "localhost"):
        with (
            listening(authority, name, NOW, tmp_path) as port,
            pytest.raises(Unreachable, match="is for another name: use the address"),
        ):
            S3Store(f"https://{asked}:{port}", "bucket", trusting).get("a/b")


def test_https_where_no_tls_is_spoken_is_said_in_one_sentence(seaweedfs, trusting):
    endpoint = seaweedfs.endpoint.replace("http://", "https://")
    with pytest.raises(Unreachable, match="no TLS is spoken there: write http://"):
        S3Store(endpoint, "bucket", trusting).get("a/b")


def test_plain_http_where_tls_is_spoken_is_said_in_one_sentence(secure):
    endpoint = secure.endpoint.replace("https://", "http://")
    store = S3Store(endpoint, "bucket", secure.environ, pause=lambda _: None)
    with pytest.raises(Unreachable, match="speaks https, write https:// in the address"):
        store.size("a/b")
    with pytest.raises(Unreachable):
        store.get("a/b")


def test_a_bundle_that_holds_no_certificate_is_an_input_error(tmp_path):
    (tmp_path / "ca.pem").write_text("no certificate")
    environ = {**KEYS, "AWS_CA_BUNDLE": str(tmp_path / "ca.pem")}
    with pytest.raises(InputError, match="AWS_CA_BUNDLE"):
        S3Store("https://127.0.0.1:9", "bucket", environ).get("a/b")
