"""A request that met a busy database is made again before its client hears of it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator

import httpx
import pytest
from sqlalchemy.exc import OperationalError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route

from flows.hub.prefect_again import PAUSES, Again


class Database:
    """Is busy as often as the test says; `asked` holds each body that came."""

    def __init__(self, busy: int) -> None:
        self.busy, self.asked = busy, list[bytes]()
        self.waited = list[float]()
        api = Starlette(
            routes=[Route("/kept", self.write, methods=["POST"]), Route("/pieces", self.pieces)],
            exception_handlers={Exception: self.unavailable},
        )
        app = Starlette(routes=[Mount("/api", api)])  # as Prefect's, which notes it in the scope
        self.line = httpx.AsyncClient(
            transport=httpx.ASGITransport(Again(app, self.wait)), base_url="http://hub"
        )

    async def write(self, request: Request) -> Response:
        self.asked.append(await request.body())
        if len(self.asked) <= self.busy:
            raise OperationalError("INSERT", {}, sqlite3.OperationalError("database is locked"))
        return JSONResponse({"kept": len(self.asked)}, 201)

    async def pieces(self, _: Request) -> Response:
        async def each() -> AsyncIterator[bytes]:
            for piece in (b"one ", b"two"):
                yield piece

        return StreamingResponse(each())

    async def unavailable(self, _: Request, failure: Exception) -> Response:
        locked = "locked" in str(failure)
        return JSONResponse({"exception_message": "not now"}, 503 if locked else 500)

    async def wait(self, seconds: float) -> None:
        self.waited.append(seconds)

    def post(self, *pieces: bytes) -> httpx.Response:
        async def body() -> AsyncIterator[bytes]:
            for piece in pieces:
                yield piece

        return asyncio.run(self._post(body()))

    async def _post(self, body: AsyncIterator[bytes]) -> httpx.Response:
        return await self.line.post("/api/kept", content=body)


@pytest.mark.parametrize("busy", [1, 2, len(PAUSES)])
def test_a_busy_database_is_asked_again_with_the_same_body(busy: int) -> None:
    database = Database(busy)
    answer = database.post(b"first ", b"second")
    assert (answer.status_code, answer.json()) == (201, {"kept": busy + 1})
    assert database.asked == [b"first second"] * (busy + 1)
    assert database.waited == list(PAUSES[:busy])


def test_a_database_that_stays_busy_is_left_to_the_client(caplog: pytest.LogCaptureFixture) -> None:
    database = Database(busy=100)
    with pytest.raises(OperationalError):  # as without us: the answer first, then this for the log
        database.post(b"body")
    assert len(database.asked) == len(PAUSES) + 1
    assert "the database stays busy: POST /api/kept is put off" in caplog.text


def test_a_free_database_is_asked_once_and_nobody_waits() -> None:
    database = Database(busy=0)
    assert database.post(b"body").status_code == 201
    assert (database.asked, database.waited) == ([b"body"], [])


def test_other_answers_pass_as_they_come() -> None:
    database = Database(busy=0)
    assert asyncio.run(database.line.get("/nowhere")).status_code == 404
    assert asyncio.run(database.line.get("/api/pieces")).text == "one two"
