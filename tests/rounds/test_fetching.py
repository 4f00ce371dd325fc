"""Large objects on their way in: what a line changes is fetched again, what is wrong is refused."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from fedcore.audit import durable
from fedcore.errors import Refused
from fedcore.exchange.folder import FolderStore
from fedcore.exchange.memory import MemoryStore
from fedcore.exchange.store import ObjectStore
from fedcore.rounds import sealed
from fedcore.rounds.messages import ObjectRef

BODY = bytes(range(256)) * 40
HELD = memoryview(BODY)


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


def of_memory(_: Path) -> MemoryStore:
    return MemoryStore()


def of_folder(place: Path) -> FolderStore:
    store = FolderStore(place / "exchange", lasting=False)
    store.prepare()
    return store


def handed_over(store: ObjectStore, ref: ObjectRef, _: Path) -> None:
    sealed.put_hashed(store, ref, memoryview(BODY))


def handed_over_as_a_file(store: ObjectStore, ref: ObjectRef, place: Path) -> None:
    durable.replace_and_hash(place / "final", BODY)
    sealed.put_hashed_file(store, ref, place / "final")


def handed_over_and_held(store: ObjectStore, ref: ObjectRef, _: Path) -> None:
    sealed.put_hashed(store, ref, HELD)


def put_again(store: ObjectStore, ref: ObjectRef, _: Path) -> None:
    sealed.put_hashed(store, ref.model_copy(update={"key": "first"}), HELD)
    sealed.put_again(store, ref, "first", HELD)


WAYS = pytest.mark.parametrize(
    "way", [handed_over, handed_over_as_a_file, handed_over_and_held, put_again]
)


@WAYS
@pytest.mark.parametrize("made", [of_memory, of_folder])
def test_what_was_handed_over_with_its_hash_is_not_hashed_again(
    made: Callable[[Path], ObjectStore], way: Callable[..., None], tmp_path: Path
) -> None:
    store = made(tmp_path)
    ref = sealed.reference("body", BODY).model_copy(update={"sha256": "as the writer says"})
    way(store, ref, tmp_path)
    assert sealed.fetch(store, ref) == BODY


@WAYS
def test_in_an_exchange_that_lasts_and_for_everybody_else_all_is_hashed(
    way: Callable[..., None], tmp_path: Path
) -> None:
    ours, lasts = of_folder(tmp_path), FolderStore(tmp_path / "exchange")
    ref = sealed.reference("body", BODY).model_copy(update={"sha256": "as the writer says"})
    way(ours, ref, tmp_path)
    another = ref.model_copy(update={"key": "another"})
    way(lasts, another, tmp_path)
    for store, one in ((lasts, ref), (of_folder(tmp_path), ref), (lasts, another)):
        with pytest.raises(Refused, match="wrong_hash"):
            sealed.fetch(store, one)


def written_to(place: Path) -> None:
    place.chmod(0o644)
    with place.open("r+b") as file:
        file.write(b"changed")


def replaced(place: Path) -> None:
    (place.parent / "new").write_bytes(b"changed" + BODY[7:])
    (place.parent / "new").replace(place)


@WAYS
@pytest.mark.parametrize("touch", [written_to, replaced])
def test_a_file_that_was_touched_behind_the_exchange_is_hashed_anew_and_refused(
    touch: Callable[[Path], None], way: Callable[..., None], tmp_path: Path
) -> None:
    store, ref = of_folder(tmp_path), sealed.reference("body", BODY)
    way(store, ref, tmp_path)
    touch(tmp_path / "exchange" / "body")
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


def test_what_its_writer_still_holds_is_not_read_again(tmp_path: Path) -> None:
    store, body = of_folder(tmp_path), memoryview(bytes(BODY))
    sealed.put_hashed(store, sealed.reference("body", body), body)
    assert store.own.known("body")[0] is body
    sealed.put_again(store, sealed.reference("again", body), "body", body)
    assert (tmp_path / "exchange" / "again").samefile(tmp_path / "exchange" / "body")
    assert store.own.known("again")[0] is body
    del body
    assert store.own.known("body") == (BODY, sealed.reference("body", BODY).sha256)
