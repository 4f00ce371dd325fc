"""What Prefect could not do because its database was busy is done again here, at once.

On SQLite a write whose reads another write has overtaken is undone and answered with status 503.
Prefect's own client then waits for seconds, 2, 4, 8, with nothing else to do: a training of many
parties, whose requests come in crowds, would spend half of its rounds so. The next free moment of
the database is milliseconds away.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable

from asyncpg.exceptions import PostgresError
from sqlalchemy.exc import SQLAlchemyError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

BUSY = 503
PAUSES = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8)  # seconds, of which a write takes a few thousandths
log = logging.getLogger("fedcore.hub")


class Again:
    """An ASGI application around Prefect's."""

    def __init__(
        self, app: ASGIApp, wait: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        """`wait` lets the given seconds go by."""
        self._app, self._wait = app, wait

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, as often as it takes; a socket or the start as they are."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = _Request(receive)
        for pause in PAUSES:
            if not await self._busy(scope, request, send):
                return
            await self._wait(pause)
        log.warning("the database stays busy: %s %s is put off", scope["method"], scope["path"])
        await self._app(scope, request.hear, send)

    async def _busy(self, scope: Scope, request: _Request, send: Send) -> bool:
        """Serve it unless the database is busy: then nothing is answered yet."""
        answer = _Answer(send)
        try:
            await self._app({**scope}, request.hear, answer.say)  # where it went is noted in it
        except (SQLAlchemyError, PostgresError):  # raised on, after the answer, for a server's log
            if not answer.busy:
                raise
        if answer.busy:
            request.rewind()
        return answer.busy


class _Request:
    """What was sent, to be heard once more."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._heard: list[Message] = []
        self._next: deque[Message] = deque()

    async def hear(self) -> Message:
        if self._next:
            return self._next.popleft()
        message = await self._receive()
        self._heard.append(message)
        return message

    def rewind(self) -> None:
        self._next = deque(self._heard)


class _Answer:
    """Passes an answer on as it comes, but for one that says that the database is busy."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.busy = False

    async def say(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.busy = message["status"] == BUSY
        if not self.busy:
            await self._send(message)
