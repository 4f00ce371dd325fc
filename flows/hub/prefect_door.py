"""The door before Prefect: it knows the coordinator and each party, and lets a party do little.

Prefect itself has one credential, the coordinator's. What a party may do is passed on with it; all
else is refused here, and what carries no credential of a party is left to Prefect's own check.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import logging
import math
import time
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any

import httpx
from starlette.types import ASGIApp, Receive, Scope, Send

from flows.hub.prefect_rules import Check, Forbidden, rule_for
from flows.hub.prefect_socket import Socket
from flows.hub.prefect_users import NAME, Users
from flows.hub.secret_store import Pair

API = "/api"
LONGEST_BODY = 16 << 20
REMEMBERED = 10_000
LASTS = 30.0  # seconds for which it is believed whose a pool or deployment is
log = logging.getLogger("fedcore.hub")


@dataclass
class Party:
    """A party that has shown its credential; `pool` is its work pool, and its user's name."""

    pool: str
    inside: Inside

    async def owns(self, kind: str, value: str) -> bool:
        """Whether a `run`, `deployment` or `pool` (by id) is its own."""
        if kind == "pool":
            return await self.pool_id() == value.lower()
        if kind == "deployment":
            found = await self.inside.ask(f"/deployments/{value}", "work_pool_name", LASTS)
        else:  # a flow run stays in its pool for good
            found = await self.inside.ask(f"/flow_runs/{value}", "work_pool_name", math.inf)
        return found == self.pool

    async def pool_id(self) -> str | None:
        """The id of the party's own pool; `None` before there is one."""
        return await self.inside.ask(f"/work_pools/{self.pool}", "id", LASTS)


@dataclass
class Inside:
    """Prefect as the door asks it, with the coordinator's credential.

    What it answered is believed for some seconds: every single event names its pool and
    deployment, and a question to Prefect costs more than all else that is done with an event.
    """

    line: httpx.AsyncClient
    clock: Callable[[], float] = time.monotonic
    known: dict[str, tuple[str, float]] = field(default_factory=dict)

    async def ask(self, path: str, name: str, lasts: float) -> str | None:
        """A field of what Prefect has at `path`; `None` where it has nothing."""
        found, until = self.known.get(path, ("", 0.0))
        if self.clock() < until:
            return found
        # A task of its own: Prefect lets a task that serves a socket make no second request.
        answer = await asyncio.create_task(self.line.get(API + path))
        value = answer.json().get(name) if answer.status_code == httpx.codes.OK else None
        if value is None:
            self.known.pop(path, None)
            return None
        if len(self.known) > REMEMBERED:
            self.known.clear()
        self.known[path] = str(value), self.clock() + lasts
        return str(value)


class Door:
    """An ASGI application around Prefect's."""

    def __init__(self, app: ASGIApp, users: Users, admin: Pair) -> None:
        """`admin` is the credential that Prefect itself demands."""
        self._app, self._users, self._admin = app, users, admin
        line = httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app),
            base_url="http://hub",
            auth=httpx.BasicAuth(admin.name, admin.secret),
        )
        self._inside = Inside(line)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, socket or start."""
        shown = _credential(scope)
        if scope["type"] == "websocket":
            await Socket(self, scope, receive, send).serve(self._app)
        elif scope["type"] != "http" or shown is None or not shown.name.startswith(NAME):
            await self._app(scope, receive, send)
        elif (party := self.party(shown)) is None:
            await _answer(send, 401, f"{shown.name}: this credential is not known (any more): ask "
                          "the coordinator to run fedcore party rotate")  # fmt: skip
        else:
            await self._pass(party, scope, receive, send)

    def party(self, shown: Pair) -> Party | None:
        """The party whose credential this is, as things stand now."""
        known = shown.name.startswith(NAME) and self._users.knows(shown)
        return Party(shown.name, self._inside) if known else None

    @property
    def admin(self) -> Pair:
        """The credential that Prefect itself demands."""
        return self._admin

    async def _pass(self, party: Party, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what the table allows, as the coordinator's; refuse the rest in a sentence."""
        method, path = scope["method"], scope["path"].removeprefix(API)
        try:
            rule = await rule_for(party, method, path)
            body = await _whole(receive)
            if rule.check is not None:
                body = await _checked(rule.check, party, body)
        except Forbidden:
            log.warning("%s: refused: %s %s", party.pool, method, path)
            await _answer(send, 403, f"{party.pool} may not {method} {path}: a party's credential "
                          "reaches its own work pool and flow runs alone")  # fmt: skip
            return
        await self._app(_as_admin(scope, self._admin, len(body)), _replayed(body, receive), send)


async def _checked(check: Check, party: Party, body: bytes) -> bytes:
    try:
        content = json.loads(body)
    except ValueError:
        raise Forbidden from None
    return json.dumps(await check(party, content)).encode()


async def _whole(receive: Receive) -> bytes:
    """The body of a request, as far as it is of a size that is ever sent in earnest."""
    body = b""
    while len(body) <= LONGEST_BODY:
        message = await receive()
        body += bytes(message.get("body", b""))
        if not message.get("more_body"):
            return body
    raise Forbidden


def _replayed(body: bytes, receive: Receive) -> Receive:
    """What was read already, and afterwards whatever comes."""
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> MutableMapping[str, Any]:
        return waiting.pop() if waiting else await receive()

    return again


def _as_admin(scope: Scope, admin: Pair, length: int) -> Scope:
    word = base64.b64encode(admin.auth_string.encode())
    changed = {b"authorization": b"Basic " + word, b"content-length": str(length).encode()}
    kept = [(name, value) for name, value in scope["headers"] if name.lower() not in changed]
    present = {name.lower() for name, _ in scope["headers"]}
    return {**scope, "headers": kept + [one for one in changed.items() if one[0] in present]}


def _credential(scope: Scope) -> Pair | None:
    """Name and secret of a request that shows some."""
    for name, value in scope.get("headers", ()):
        if name.lower() == b"authorization" and value[:6].lower() == b"basic ":
            try:
                text = base64.b64decode(value[6:], validate=True).decode()
            except (binascii.Error, UnicodeDecodeError):
                return None
            user, _, secret = text.partition(":")
            return Pair(user, secret)
    return None


async def _answer(send: Send, status: int, sentence: str) -> None:
    body = json.dumps({"detail": sentence, "exception_message": sentence}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
