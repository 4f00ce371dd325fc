"""What the exchange answers when it is unwell: waited out, or said in one sentence."""

from __future__ import annotations

import datetime
import time

import pytest
from fault_proxy import fault_proxy

from fedcore.audit.signing import SigningKey
from fedcore.errors import NotAllowed, Refused, Unreachable
from fedcore.exchange.envelope import fetch_envelope, seal
from fedcore.exchange.reconnecting import Reconnecting
from fedcore.exchange.s3 import S3Store
from fedcore.exchange.store import Busy

pytestmark = pytest.mark.servers
BUCKET = "faulty"
ACTS = {
    "get": lambda store: store.get("a/b"),
    "size": lambda store: store.size("a/b"),
    "keys": lambda store: store.keys("a/"),
    "put": lambda store: store.put_once("a/b", b"kept"),
    "prepare": lambda store: store.prepare(),
}


@pytest.fixture(scope="module")
def direct(seaweedfs):
    store = S3Store(seaweedfs.endpoint, BUCKET, seaweedfs.environ)
    store.prepare()
    store.put_once("a/b", b"kept")
    return store


@pytest.fixture
def proxy(direct, seaweedfs):
    with fault_proxy(seaweedfs.endpoint) as made:
        yield made


@pytest.fixture
def pauses():
    return []


@pytest.fixture
def store(proxy, seaweedfs, pauses):
    return S3Store(proxy.endpoint, BUCKET, seaweedfs.environ, pause=pauses.append)


@pytest.fixture
def patient(store, proxy):
    """Waits for the exchange; `heard` are its complaints, `rests` its pauses."""
    heard, rests = [], []
    made = Reconnecting(
        store, 5.0, lambda reason, _: heard.append(reason), rests.append,
        lambda: 0.0,
    )  # fmt: skip
    made.heard, made.rests = heard, rests
    return made


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
@pytest.mark.parametrize(
    ("status", "code"),
    [(500, "InternalError"), (503, "SlowDown"), (507, "InsufficientStorage"), (429, "Too")],
)
def test_a_hiccup_is_not_even_noticed_and_a_longer_fault_waited_out(
    proxy, store, patient, pauses, act, status, code
):
    proxy.answer(status, code, times=2)
    act(store)
    assert len(pauses) == 2
    assert pauses[1] > pauses[0]
    proxy.answer(status, code, times=7)
    act(patient)
    assert len(patient.heard) == 2
    assert str(status) in patient.heard[0]
    assert "\n" not in patient.heard[0]


def test_a_server_that_asks_for_rest_gets_it(proxy, store, patient, pauses):
    proxy.answer(503, "SlowDown", times=1, headers={"Retry-After": "3"})
    assert store.get("a/b") == b"kept"
    assert pauses == [3.0]
    proxy.answer(503, "SlowDown", times=1, headers={"Retry-After": "40"})
    with pytest.raises(Busy) as said:
        store.keys("a/")
    assert said.value.seconds == 40.0
    proxy.answer(503, "SlowDown", times=1, headers={"Retry-After": "40"})
    patient.keys("a/")
    assert patient.rests == [40.0]


@pytest.mark.parametrize("header", ["soon", "-5", "9999999", "Wed, 21 Oct 2026 07:28:00 GMT"])
def test_an_odd_wish_for_rest_is_bounded(proxy, patient, header):
    proxy.answer(503, "SlowDown", times=3, headers={"Retry-After": header})
    patient.keys("a/")
    assert all(5.0 <= rest <= 600.0 for rest in patient.rests)


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
def test_a_refusal_is_said_at_once_and_names_the_remedy(proxy, patient, act):
    proxy.answer(403, "AccessDenied", times=9)
    with pytest.raises(NotAllowed, match="set AWS_ACCESS_KEY_ID") as said:
        act(patient)
    assert "\n" not in str(said.value)
    assert patient.heard == []


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
def test_a_clock_an_hour_off_is_said_with_both_times_and_waited_out(proxy, patient, seaweedfs, act):
    theirs = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(1_800_000_000))
    proxy.answer(403, "RequestTimeTooSkewed", times=3, headers={"Date": theirs})
    act(patient)
    assert "there (RequestTimeTooSkewed)" in patient.heard[0] or "there (403)" in patient.heard[0]
    assert "2027-01-15 08:00:00 UTC there" in patient.heard[0]
    assert "set this machine's clock" in patient.heard[0]


def test_the_servers_own_word_on_a_skewed_clock_is_understood(seaweedfs, monkeypatch, direct):
    """Signed an hour ago, answered by the real server."""
    import botocore.auth  # noqa: PLC0415

    now = botocore.auth.get_current_datetime
    ago = datetime.timedelta(hours=1)
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda *a, **k: now(*a, **k) - ago)
    skewed = S3Store(seaweedfs.endpoint, BUCKET, seaweedfs.environ, wall=lambda: time.time() - 3600)
    for act in (lambda: skewed.get("a/b"), lambda: skewed.size("a/b")):
        with pytest.raises(Unreachable, match=r"the clocks differ: it is .* UTC here and .* there"):
            act()


@pytest.mark.parametrize("after", [0, 1, 3])
def test_a_truncated_body_is_read_on_or_waited_out(proxy, store, patient, after):
    proxy.truncate(after, times=1)
    assert store.get("a/b") == b"kept"
    proxy.truncate(0, times=7)
    assert patient.get("a/b") == b"kept"


def test_a_reset_connection_is_tried_again(proxy, store, patient):
    store.get("a/b")
    proxy.reset()
    assert store.get("a/b") == b"kept"
    proxy.cut()
    with pytest.raises(Unreachable, match="see that the server runs"):
        store.get("a/b")
    healed = Reconnecting(store, 5.0, lambda *_: None, lambda _: proxy.mend(), lambda: 0.0)
    assert healed.get("a/b") == b"kept"


def test_an_answer_that_was_lost_on_its_way_does_no_harm(proxy, store, direct):
    """The object stands, the writer did not hear of it, and writes again."""
    proxy.lose_answer()
    store.put_once("lost/answer", b"body")
    assert direct.get("lost/answer") == b"body"
    assert proxy.seen("PUT .*lost/answer") == 2


def test_wrong_bytes_are_refused_by_who_reads_them(proxy, store, direct):
    key = SigningKey.generate(lambda size: b"k" * size)
    direct.put_once("a/envelope", seal({"text": "hello"}, key))
    proxy.corrupt(at=25, times=1)
    with pytest.raises(Refused):
        fetch_envelope(store, "a/envelope", key.public)
    assert fetch_envelope(store, "a/envelope", key.public).payload == {"text": "hello"}


def test_an_error_page_of_something_in_between_is_one_sentence(proxy, store):
    page = b"<html><body>Your proxy says no.\nAsk your administrator.</body></html>"
    for status in (200, 302, 400, 407, 502):
        proxy.answer(status, times=9, body=page, pattern="list-type")
        with pytest.raises((Unreachable, NotAllowed)) as said:
            store.keys("a/")
        assert "\n" not in str(said.value)
        proxy.mend()
