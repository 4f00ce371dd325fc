"""Keys: one per place, private, and only the right one verifies."""

from __future__ import annotations

import os
import random
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcore.audit.signing import SigningKey, verify
from fedcore.errors import InputError

KEY = SigningKey.generate(random.Random(1).randbytes)
CREATOR = """
import os, sys
from pathlib import Path
from fedcore.audit.signing import SigningKey
sys.stdin.readline()
print(SigningKey.load_or_create(Path(sys.argv[1]), os.urandom).public)
"""
NOT_ED25519 = """-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VuBCIEIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA
-----END PRIVATE KEY-----
"""


def test_a_key_that_others_can_read_is_refused(tmp_path):
    KEY.save(tmp_path / "key.pem")
    (tmp_path / "key.pem").chmod(0o640)
    with pytest.raises(InputError, match="chmod 600"):
        SigningKey.load(tmp_path / "key.pem")


@pytest.mark.parametrize("content", ["", "nonsense", NOT_ED25519])
def test_what_is_no_key_is_refused(tmp_path, content):
    (tmp_path / "key.pem").touch(mode=0o600)
    (tmp_path / "key.pem").write_text(content)
    with pytest.raises(InputError, match="no Ed25519 private key"):
        SigningKey.load_or_create(tmp_path / "key.pem", os.urandom)


def test_a_missing_key_or_an_unwritable_place_is_said(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        SigningKey.load(tmp_path / "none.pem")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written"):
        KEY.save(tmp_path / "file" / "key.pem")


def test_an_existing_key_is_never_replaced(tmp_path):
    path = tmp_path / "keys" / "key.pem"
    assert KEY.save(path)
    assert not SigningKey.generate(os.urandom).save(path)
    assert SigningKey.load_or_create(path, os.urandom).public == KEY.public


def test_racing_processes_end_with_one_key(tmp_path):
    path = tmp_path / "keys" / "key.pem"
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", CREATOR, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    assert {racer.communicate(timeout=60)[0].strip() for racer in racers} == {
        SigningKey.load(path).public
    }
    assert [file.name for file in path.parent.iterdir()] == ["key.pem"]
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_private_part_is_not_shown():
    assert KEY.private.private_bytes_raw().hex() not in repr(KEY)
    assert repr(KEY) == "SigningKey()"


@given(message=st.binary(max_size=100), place=st.integers(0, 63), byte=st.integers(1, 255))
def test_only_the_right_signature_of_the_right_message_verifies(message, place, byte):
    signature = KEY.sign(message)
    assert signature == KEY.sign(message)
    assert verify(KEY.public, message, signature)
    assert not verify(KEY.public, message + b"x", signature)
    changed = bytearray.fromhex(signature)
    changed[place] ^= byte
    assert not verify(KEY.public, message, changed.hex())


@given(public=st.text(max_size=70), signature=st.text(max_size=130))
def test_nonsense_never_verifies(public, signature):
    assert not verify(public, b"message", signature)
    assert not verify(KEY.public, b"message", signature)
    assert not verify("f" * 64, b"message", KEY.sign(b"message"))
