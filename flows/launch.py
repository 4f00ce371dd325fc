"""From the two files and a data folder to seats: who of the parties sits on this machine."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from fedcore.config.party import Address, PartyFile, PartyRef, parse_address
from fedcore.config.pretrain import NO_FOLDER
from fedcore.config.task import TaskFile
from fedcore.errors import DataError, PartyFileError
from fedcore.rounds.identity import members_of, run_id
from tasks.seat import COORDINATOR, Seat

STATE = ".fedcore"


@dataclass(frozen=True)
class Order:
    """What the command line asks for."""

    task: TaskFile
    task_path: Path
    party_file: PartyFile
    party_path: Path
    data: Path
    output: Path
    reconnect_interval: float = 5.0
    run: str | None = None
    tracking_uri: str | None = None
    pretrain: Path | None = None


@dataclass(frozen=True)
class Plan:
    """The seats on this machine: the coordinator's where the guest sits, and the local parties'."""

    run: str
    coordinator: Seat | None
    parties: tuple[Seat, ...]
    exchange: Address

    def starting_from(self, weights: Path | None) -> Plan:
        """The same plan with the weights that the initial model is made of."""
        named = {"weights": None if weights is None else str(weights.resolve())}
        return replace(self, parties=tuple(one.model_copy(update=named) for one in self.parties))


def plan(order: Order) -> Plan:
    """Decide between the two forms and lay out the seats.

    All parties are local when the data folder has a sub-folder named after every party id, or the
    party file gives every party a local data folder; they then meet in a folder beside the output.
    Otherwise this machine seats the local party alone, and `address` says where all meet.
    """
    _require_named_parties(order)
    folders = _local_folders(order)
    alone = len(folders) < len(order.party_file.parties)
    exchange = (
        _meeting_place(order) if alone else Address("folder", str(_state(order) / "exchange"))
    )
    name = run_id(order.task, [party.id for party in order.party_file.parties], order.run)
    guest = order.party_file.guest.id
    seats = []
    for party, folder in sorted(folders.items(), key=lambda item: (item[0] != guest, item[0])):
        output = order.output if alone or party == guest else None
        seats.append(_seat(order, name, exchange, party, folder, output))
    lead = _seat(order, name, exchange, COORDINATOR) if guest in folders else None
    return Plan(name, lead, tuple(seats), exchange)


def _require_named_parties(order: Order) -> None:
    """A party that joined a coordinator starts no training by a command of its own."""
    if not order.party_file.remote:
        raise PartyFileError(
            f"{order.party_path}: remote is []: this party joined a coordinator, which starts the "
            "trainings: run fedcore party start, or name the other parties"
        )


def _local_folders(order: Order) -> dict[str, Path]:
    """Which parties' data lie on this machine: party id -> folder."""
    parties = order.party_file.parties
    beside = {party.id: order.data / party.id for party in parties}
    if all(folder.is_dir() for folder in beside.values()):
        return beside
    named = {party.id: _named_folder(order, party) for party in parties if party.data}
    if len(named) == len(parties):
        return named
    found = sorted(party for party, folder in beside.items() if folder.is_dir())
    if found:
        missing = sorted(beside.keys() - set(found))[0]
        raise DataError(
            f"{order.data}: it has a sub-folder for party {found[0]} and none for {missing}: add "
            f"{order.data / missing}, or name the folder of your own party alone"
        )
    local = order.party_file.local
    return {local.id: named.get(local.id, order.data)}


def _named_folder(order: Order, party: PartyRef) -> Path:
    """A folder that the party file names, relative to that file."""
    return (order.party_path.parent / str(party.data)).resolve()


def _meeting_place(order: Order) -> Address:
    text = order.party_file.address()
    if text is None:
        raise PartyFileError(
            f"{order.party_path}: remote.address is missing: write the exchange's host:port (S3) "
            "or a folder that all parties see"
        )
    address = parse_address(text, order.party_path)
    if address.kind == "s3":
        return address
    return Address("folder", str((order.party_path.parent / address.location).resolve()))


def _public_folder(order: Order, owner: str) -> str | None:
    """The guest's folder of public images: from the command, else from the party file.

    Raises `DataError` where the task asks for one and nobody names it.
    """
    guest = order.party_file.guest
    if owner != guest.id:
        return None
    if order.pretrain is not None:
        return str(order.pretrain.resolve())
    if guest.pretrain:
        return str((order.party_path.parent / guest.pretrain).resolve())
    if order.task.pretrain is not None:
        raise DataError(NO_FOLDER)  # before anything is started
    return None


def _state(order: Order) -> Path:
    return (order.output / STATE).resolve()


def _seat(
    order: Order,
    run: str,
    exchange: Address,
    owner: str,
    data: Path | None = None,
    output: Path | None = None,
) -> Seat:
    pinned = {one.id: one.public_key for one in order.party_file.parties if one.public_key}
    lead = order.party_file.coordinator
    return Seat(
        run=run,
        owner=owner,
        task=order.task,
        members=members_of(order.party_file),
        exchange=exchange,
        state=str(_state(order)),
        data=str(data.resolve()) if data else None,
        pretrain=_public_folder(order, owner),
        output=str(output.resolve()) if output else None,
        pinned=pinned,
        coordinator_key=lead.public_key if lead else None,
        modality=_modality(order, owner),
        reconnect_interval=order.reconnect_interval,
        tracking_uri=order.tracking_uri,
    )


def _modality(order: Order, owner: str) -> str | None:
    """What the party's images are, by the party file; the coordinator has none."""
    named = {party.id: party.modality for party in order.party_file.parties}
    modality = named.get(owner)
    if owner in named:
        order.task.seen_by(modality)  # a slip is told before anything is started
    return modality
