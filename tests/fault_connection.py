"""One connection through the fault proxy: HTTP read just well enough to spoil chosen requests."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fault_proxy import FaultProxy

BLOCK = 16 * 1024
TLS_HELLO = 0x16
RESET = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class Request:
    """The first line of a request that reached the proxy."""

    method: str
    path: str

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass
class Rule:
    """What happens to the next `times` requests that match."""

    kind: str
    pattern: re.Pattern[str]
    times: int
    after: int = 0
    reply: bytes = b""
    body: bytes = b""


class Ended(Exception):
    """This connection is over."""


class Connection:
    """One connection and its other half, with the rule for the request that is under way."""

    def __init__(
        self,
        proxy: FaultProxy,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        far_reader: asyncio.StreamReader,
        far: asyncio.StreamWriter,
    ) -> None:
        self._proxy = proxy
        self._reader, self._writer = reader, writer
        self._far_reader, self._far = far_reader, far
        self._rule: Rule | None = None
        self._head = b""
        self._body_seen: int | None = None

    async def run(self) -> None:
        """Pass both ways until one side is done."""
        up = asyncio.ensure_future(self._up())
        down = asyncio.ensure_future(self._down())
        try:
            await asyncio.wait({up, down}, return_when=asyncio.FIRST_COMPLETED)
            if up.done() and not up.exception():
                await down
        finally:
            for task in (up, down):
                task.cancel()
            await asyncio.gather(up, down, return_exceptions=True)

    async def _up(self) -> None:
        first = await self._reader.read(1)
        if not first or first[0] == TLS_HELLO:
            await self._send_up(first)
            await self._blindly()
            return
        while first:
            if not await self._one_request(first):
                return
            first = await self._reader.read(1)
        if self._far.can_write_eof():
            self._far.write_eof()

    async def _one_request(self, first: bytes) -> bool:
        """Pass one request, or answer it; whether another may follow."""
        head = first + await self._reader.readuntil(b"\r\n\r\n")
        request, fields = _parsed(head)
        rule = self._proxy.take_rule(request)
        if rule is not None and rule.kind == "answer":
            await self._answer(rule, request, fields)
            return False
        down = rule is not None and rule.kind in ("truncate", "corrupt", "lose_answer")
        self._rule, self._head, self._body_seen = (rule if down else None), b"", None
        await self._send_up(head)
        if "upgrade" in fields:
            await self._blindly()
            return False
        await self._body_up(fields, rule if rule and rule.kind == "cut_upload" else None)
        return True

    async def _body_up(self, fields: dict[str, str], rule: Rule | None) -> None:
        if "chunked" in fields.get("transfer-encoding", ""):
            await self._chunks_up()
            return
        left, passed = int(fields.get("content-length", "0")), 0
        while left:
            block = await self._reader.read(min(left, BLOCK))
            if not block:
                raise Ended
            if rule is not None and passed + len(block) > rule.after:
                await self._send_up(block[: rule.after - passed])
                reset(self._writer)
                reset(self._far)
                raise Ended
            await self._send_up(block)
            left, passed = left - len(block), passed + len(block)

    async def _chunks_up(self) -> None:
        while True:
            line = await self._reader.readuntil(b"\r\n")
            size = int(line.split(b";")[0], 16)
            await self._send_up(line)
            if size == 0:
                while (trailer := await self._reader.readuntil(b"\r\n")) != b"\r\n":
                    await self._send_up(trailer)
                await self._send_up(b"\r\n")
                return
            await self._send_up(await self._reader.readexactly(size + 2))

    async def _answer(self, rule: Rule, request: Request, fields: dict[str, str]) -> None:
        """Take the body in, so that the sender hears the answer, and answer."""
        left = 0 if "expect" in fields else int(fields.get("content-length", "0"))
        while left:
            block = await self._reader.read(min(left, BLOCK))
            if not block:
                raise Ended
            await self._proxy.let_pass("up", len(block))
            left -= len(block)
        self._writer.write(rule.reply + (b"" if request.method == "HEAD" else rule.body))
        await self._writer.drain()
        self._writer.write_eof()
        raise Ended

    async def _blindly(self) -> None:
        while block := await self._reader.read(BLOCK):
            await self._send_up(block)
        if self._far.can_write_eof():
            self._far.write_eof()

    async def _send_up(self, block: bytes) -> None:
        await self._proxy.let_pass("up", len(block))
        self._far.write(block)
        await self._far.drain()

    async def _down(self) -> None:
        while block := await self._far_reader.read(BLOCK):
            ended = False
            if self._rule is not None and self._rule.kind == "lose_answer":
                if block.startswith(b"HTTP/1.1 100"):
                    block = block[: block.find(b"\r\n\r\n") + 4]
                else:
                    reset(self._writer)
                    raise Ended
            elif self._rule is not None:
                block, ended = self._spoiled(block, self._rule)
            await self._proxy.let_pass("down", len(block))
            self._writer.write(block)
            await self._writer.drain()
            if ended:
                self._writer.write_eof()
                raise Ended

    def _spoiled(self, block: bytes, rule: Rule) -> tuple[bytes, bool]:
        """The block as the rule leaves it, and whether the connection ends with it."""
        if self._body_seen is None:
            self._head += block
            end = self._head.find(b"\r\n\r\n") + 4
            if end < 4 or self._head.startswith(b"HTTP/1.1 100"):
                self._head = b"" if end >= 4 else self._head
                return block, False
            start, self._body_seen = end - (len(self._head) - len(block)), 0
        else:
            start = 0
        body, seen = block[start:], self._body_seen
        self._body_seen += len(body)
        if rule.kind == "truncate":
            return block[: start + max(0, rule.after - seen)], self._body_seen > rule.after
        place = start + rule.after - seen
        if start <= place < len(block):
            block = block[:place] + bytes([block[place] ^ 1]) + block[place + 1 :]
        return block, False


def _parsed(head: bytes) -> tuple[Request, dict[str, str]]:
    first, *lines = head.decode("latin-1").split("\r\n")
    method, path, _ = (*first.split(" "), "", "")[:3]
    pairs = [line.partition(":") for line in lines if line]
    return Request(method, path), {name.strip().lower(): value.strip() for name, _, value in pairs}


def reset(writer: asyncio.StreamWriter) -> None:
    """Close at once, so that the other end sees a reset and not an orderly end."""
    with contextlib.suppress(OSError):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()
