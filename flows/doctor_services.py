"""What the doctor tries out beyond the machine: Prefect, MLflow and the exchange."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from fedcore.audit.ledger import Ledger
from fedcore.config import Address, PartyFile
from fedcore.config.party import parse_address
from fedcore.errors import Conflict, FedcoreError, NotAllowed
from fedcore.exchange.opening import open_store
from fedcore.exchange.store import ObjectStore
from fedcore.rounds import departure, sealed
from flows.doctor_finding import Finding, lacking, well
from flows.doctor_machine import INSTALL

FIRST = b"first"
PATIENCE = 5.0  # seconds for Prefect's answer
DEFAULT_TRACKING = "mlflow.db in the current folder"


def prefect_api() -> Finding:
    """Whether the configured Prefect API answers; without one, a temporary server is used."""
    try:
        # Prefect takes a second to import and may be missing on a machine that only trains.
        from prefect.client.orchestration import get_client  # noqa: PLC0415
        from prefect.settings import PREFECT_API_URL  # noqa: PLC0415
    except ImportError as away:
        return lacking("prefect api", f"{away.name or 'prefect'} cannot be imported: {INSTALL}")
    url = PREFECT_API_URL.value()
    if not url:
        return well("prefect api", "none is set up: each command starts a temporary server")
    with get_client(httpx_settings={"timeout": PATIENCE}, sync_client=True) as api:
        failure = api.api_healthcheck()
    if failure is not None:
        remedy = "start it (prefect server start), or correct or unset PREFECT_API_URL"
        return lacking(
            "prefect api", f"{_shown(url)}: no answer ({type(failure).__name__}): {remedy}"
        )
    return well("prefect api", f"{_shown(url)} answers")


def tracking(uri: str | None) -> Finding:
    """Whether MLflow can be reached; without a setting, a file in the current folder is used."""
    if uri is None or uri.startswith("sqlite:///"):
        return _tracking_file(uri)
    try:
        # MLflow takes more than a second to import and may be missing.
        from tasks.tracking_client import TrackingAway, connect, reaching  # noqa: PLC0415
    except ImportError as away:
        return lacking("mlflow", f"{away.name or 'mlflow'} cannot be imported: {INSTALL}")
    try:
        api = connect(uri)
        with reaching(uri):
            api.search_experiments(max_results=1)
    except TrackingAway as away:
        return lacking("mlflow", str(away))
    return well("mlflow", f"{_shown(uri)} answers")


def exchange(party_file: PartyFile, path: Path, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Whether the exchange that the party file names can be used, and writes once."""
    text = party_file.address()
    if text is None:
        said = f"{path} names none: all parties' data must lie on this machine"
        yield well("exchange", said)
        return
    try:
        address = _absolute(parse_address(text, path), path)
    except FedcoreError as fault:
        yield lacking("exchange", str(fault))
        return
    yield from exchange_of(address, party_file.local.id, environ)


def exchange_of(
    address: Address, party: str, environ: Mapping[str, str], ledger: Ledger | None = None
) -> Iterator[Finding]:
    """Whether the exchange at `address` can be used by the party, and writes once.

    With the `ledger` of a party's home, what is written is noted there, and the party's
    credentials are expected to be limited to its own folder.
    """
    try:
        store = open_store(address, environ)
        if (
            address.kind == "s3" and ledger is None
        ):  # a share that is not mounted is no folder to make
            store.prepare()
        key = _probe(store, party) if ledger is None else _noted(store, party, ledger)
    except FedcoreError as fault:
        yield lacking("exchange", str(fault))
        return
    yield well("exchange", f"{address}: reached, read and written ({key})")
    yield _once(store, key, address)


def _probe(store: ObjectStore, party: str) -> str:
    """Write a small object and read it again; its key. Raises `ExchangeError`.

    A party's credentials may be limited to its own folder, so that is tried where `doctor/` is
    refused.
    """
    token = secrets.token_hex(8)
    try:
        key = f"doctor/{party}/{token}"
        store.put_once(key, FIRST)
    except NotAllowed:
        key = f"parties/{party}/doctor/{token}"
        store.put_once(key, FIRST)
    store.get(key)
    return key


def _noted(store: ObjectStore, party: str, ledger: Ledger) -> str:
    """`_probe` in the party's own folder, noted before it leaves the hospital."""
    key = f"parties/{party}/doctor/{secrets.token_hex(8)}"
    departure.note_departure(ledger, "probe", sealed.reference(key, FIRST))
    store.put_once(key, FIRST)
    store.get(key)
    return key


def _once(store: ObjectStore, key: str, address: Address) -> Finding:
    """Whether a second writer of other bytes is really refused."""
    try:
        store.put_once(key, b"other")
    except Conflict:
        return well("written once", "a second writer is refused")
    except FedcoreError as fault:
        return lacking("written once", str(fault))
    return lacking(
        "written once",
        f"{address}: a second writer replaced an object: use an S3 server that keeps conditional "
        "writes (If-None-Match), such as SeaweedFS",
    )


def _absolute(address: Address, path: Path) -> Address:
    """A folder is meant relative to the party file that names it."""
    if address.kind == "s3":
        return address
    return Address("folder", str((path.parent / Path(address.location).expanduser()).resolve()))


def _tracking_file(uri: str | None) -> Finding:
    path = Path(uri.removeprefix("sqlite:///")) if uri else Path("mlflow.db")
    folder = path.resolve().parent
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        remedy = "make the folder writable or set MLFLOW_TRACKING_URI to another place"
        return lacking("mlflow", f"{folder}: MLflow's store cannot be written there: {remedy}")
    return well("mlflow", f"local store {path}" if uri else f"local store {DEFAULT_TRACKING}")


def _shown(uri: str) -> str:
    """The address without user name and password."""
    parts = urlsplit(uri)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
