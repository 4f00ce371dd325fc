"""A websocket at the door: who it is stands in its first message, as Prefect's own programs say it.

Each later message is looked at, too, and asks anew whether the party is still known: whoever is
removed hears nothing more and is heard no more.
"""

from __future__ import annotations

import json
import logging
from collections.abc import MutableMapping
from typing import Any, Protocol

from starlette.types import ASGIApp, Receive, Scope, Send

from flows.hub.prefect_rules import Asker, Check, Forbidden, narrowed, rule_for
from flows.hub.secret_store import Pair

API = "/api"
POLICY = 1008  # the websocket's code for "against the rules"
Message = MutableMapping[str, Any]
log = logging.getLogger("fedcore.hub")


class Guest(Asker, Protocol):
    """A party, with the id of its pool."""

    async def pool_id(self) -> str | None:
        """The id of the party's own pool; `None` before there is one."""
        ...


class Doorkeeper(Protocol):
    """Who knows the parties and the coordinator's credential."""

    @property
    def admin(self) -> Pair:
        """The credential that Prefect itself demands."""
        ...

    def party(self, shown: Pair) -> Guest | None:
        """The party whose credential this is, as things stand now."""
        ...


class Socket:
    """One websocket, from its first message on."""

    def __init__(self, door: Doorkeeper, scope: Scope, receive: Receive, send: Send) -> None:
        """Nothing is received yet."""
        self._door, self._scope = door, scope
        self._receive, self._send = receive, send
        self._shown: Pair | None = None
        self._party: Guest | None = None
        self._check: Check | None = None

    async def serve(self, app: ASGIApp) -> None:
        """Let Prefect serve it, with our ears and mouth."""
        await app(self._scope, self._hear, self._say)

    async def _hear(self) -> Message:
        while True:
            message = await self._receive()
            if message["type"] != "websocket.receive":
                return message
            try:
                if self._shown is None:
                    return await self._introduced(message)
                return await self._allowed(message)
            except Forbidden:
                if self._party is None or not self._known:
                    return {"type": "websocket.disconnect", "code": POLICY}
                log.warning("%s: dropped: a message to %s", self._party.pool, self._scope["path"])

    async def _say(self, message: Message) -> None:
        if self._known or message["type"] != "websocket.send":
            await self._send(message)

    @property
    def _known(self) -> bool:
        """Whether nobody has been removed who speaks here."""
        if self._party is None or self._shown is None:
            return True
        return self._door.party(self._shown) is not None

    async def _introduced(self, message: Message) -> Message:
        """The first message: a party's credential is exchanged for the coordinator's."""
        content = _content(message)
        token = content.get("token") if isinstance(content, dict) else None
        name, _, secret = str(token).partition(":")
        self._shown = Pair(name, secret)
        party = self._door.party(self._shown)
        if party is None:
            return message  # the coordinator, or nobody: Prefect itself knows which
        rule = await rule_for(party, "SOCKET", self._scope["path"].removeprefix(API))
        self._party, self._check = party, rule.check
        return _message({**content, "token": self._door.admin.auth_string})

    async def _allowed(self, message: Message) -> Message:
        if self._party is None:
            return message
        if not self._known:
            raise Forbidden
        if self._check is None:
            return message
        if self._check is narrowed:
            return await self._narrowed(self._party, message)
        return _message(await self._check(self._party, _content(message)))

    async def _narrowed(self, party: Guest, message: Message) -> Message:
        """A wish to hear of events: those that concern the party's own pool."""
        content = _content(message)
        own = await party.pool_id()
        if not isinstance(content, dict) or own is None:
            raise Forbidden
        wish = content.get("filter")
        kept = wish if isinstance(wish, dict) else {}
        resource = {"id": [f"prefect.work-pool.{own}"]}
        return _message({**content, "filter": {**kept, "any_resource": resource}})


def _content(message: Message) -> Any:
    text = message.get("text") or message.get("bytes") or b""
    try:
        return json.loads(text)
    except ValueError:
        raise Forbidden from None


def _message(content: Any) -> Message:
    return {"type": "websocket.receive", "text": json.dumps(content)}
