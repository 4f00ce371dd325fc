"""A proxy that misbehaves on demand, in front of any real server: every fault of a network.

    with fault_proxy("127.0.0.1:8333") as proxy:
        store = S3Store(proxy.endpoint, "bucket", environ)
        proxy.answer(503, "SlowDown", times=2, headers={"Retry-After": "1"})
        proxy.limit(64 * 1024)
        ...
        proxy.mend()

It passes TCP through unchanged (signatures hold, TLS and websockets pass) and understands enough
of HTTP to act on chosen requests. Every switch may be thrown from a test at any time while
connections are open; `mend` puts all of them back. Switches of the line (`cut`, `stall`,
`half_open`, `delay`, `limit`) act on every connection and on TLS, too. Switches of requests
(`answer`, `truncate`, `corrupt`, `lose_answer`, `cut_upload`) act on the next `times` requests
whose "METHOD /path?query" matches `pattern`, and on plain HTTP only.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from fault_connection import BLOCK, Connection, Ended, Request, Rule, reset


@dataclass
class _Line:
    """The state of all connections; read and changed in the proxy's own thread only."""

    cut: bool = False
    stalled: bool = False
    half_open: bool = False
    delay: float = 0.0
    rate: float | None = None
    rules: list[Rule] = field(default_factory=list)


class FaultProxy:
    """Listens on `listen` and passes everything on to `upstream`, a `host:port`."""

    def __init__(self, upstream: str, port: int = 0, listen: str = "127.0.0.1") -> None:
        host, _, number = upstream.removeprefix("http://").removeprefix("https://").rpartition(":")
        self._upstream = (host, int(number))
        self._listen, self._wanted_port = listen, port
        self._line = _Line()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._ready = threading.Event()
        self._news = threading.Condition()
        self._tasks: set[asyncio.Task[None]] = set()
        self._open: set[asyncio.StreamWriter] = set()
        self._due = {"up": 0.0, "down": 0.0}
        self.port = 0
        self.requests: list[Request] = []
        self.passed = {"up": 0, "down": 0}

    @property
    def address(self) -> str:
        """Where it listens, as `127.0.0.1:PORT`."""
        return f"{self._listen}:{self.port}"

    @property
    def endpoint(self) -> str:
        """The same as a URL."""
        return f"http://{self.address}"

    def start(self) -> FaultProxy:
        """Listen; `port` is known afterwards."""
        self._thread.start()
        if not self._ready.wait(10):
            raise RuntimeError("the fault proxy does not start")
        return self

    def stop(self) -> None:
        """End all connections and listen no more."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def mend(self) -> None:
        """Put every switch back; connections that `half_open` held are reset, being empty."""
        self._do(lambda: setattr(self, "_line", _Line()))

    def cut(self) -> None:
        """Reset every open connection, and each new one at once, until `mend`."""

        def act() -> None:
            self._line.cut = True
            self._reset_open()

        self._do(act)

    def reset(self) -> None:
        """Reset the connections that are open now; new ones pass."""
        self._do(self._reset_open)

    def stall(self) -> None:
        """Let no byte pass in either direction and close nothing, until `mend`."""
        self._do(lambda: setattr(self._line, "stalled", True))

    def half_open(self) -> None:
        """Accept new connections and never answer them, until `mend`; open ones stall."""

        def act() -> None:
            self._line.half_open = self._line.stalled = True

        self._do(act)

    def delay(self, seconds: float) -> None:
        """Hold back each block of up to 16 KiB, in each direction, for so long."""
        self._do(lambda: setattr(self._line, "delay", seconds))

    def limit(self, bytes_per_second: float) -> None:
        """Let no more pass in each direction, over all connections together."""
        self._do(lambda: setattr(self._line, "rate", bytes_per_second))

    def answer(
        self,
        status: int,
        code: str = "Fault",
        *,
        times: int = 1,
        pattern: str = "",
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> None:
        """Answer with an HTTP status in the server's place; S3's error `code` is in the body."""
        text = f"<Error><Code>{code}</Code><Message>a fault on demand</Message></Error>".encode()
        content = text if body is None else body
        lines = [f"HTTP/1.1 {status} Fault", f"Content-Length: {len(content)}", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        head = "\r\n".join([*lines, "", ""]).encode()
        self._rule(Rule("answer", re.compile(pattern), times, reply=head, body=content))

    def truncate(self, after: int, *, times: int = 1, pattern: str = "^GET") -> None:
        """End the connection once `after` bytes of the answer's body have passed."""
        self._rule(Rule("truncate", re.compile(pattern), times, after=after))

    def corrupt(self, at: int = 0, *, times: int = 1, pattern: str = "^GET") -> None:
        """Pass the answer with the byte at `at` of its body changed."""
        self._rule(Rule("corrupt", re.compile(pattern), times, after=at))

    def lose_answer(self, *, times: int = 1, pattern: str = "^PUT") -> None:
        """Reset the connection when the answer comes: the server acted and nobody hears of it."""
        self._rule(Rule("lose_answer", re.compile(pattern), times))

    def cut_upload(self, after: int, *, times: int = 1, pattern: str = "^PUT") -> None:
        """Reset the connection once `after` bytes of the request's body have passed."""
        self._rule(Rule("cut_upload", re.compile(pattern), times, after=after))

    def seen(self, pattern: str) -> int:
        """How many requests matched so far."""
        with self._news:
            return self._count(pattern)

    def wait_for(self, pattern: str, count: int = 1, timeout: float = 30) -> None:
        """Wait until that many requests have matched; `TimeoutError` if they do not come."""
        self._wait(lambda: self._count(pattern) >= count, f"{count} x {pattern}", timeout)

    def wait_until_passed(self, way: str, amount: int, timeout: float = 30) -> None:
        """Wait until `amount` bytes have gone `up` or `down` since the start."""
        self._wait(lambda: self.passed[way] >= amount, f"{amount} bytes {way}", timeout)

    def _count(self, pattern: str) -> int:
        return sum(re.search(pattern, str(one)) is not None for one in self.requests)

    def _wait(self, reached: Callable[[], bool], what: str, timeout: float) -> None:
        with self._news:
            if not self._news.wait_for(reached, timeout):
                raise TimeoutError(f"the fault proxy has not seen {what} within {timeout} s")

    def _do(self, act: Callable[[], object]) -> None:
        """Act in the proxy's thread; the switch is thrown when this returns."""
        done = threading.Event()

        def run() -> None:
            act()
            self._changed.set()
            self._changed = asyncio.Event()
            done.set()

        self._loop.call_soon_threadsafe(run)
        if not done.wait(10):
            raise RuntimeError("the fault proxy does not run")

    def _rule(self, rule: Rule) -> None:
        self._do(lambda: self._line.rules.append(rule))

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._changed = asyncio.Event()
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Small, so that a slow line is felt by the sender and not hidden in a buffer.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * BLOCK)
        listener.bind((self._listen, self._wanted_port))
        self.port = listener.getsockname()[1]
        opening = asyncio.start_server(self._accept, sock=listener, limit=4 * BLOCK, backlog=200)
        server = self._loop.run_until_complete(opening)
        self._ready.set()
        try:
            self._loop.run_forever()
        finally:
            server.close()
            left = list(self._tasks)
            for task in left:
                task.cancel()
            if left:
                self._loop.run_until_complete(asyncio.wait(left, timeout=5))
            self._loop.close()

    def _reset_open(self) -> None:
        for writer in list(self._open):
            reset(writer)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        self._tasks.add(task)
        try:
            await self._serve(reader, writer)
        except (Ended, OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            self._open.discard(writer)
            self._tasks.discard(task)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._line.cut:
            reset(writer)
            return
        if self._line.half_open:
            while self._line.half_open:
                await self._changed.wait()
            reset(writer)
            return
        far_reader, far = await asyncio.open_connection(*self._upstream, limit=4 * BLOCK)
        self._open |= {writer, far}
        try:
            await Connection(self, reader, writer, far_reader, far).run()
        finally:
            self._open.discard(far)
            far.close()

    def take_rule(self, request: Request) -> Rule | None:
        """Note the request; the rule that applies to it, which is thereby used once."""
        with self._news:
            self.requests.append(request)
            self._news.notify_all()
        for rule in self._line.rules:
            if rule.times > 0 and rule.pattern.search(str(request)):
                rule.times -= 1
                return rule
        return None

    async def let_pass(self, way: str, amount: int) -> None:
        """Wait as the line's switches demand before `amount` bytes go `up` or `down`."""
        await self._while_stalled()
        if self._line.delay:
            await self._sit_out(time.monotonic() + self._line.delay)
        if self._line.rate:
            due = max(self._due[way], time.monotonic()) + amount / self._line.rate
            self._due[way] = due
            await self._sit_out(due)
        await self._while_stalled()
        with self._news:
            self.passed[way] += amount
            self._news.notify_all()

    async def _while_stalled(self) -> None:
        while self._line.stalled:
            await self._changed.wait()

    async def _sit_out(self, until: float) -> None:
        """Wait until then; a thrown switch ends the wait early only if it mends the line."""
        while (left := until - time.monotonic()) > 0 and (self._line.rate or self._line.delay):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), left)


@contextmanager
def fault_proxy(upstream: str, port: int = 0) -> Iterator[FaultProxy]:
    """A proxy in front of `upstream` while the block runs."""
    proxy = FaultProxy(upstream, port).start()
    try:
        yield proxy
    finally:
        proxy.stop()
