"""An envelope opens to exactly what its signer sealed, or not at all."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcore.audit.canonical import canonical
from fedcore.audit.signing import SigningKey
from fedcore.errors import NotThere, Refused
from fedcore.exchange.envelope import fetch_envelope, open_envelope, seal, unseal
from fedcore.exchange.memory import MemoryStore

KEY = SigningKey.generate(random.Random(1).randbytes)
OTHER = SigningKey.generate(random.Random(2).randbytes)
PAYLOAD = {"run": "r1", "round": 3, "loss": 0.25, "parties": ["9999", "10000"], "note": "größer"}
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def reason_of(body: bytes, public: str | None = None, **options: int) -> str:
    with pytest.raises(Refused) as refused:
        open_envelope(body, public, **options)
    return refused.value.reason


def forged(**changes: object) -> bytes:
    return canonical({**json.loads(seal(PAYLOAD, KEY)), **changes})


def test_a_changed_payload_is_a_bad_signature():
    assert reason_of(forged(payload={**PAYLOAD, "round": 4})) == "bad_signature"


def test_a_signature_under_another_name_is_bad():
    assert reason_of(forged(signer=OTHER.public)) == "bad_signature"
    assert reason_of(forged(signer="x")) == "bad_signature"
    assert reason_of(forged(signature="")) == "bad_signature"


def test_an_envelope_of_somebody_else_is_the_wrong_signer():
    assert reason_of(seal(PAYLOAD, OTHER), KEY.public) == "wrong_signer"


def test_the_size_is_looked_at_before_anything_else():
    assert reason_of(b" " * (1 << 20) + b" ") == "too_large"
    assert reason_of(seal(PAYLOAD, KEY), limit=100) == "too_large"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"\xff",
        b"[" * 1_000_000,
        b'{"payload":' * 90_000,
        b"1" * 100_000,
        b'{"payload":{"x":NaN},"signature":"","signer":""}',
        b'{"payload":{"x":1e999},"signature":"","signer":""}',
        b'{"payload":{"x":"\\ud800"},"signature":"","signer":""}',
        b'{"payload":[],"signature":"","signer":""}',
        b'{"payload":{},"signature":1,"signer":""}',
        b'{"more":1,"payload":{},"signature":"","signer":""}',
        b'{"payload":{},"payload":{},"signature":"","signer":""}',
    ],
)
def test_what_is_no_envelope_is_refused(body):
    assert reason_of(body) == "not_an_envelope"


def test_another_spelling_of_the_same_json_is_refused():
    sealed = seal(PAYLOAD, KEY)
    for body in (sealed + b"\n", b" " + sealed, sealed.replace(b"0.25", b"0.250")):
        assert reason_of(body) == "not_an_envelope"
    assert reason_of(sealed.replace("ö".encode(), b"\\u00f6")) == "not_an_envelope"


@given(place=st.integers(min_value=0), byte=st.integers(1, 255))
def test_no_changed_byte_goes_through(place, byte):
    body = bytearray(seal(PAYLOAD, KEY))
    body[place % len(body)] ^= byte
    for public in (None, KEY.public):
        with pytest.raises(Refused):
            open_envelope(bytes(body), public)


@given(st.binary(max_size=300) | st.text(max_size=300).map(lambda text: text.encode()))
def test_random_bytes_are_refused_and_nothing_else(body):
    with pytest.raises(Refused):
        open_envelope(body)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "\ud800"])
def test_what_json_cannot_carry_is_not_sealed(value):
    with pytest.raises(ValueError, match=r"."):
        seal({"x": value}, KEY)


@given(st.dictionaries(st.text(), VALUES, max_size=5))
def test_what_is_sealed_is_opened(payload):
    body = seal(payload, KEY)
    assert unseal(body, KEY.public).payload == payload
    assert unseal(body).signer == KEY.public
    assert seal(dict(reversed(payload.items())), KEY) == body


def test_an_endless_object_is_not_read_to_its_end():
    store = MemoryStore()
    store.put_once("a/hello.json", seal(PAYLOAD, KEY))
    store.put_once("a/endless.json", b" " * 5_000_000)
    assert fetch_envelope(store, "a/hello.json", KEY.public).payload == PAYLOAD
    with pytest.raises(Refused, match="1048577 bytes"):
        fetch_envelope(store, "a/endless.json")
    with pytest.raises(NotThere):
        fetch_envelope(store, "a/none.json")
