"""Large objects on their way in: what a line changes is fetched again, what is wrong is refused."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from fedcore.errors import Refused
from fedcore.exchange.memory import MemoryStore
from fedcore.rounds import sealed
from fedcore.rounds.messages import ObjectRef

BODY = bytes(range(256)) * 40


class Noisy(MemoryStore):
    """A store whose line changes a byte in the first so many answers."""

    def __init__(self, spoiled: int) -> None:
        super().__init__()
        self.spoiled = spoiled

    def view(self, key: str) -> memoryview:
        body = super().view(key)
        self.spoiled -= 1
        return body if self.spoiled < 0 else memoryview(bytes([*body[:-1], body[-1] ^ 1]))

    def get_to_file(self, key: str, path: Path) -> str:
        path.write_bytes(self.get(key))
        return hashlib.sha256(path.read_bytes()).hexdigest()


def in_memory(store: MemoryStore, ref: ObjectRef, _: Path) -> bytes:
    return sealed.fetch(store, ref)


def as_a_file(store: MemoryStore, ref: ObjectRef, folder: Path) -> bytes:
    sealed.fetch_to_file(store, ref, folder / "body")
    return (folder / "body").read_bytes()


@pytest.mark.parametrize("way", [in_memory, as_a_file])
@pytest.mark.parametrize("spoiled", [0, 1])
def test_one_changed_byte_on_the_line_is_read_again(
    way: Callable[..., bytes], spoiled: int, tmp_path: Path
) -> None:
    store = Noisy(spoiled)
    store.put_once("body", BODY)
    assert way(store, sealed.reference("body", BODY), tmp_path) == BODY


@pytest.mark.parametrize("way", [in_memory, as_a_file])
def test_what_is_wrong_each_time_is_refused_and_leaves_no_file(
    way: Callable[..., bytes], tmp_path: Path
) -> None:
    store = Noisy(1000)
    store.put_once("body", BODY)
    with pytest.raises(Refused) as refused:
        way(store, sealed.reference("body", BODY), tmp_path)
    assert refused.value.reason == "wrong_hash"
    assert not list(tmp_path.iterdir())


def test_what_was_handed_over_with_its_hash_is_not_hashed_again() -> None:
    store, body = MemoryStore(), memoryview(BODY)
    ref = sealed.reference("body", BODY).model_copy(update={"sha256": "as the writer says"})
    sealed.put_hashed(store, ref, body)
    assert sealed.fetch(store, ref) == BODY


@pytest.mark.parametrize("spoiled", [1, 1000])
def test_other_bytes_than_those_handed_over_are_hashed(spoiled: int) -> None:
    store, ref = Noisy(spoiled), sealed.reference("body", BODY)
    sealed.put_hashed(store, ref, memoryview(BODY))
    if spoiled == 1:
        assert sealed.fetch(store, ref) == BODY
        return
    with pytest.raises(Refused, match="wrong_hash"):
        sealed.fetch(store, ref)


def test_a_hash_is_not_believed_of_a_body_that_was_there_before() -> None:
    store, ref = MemoryStore(), sealed.reference("body", BODY)
    store.put_once("body", bytes(BODY))
    sealed.put_hashed(
        store, ref.model_copy(update={"sha256": "another"}), memoryview(bytes([*BODY]))
    )
    with pytest.raises(Refused, match="wrong_hash"):
        sealed.fetch(store, ref.model_copy(update={"sha256": "another"}))
