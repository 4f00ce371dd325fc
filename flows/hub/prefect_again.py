"""What Prefect could not do because its database was busy is done again here, at once.

On SQLite a write whose reads another write has overtaken is undone and answered with status 503.
Prefect's own client then waits for seconds, 2, 4, 8, with nothing else to do. The next free moment
of the database is milliseconds away, and in a crowd it is made: while a request is made again, no
other one that may write begins. Of PostgreSQL nothing of the kind is known, and while it is away
nobody is to stand in a line here.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections import deque
from collections.abc import Awaitable, Callable

from sqlalchemy.exc import OperationalError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

UNAVAILABLE = 503
READING = ("GET", "HEAD", "OPTIONS")
PAUSES = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8)  # seconds, of which a write takes a few thousandths
# Seconds after which a request is not made again: where somebody holds the database for minutes, no
# line is to form here.
PATIENCE = 5.0
log = logging.getLogger("fedcore.hub")


class Again:
    """An ASGI application around Prefect's."""

    def __init__(
        self,
        app: ASGIApp,
        wait: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`wait` lets the given seconds of the `clock` go by."""
        self._app, self._wait, self._clock = app, wait, clock
        self._turn = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, as often as it takes; a socket or the start as they are."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = _Request(receive)
        if scope["method"] not in READING:
            async with self._turn:
                pass
        until = self._clock() + PATIENCE
        answer = await self._asked(scope, request, send)
        if answer.busy:
            async with self._turn:
                await self._again(scope, request, answer, until)

    async def _again(self, scope: Scope, request: _Request, answer: _Answer, until: float) -> None:
        """Make the request as often as it takes; in the end its sender hears that it is busy."""
        for pause in PAUSES:
            if self._clock() >= until:
                break
            await self._wait(pause)
            answer = await self._asked(scope, request, answer.send)
            if not answer.busy:
                return
        log.warning("the database stays busy: %s %s is put off", scope["method"], scope["path"])
        await answer.pass_on()

    async def _asked(self, scope: Scope, request: _Request, send: Send) -> _Answer:
        """The answer, which is on its way unless the database is busy."""
        answer = _Answer(send)
        request.rewind()
        try:
            await self._app({**scope}, request.hear, answer.say)  # where it went is noted in it
        except OperationalError as fault:  # raised on, after the answer, for a server's log
            answer.busy = answer.held and isinstance(fault.orig, sqlite3.OperationalError)
            if not answer.busy:
                raise
        finally:
            if not answer.busy:
                await answer.pass_on()
        return answer


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
    """Passes an answer on as it comes, but for one of status 503, which is held for the moment."""

    def __init__(self, send: Send) -> None:
        self.send = send
        self._held: list[Message] = []
        self.held = self.busy = False

    async def say(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.held = message["status"] == UNAVAILABLE
        if self.held:
            self._held.append(message)
        else:
            await self.send(message)

    async def pass_on(self) -> None:
        for message in self._held:
            await self.send(message)
