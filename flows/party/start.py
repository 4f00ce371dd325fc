"""`fedcore party start`: the hospital's worker, after a look at its home, until it is stopped."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import sys
import threading
from collections.abc import Iterator, Mapping, MutableMapping
from pathlib import Path

from fedcore.audit.signing import SigningKey
from fedcore.config.address import require_private
from fedcore.config.policy import load_policy
from fedcore.errors import ExchangeError, InputError
from fedcore.exchange.opening import open_store
from flows.party.home import PartyHome
from flows.worker.runner import make_home, process_environ, say, source_root, worker_name

HELD = frozenset({errno.EWOULDBLOCK, errno.EACCES})


def start(home: Path, environ: MutableMapping[str, str] = os.environ) -> None:
    """Serve the party's pool until SIGTERM or Ctrl-C; `InputError` for a home that is not ready."""
    place = PartyHome.load(home)
    own = checked_environ(place, environ)
    with held(place.worker / "worker.lock"):
        environ_of_worker = process_environ(environ, own)
        make_home(environ_of_worker)
        environ.clear()
        environ.update(environ_of_worker)
        _tell_of_exchange(place, environ_of_worker)
        # Only now: Prefect reads its settings when it is imported.
        from flows.worker.job import Post  # noqa: PLC0415
        from flows.worker.party_process import SERVICES  # noqa: PLC0415
        from flows.worker.serve import serve  # noqa: PLC0415

        serve(
            Post(
                pool=place.pool,
                name=worker_name(place.label),
                url=place.prefect_url,
                services=SERVICES,
                command=(sys.executable, "-m", "flows.worker.party_process"),
                environ=environ_of_worker,
                folder=source_root(),
                logs=place.worker / "logs",
            )
        )


def checked_environ(place: PartyHome, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What the worker's processes are told, once key, secrets, policy and data were looked at."""
    SigningKey.load(place.key_path)
    load_policy(place.policy_path)
    if not place.data.is_dir():
        remedy = "put the images there, or correct local.data"
        raise InputError(f"{place.party_file}: the data folder {place.data} is not there: {remedy}")
    own = place.environ()
    known = {**environ, **own}
    require_private(place.exchange.location, known, place.party_file)
    require_private(place.prefect_url, known, place.party_file)
    label = {"FEDCORE_PARTY_HOME": str(place.home), "FEDCORE_PARTY_LABEL": place.label}
    return own | label


@contextlib.contextmanager
def held(path: Path) -> Iterator[None]:
    """Be the only worker of the home; the system lets go however the process ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as refused:
        os.close(descriptor)
        if refused.errno not in HELD:
            raise
        remedy = "stop that one first, or leave it running"
        raise InputError(f"{path.parents[1]}: its worker is running already: {remedy}") from None
    try:
        yield
    finally:
        os.close(descriptor)


def _tell_of_exchange(place: PartyHome, environ: dict[str, str]) -> None:
    """Say in the background whether the exchange is there; sessions wait for it by themselves."""
    threading.Thread(target=_look_at_exchange, args=(place, environ), daemon=True).start()


def _look_at_exchange(place: PartyHome, environ: dict[str, str]) -> None:
    try:
        open_store(place.exchange, environ).keys(f"parties/{place.party_id}/")
    except ExchangeError as trouble:
        say(f"exchange {place.exchange}: {trouble} (sessions wait until it answers)")
        return
    say(f"exchange {place.exchange} answers")
