"""The spool: trained updates that wait on the party's own disk until they have left for good."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from fedcore.audit.durable import hash_chunks, hash_file, replace_and_hash, replace_with
from fedcore.config.base import Section
from fedcore.exchange import keys
from fedcore.rounds import sealed
from fedcore.rounds.messages import LATE, NOT_YET, Combined, ObjectRef
from fedcore.rounds.party.desk import Desk


class Spooled(Section):
    """An update as it waits: the round and the weights it was trained in, its hash, its metrics.

    `normaliser` is what FedNova divides it by, 1 with every other strategy.
    """

    trained_in: int
    base: str
    sha256: str
    metrics: dict[str, float]
    normaliser: float = 1.0


def keep_body(desk: Desk, number: int, body: memoryview) -> str:
    """Keep the update of round `number`, which is not valid yet; its SHA-256."""
    place = update_path(desk, number)
    if _in_memory(desk):
        sha256 = hash_chunks([body])
        desk.near.keep_update(place, sha256, body)
    else:
        sha256 = replace_and_hash(place, body, lasting=desk.lasting)
        desk.near.keep_written(place, sha256)
    return sha256


def keep(desk: Desk, spooled: Spooled) -> None:
    """Write the note that makes the update valid."""
    note = spooled.model_dump_json().encode()
    replace_with(_note_path(desk, spooled.trained_in), [note], lasting=desk.lasting)


def find(desk: Desk, number: int, base: str) -> Spooled | None:
    """What was trained in round `number` from these very weights; `None` if nothing whole is."""
    spooled = _read(desk, number)
    return spooled if spooled is not None and spooled.base == base else None


def find_late(desk: Desk, number: int) -> Spooled | None:
    """What was trained in an earlier round, missed it, and by the task file counts in this one.

    Neither what was combined already nor what was refused for itself is offered again, nor what
    is older than `max_staleness` rounds.
    """
    if desk.task.federation.late != "next_round":
        return None
    most = desk.task.federation.max_staleness
    oldest = 0 if most is None else number - most
    for earlier in sorted(_rounds(desk), reverse=True):
        spooled = _read(desk, earlier) if oldest <= earlier < number else None
        if spooled is not None and not _is_settled(desk, spooled, number):
            return spooled
    return None


def reference(desk: Desk, spooled: Spooled) -> ObjectRef:
    """What a reply says of the update; it lies under the round that it was trained in."""
    place = update_path(desk, spooled.trained_in)
    near = desk.near.update(place, spooled.sha256)
    size = place.stat().st_size if near is None else near.nbytes
    key = keys.update(desk.party, desk.run, spooled.trained_in)
    return ObjectRef(key=key, sha256=spooled.sha256, size=size)


def send(desk: Desk, spooled: Spooled, ref: ObjectRef) -> None:
    """Put the update into the exchange, from memory where it lies only there."""
    place = update_path(desk, spooled.trained_in)
    near = desk.near.update(place, spooled.sha256)
    if near is not None:
        sealed.put_hashed(desk.store, ref, near)
    elif desk.near.written(place, spooled.sha256):
        sealed.put_hashed_file(desk.store, ref, place)
    else:
        desk.store.put_file_once(ref.key, place)


def update_path(desk: Desk, number: int) -> Path:
    """Where the update that was trained in round `number` waits."""
    return desk.spool / f"update-{number:05d}.safetensors"


def forget(desk: Desk, number: int) -> None:
    """The update of round `number` is in the exchange, and nobody offers it again."""
    place = update_path(desk, number)
    desk.near.forget_update(place)
    if not desk.lasting:  # else it is there for whoever comes back after a power cut
        place.unlink(missing_ok=True)


def forget_before(desk: Desk, number: int) -> None:
    """Earlier updates are in the exchange and in the ledger; free their disk space."""
    for path in desk.spool.glob("update-*"):
        if path.name < f"update-{number:05d}":
            path.unlink(missing_ok=True)
            desk.near.forget_update(path.with_suffix(update_path(desk, number).suffix))


def _in_memory(desk: Desk) -> bool:
    """Whether an update waits in memory: it goes nowhere else, and is to survive nothing."""
    own = desk.store.own
    return not desk.lasting and own is not None and own.in_memory


def _is_settled(desk: Desk, spooled: Spooled, number: int) -> bool:
    """Whether a round since then has combined this update, or refused it for what it is."""
    public = desk.coordinator_key()
    for one in range(spooled.trained_in, number):
        combined = sealed.read_if_there(desk.store, keys.combined(desk.run, one), Combined, public)
        if combined is None:
            continue
        reason = combined.absent.get(desk.party, LATE)
        if combined.updates.get(desk.party) == spooled.sha256 or reason not in NOT_YET:
            return True
    return False


def _read(desk: Desk, number: int) -> Spooled | None:
    path = update_path(desk, number)
    try:
        spooled = Spooled.model_validate_json(_note_path(desk, number).read_bytes())
        near = desk.near.update(path, spooled.sha256) is not None
        known = near or desk.near.written(path, spooled.sha256)
        whole = known or (path.exists() and hash_file(path) == spooled.sha256)
    except (FileNotFoundError, ValidationError):
        return None
    return spooled if whole and spooled.trained_in == number else None


def _rounds(desk: Desk) -> list[int]:
    return [int(path.stem.removeprefix("update-")) for path in desk.spool.glob("update-*.json")]


def _note_path(desk: Desk, number: int) -> Path:
    return desk.spool / f"update-{number:05d}.json"
