"""Who may speak to Prefect: a credential of its own for each party, kept as a salted hash.

The file is looked at again at each question, so who is removed is out at once.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from pathlib import Path
from typing import Any

from fedcore.audit.durable import locked
from flows.hub.home import Hub
from flows.hub.private_files import private_folder, read_json, write_json
from flows.hub.secret_store import Pair

FILE = "prefect-users.json"
REMEDY = "restore it, or remove it and run fedcore party rotate for each party"
NAME = "party-"


def add_user(hub: Hub, party_id: str) -> str:
    """Give the party a new credential, in place of an older one; as PREFECT_API_AUTH_STRING."""
    pair = Pair(f"{NAME}{party_id}", secrets.token_urlsafe(30))
    salt = secrets.token_hex(16)
    _change(hub, pair.name, {"salt": salt, "hash": _hash(salt, pair.secret)})
    return pair.auth_string


def remove_user(hub: Hub, party_id: str) -> None:
    """Take the party's credential away; quiet if it has none."""
    _change(hub, f"{NAME}{party_id}", None)


class Users:
    """The credentials in a file, read again whenever the file has changed."""

    def __init__(self, path: Path) -> None:
        """Nothing is read yet; no file means no users."""
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._known: dict[str, Any] = {}

    def knows(self, pair: Pair) -> bool:
        """Whether the secret is the one that was given to that name."""
        self._look()
        held = self._known.get(pair.name, {"salt": "", "hash": ""})
        return hmac.compare_digest(_hash(held["salt"], pair.secret), held["hash"])

    def _look(self) -> None:
        try:
            found = self._path.stat()
        except FileNotFoundError:
            self._seen, self._known = None, {}
            return
        seen = (found.st_mtime_ns, found.st_size, found.st_ino)
        if seen != self._seen:
            self._seen, self._known = seen, read_json(self._path, REMEDY)


def users_path(hub: Hub) -> Path:
    """Where the hashes lie."""
    return hub.secrets.folder / FILE


def _change(hub: Hub, name: str, entry: dict[str, str] | None) -> None:
    path = users_path(hub)
    with locked(private_folder(path.parent) / ".prefect-users.lock"):
        held = read_json(path, REMEDY) if path.exists() else {}
        others = {user: value for user, value in held.items() if user != name}
        write_json(path, others | ({name: entry} if entry else {}))


def _hash(salt: str, secret: str) -> str:
    # One round is enough: the secrets are 240 random bits, which nobody guesses.
    return hashlib.sha256(f"{salt}:{secret}".encode()).hexdigest()
