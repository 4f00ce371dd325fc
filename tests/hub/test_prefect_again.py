"""A request that met a busy database is made again before its client hears of it."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

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

    def __init__(
        self,
        busy: int,
        why: str = "database is locked",
        kind: type[Exception] = sqlite3.OperationalError,
    ) -> None:
        self.busy, self.why, self.asked = busy, kind(why), list[bytes]()
        self.waited = list[float]()
        self.now = self.takes = 0.0
        api = Starlette(
            routes=[Route("/kept", self.write, methods=["POST"]), Route("/pieces", self.pieces)],
            exception_handlers={Exception: self.unavailable},
        )
        api.add_route("/ready", self.ready)
        app = Starlette(routes=[Mount("/api", api)])  # as Prefect's, which notes it in the scope
        self.line = httpx.AsyncClient(
            transport=httpx.ASGITransport(Again(app, self.wait, lambda: self.now)),
            base_url="http://hub",
        )

    async def write(self, request: Request) -> Response:
        self.asked.append(await request.body())
        self.now += self.takes
        if len(self.asked) <= self.busy:
            raise OperationalError("INSERT", {}, self.why)
        return JSONResponse({"kept": len(self.asked)}, 201)

    async def pieces(self, _: Request) -> Response:
        async def each() -> AsyncIterator[bytes]:
            for piece in (b"one ", b"two"):
                yield piece

        return StreamingResponse(each())

    async def ready(self, _: Request) -> Response:
        return JSONResponse({}, 503)

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
    answer = database.post(b"body")
    assert (answer.status_code, answer.json()) == (503, {"exception_message": "not now"})
    assert len(database.asked) == len(PAUSES) + 1
    assert "the database stays busy: POST /api/kept is put off" in caplog.text


def test_a_database_that_somebody_holds_for_minutes_is_asked_once() -> None:
    database = Database(busy=100)
    database.takes = 60.0
    assert database.post(b"body").status_code == 503
    assert (database.asked, database.waited) == ([b"body"], [])


def test_another_database_that_is_away_is_not_asked_again_and_nobody_waits() -> None:
    database = Database(busy=1, kind=ConnectionError)
    with pytest.raises(OperationalError):
        database.post(b"body")
    assert (database.asked, database.waited) == ([b"body"], [])


def test_an_answer_of_its_own_that_it_is_not_ready_passes_at_once() -> None:
    database = Database(busy=0)
    assert asyncio.run(database.line.get("/api/ready")).status_code == 503
    assert database.waited == []


def test_what_is_broken_is_not_asked_again() -> None:
    database = Database(busy=1, why="disk I/O error")
    with pytest.raises(OperationalError):  # as without us: the answer first, then this for the log
        database.post(b"body")
    assert database.asked == [b"body"]


def test_a_free_database_is_asked_once_and_nobody_waits() -> None:
    database = Database(busy=0)
    assert database.post(b"body").status_code == 201
    assert (database.asked, database.waited) == ([b"body"], [])


def test_other_answers_pass_as_they_come() -> None:
    database = Database(busy=0)
    assert asyncio.run(database.line.get("/nowhere")).status_code == 404
    assert asyncio.run(database.line.get("/api/pieces")).text == "one two"


SENDERS, EACH = 16, 40


def test_a_crowd_of_writers_never_hears_that_the_database_is_busy(party: httpx.Client) -> None:
    """Without us Prefect tells some of them, and lets go of the connection."""
    start = threading.Barrier(SENDERS)

    def beat(number: int) -> list[int]:
        name, path = {"name": f"crowd-{number}"}, "/work_pools/party-77/workers/heartbeat"
        start.wait()
        return [party.post(path, json=name).status_code for _ in range(EACH)]

    with ThreadPoolExecutor(SENDERS) as pool:
        told = [code for one in pool.map(beat, range(SENDERS)) for code in one]
    assert told == [204] * (SENDERS * EACH)
