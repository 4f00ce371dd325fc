"""What only a server can answer: refused credentials, silence, prefixes, many keys."""

from __future__ import annotations

import hashlib
import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from fedcore.config.party import Address
from fedcore.errors import Conflict, InputError, NotAllowed, NotThere, Unreachable
from fedcore.exchange.opening import open_store
from fedcore.exchange.reconnecting import Reconnecting
from fedcore.exchange.s3 import S3Store
from fedcore.exchange.s3_answers import Answer, TimedOut, answer, silence
from fedcore.exchange.store import Busy

pytestmark = pytest.mark.servers
ACTS = (
    lambda store: store.get("a/b"),
    lambda store: store.exists("a/b"),
    lambda store: store.keys("a/"),
    lambda store: store.put_once("a/b", b"x"),
)


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_wrong_credentials_are_not_allowed_and_never_shown(seaweedfs, act, name):
    S3Store(seaweedfs.endpoint, "credentials", seaweedfs.environ).prepare()
    wrong = {**seaweedfs.environ, name: "wrong-and-private"}
    with pytest.raises(NotAllowed, match="AWS_ACCESS_KEY_ID") as refused:
        act(S3Store(seaweedfs.endpoint, "credentials", wrong))
    assert "private" not in str(refused.value)
    assert seaweedfs.secret_key not in str(refused.value)


@pytest.mark.parametrize("environ", [{}, {"AWS_ACCESS_KEY_ID": "me"}])
def test_missing_credentials_are_not_allowed_at_once(environ):
    with pytest.raises(NotAllowed, match="AWS_SECRET_ACCESS_KEY"):
        open_store(Address("s3", "http://127.0.0.1:9"), environ)


@pytest.mark.parametrize("act", ACTS)
def test_a_closed_port_is_unreachable(seaweedfs, act):
    with pytest.raises(Unreachable, match="no answer"):
        act(S3Store("http://127.0.0.1:9", "bucket", seaweedfs.environ))


@pytest.mark.parametrize("act", ACTS)
def test_a_bucket_that_is_not_there_yet_is_unreachable(seaweedfs, act):
    with pytest.raises(Unreachable, match="bucket is not there"):
        act(S3Store(seaweedfs.endpoint, "never-made", seaweedfs.environ))


@pytest.mark.parametrize("endpoint", ["http://", "http://a b", "nonsense"])
def test_an_address_that_is_none_is_an_input_error(seaweedfs, endpoint):
    with pytest.raises(InputError, match="address"):
        S3Store(endpoint, "bucket", seaweedfs.environ)


def test_a_bucket_name_that_is_none_is_an_input_error(seaweedfs):
    with pytest.raises(InputError, match="bucket"):
        S3Store(seaweedfs.endpoint, "No Bucket", seaweedfs.environ).prepare()


def test_a_missing_certificate_file_is_an_input_error(seaweedfs, tmp_path):
    environ = {**seaweedfs.environ, "AWS_CA_BUNDLE": str(tmp_path / "none.pem")}
    with pytest.raises(InputError, match="AWS_CA_BUNDLE"):
        S3Store(seaweedfs.endpoint, "bucket", environ)


def test_limited_credentials_write_under_their_own_prefix_only(seaweedfs):
    everything = S3Store(seaweedfs.endpoint, "limited", seaweedfs.environ)
    everything.prepare()
    everything.put_once("coordinator/run/end.json", b"end")
    limited = S3Store(seaweedfs.endpoint, "limited", seaweedfs.limited_environ)
    limited.put_once("parties/10000/run/hello.json", b"hello")
    assert limited.get("coordinator/run/end.json") == b"end"
    assert not limited.exists("coordinator/run/agreement.json")
    with pytest.raises(NotThere):
        limited.get("coordinator/run/agreement.json")
    for key in ("parties/10001/run/hello.json", "coordinator/run/key.json"):
        with pytest.raises(NotAllowed):
            limited.put_once(key, b"mine")
        assert not everything.exists(key)


def test_listing_many_keys_in_any_order_after_any_key(seaweedfs):
    store = S3Store(seaweedfs.endpoint, "many", seaweedfs.environ)
    store.prepare()
    source = random.Random(1)
    written = sorted(_tree(source, 150))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: store.put_once(key, b"x"), written))
    assert store.keys() == written
    for _ in range(80):
        after = source.choice(written) + source.choice(["", "a", "-", "."])
        key = source.choice(written)
        prefix = key[: source.randint(0, len(key))]
        expected = [key for key in written if key.startswith(prefix) and key > after]
        assert store.keys(prefix, after) == expected, (prefix, after)


def test_a_server_that_goes_and_comes_back_is_waited_for(seaweedfs):
    store = S3Store(seaweedfs.endpoint, "patience", seaweedfs.environ)
    store.prepare()
    store.put_once("a/b", b"kept")
    heard: list[str] = []
    seaweedfs.stop()
    patient = Reconnecting(
        store,
        interval=0.1,
        on_wait=lambda message, seconds: heard.append(message),
        pause=lambda seconds: seaweedfs.start(),
        clock=lambda: 0.0,
    )
    assert patient.get("a/b") == b"kept"
    assert "no answer" in heard[0]


def test_a_large_body_goes_up_in_parts_and_comes_back(seaweedfs, tmp_path):
    store = S3Store(seaweedfs.endpoint, "large", seaweedfs.environ)
    store.prepare()
    body = random.Random(1).randbytes(60_000_000)
    (tmp_path / "large").write_bytes(body)
    store.put_file_once("large/body", tmp_path / "large")
    store.put_file_once("large/body", tmp_path / "large")
    store.get_to_file("large/body", tmp_path / "new" / "copy")
    copy = (tmp_path / "new" / "copy").read_bytes()
    assert hashlib.sha256(copy).digest() == hashlib.sha256(body).digest()
    assert store.get_range("large/body", 33_000_000, 1000) == body[33_000_000:33_001_000]
    (tmp_path / "large").write_bytes(body[:-1] + b"!" + body[-1:])
    with pytest.raises(Conflict):
        store.put_file_once("large/body", tmp_path / "large")
    (tmp_path / "large").write_bytes(body[:-1] + bytes([body[-1] ^ 1]))
    with pytest.raises(Conflict):
        store.put_file_once("large/body", tmp_path / "large")


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("NoSuchKey", 404, NotThere),
        ("AccessDenied", 403, NotAllowed),
        ("RequestTimeTooSkewed", 403, Unreachable),
        ("Unauthorized", 401, NotAllowed),
        ("InvalidAccessKeyId", 400, NotAllowed),
        ("SlowDown", 503, Busy),
        ("TooManyRequests", 429, Busy),
        ("InternalError", 500, Unreachable),
        ("InsufficientStorage", 507, Unreachable),
        ("NoSuchBucket", 404, Unreachable),
    ],
)
def test_every_answer_has_its_error(code, status, kind):
    assert type(answer("exchange e/b", "a/b", Answer(code, status), 0.0)) is kind


def test_silence_is_told_from_missing_credentials_and_distrust():
    assert type(silence("e", "a/b", "NoCredentialsError")) is NotAllowed
    assert "AWS_CA_BUNDLE" in str(silence("e", "a/b", "SSLError"))
    assert type(silence("e", "a/b", "EndpointConnectionError")) is Unreachable
    assert type(silence("e", "a/b", "ReadTimeoutError")) is TimedOut
    assert type(silence("e", "a/b", "ConnectionClosedError", "timed out")) is TimedOut


def _tree(source: random.Random, size: int) -> set[str]:
    """Random keys, of which none is another's folder, full of what sorts around the slash."""
    keys: set[str] = set()
    folders: set[str] = set()
    while len(keys) < size:
        segments = ["".join(source.choices("ab0-.", k=source.randint(0, 2))) for _ in range(4)]
        depth = source.randint(1, 4)
        key = "/".join(source.choice("ab0") + segment for segment in segments[:depth])
        above = {key[:place] for place, letter in enumerate(key) if letter == "/"}
        if key not in folders and not above & keys:
            keys.add(key)
            folders |= above
    return keys
