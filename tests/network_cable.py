"""A cable between two network cards, moved frame by frame, with switches while it runs.

The cards are TAP devices: what a machine sends through its card is read here and written into the
other card, late, at a limited rate, or not at all. Real packets, real retransmission. The far end
has a firewall in the way of a hospital's: it lets answers in, and nobody who opens a connection.
"""

from __future__ import annotations

import fcntl
import heapq
import itertools
import os
import random
import select
import struct
import threading
import time
from dataclasses import dataclass, field
from typing import Literal

TUNSETIFF = 0x400454CA
IFF_TAP, IFF_NO_PI = 0x0002, 0x1000
FRAME = 65_536
QUEUE = 2_000_000  # bytes that a slow line holds back before it drops
IPV4, ARP = b"\x08\x00", b"\x08\x06"
TCP, ICMP = 6, 1
SYN, ACK = 0x02, 0x10
ECHO_REQUEST = 8
Way = Literal["out", "in"]


def open_tap(name: str) -> int:
    """A new card of that name in this machine's own namespace; it vanishes with its descriptor."""
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    try:
        fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TAP | IFF_NO_PI))
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


@dataclass
class Cable:
    """`near` is the hospital's card, `far` the coordinator's; frames go `out` and come `in`.

    All numbers hold for each direction by itself.
    """

    near: int
    far: int
    random: random.Random
    lost: int = 0
    passed: int = 0
    refused: int = 0
    _cut: bool = False
    _loss: float = 0.0
    _delay: float = 0.0
    _rate: float | None = None
    _free_at: dict[Way, float] = field(default_factory=lambda: {"out": 0.0, "in": 0.0})

    def cut(self) -> None:
        """Let nothing pass until `mend`; neither end is told."""
        self._cut = True

    def lose(self, share: float) -> None:
        """Lose that share of the frames, by chance."""
        self._loss = share

    def delay(self, seconds: float) -> None:
        """Hold each frame back for so long."""
        self._delay = seconds

    def rate(self, bytes_per_second: float) -> None:
        """Let no more pass; what does not fit into the queue is lost."""
        self._rate = bytes_per_second

    def mend(self) -> None:
        """Put every switch back."""
        self._cut, self._loss, self._delay, self._rate = False, 0.0, 0.0, None

    def due(self, frame: bytes, way: Way, now: float) -> float | None:
        """When this frame is to arrive; `None` when it never does."""
        if way == "in" and opens_a_connection(frame):
            self.refused += 1
            return None
        if self._cut or self.random.random() < self._loss:
            self.lost += 1
            return None
        sent = now
        if self._rate:
            sent = max(now, self._free_at[way]) + len(frame) / self._rate
            if (sent - now) * self._rate > QUEUE:
                self.lost += 1
                return None
            self._free_at[way] = sent
        self.passed += 1
        return sent + self._delay


def opens_a_connection(frame: bytes) -> bool:
    """Whether a frame asks for something instead of answering; what nobody needs counts as asking.

    ARP passes. Of IPv4, TCP passes but for the first packet of a connection, and ICMP but for
    the question of a ping.
    """
    kind = frame[12:14]
    if kind == ARP:
        return False
    if kind != IPV4:
        return True
    start = 14 + 4 * (frame[14] & 0x0F)
    if frame[23] == TCP:
        return frame[start + 13] & (SYN | ACK) == SYN
    return frame[23] != ICMP or frame[start] == ECHO_REQUEST


class Switchboard:
    """One thread that moves the frames of all cables."""

    def __init__(self) -> None:
        self._cables: list[Cable] = []
        self._ends: dict[int, tuple[Cable, int, Way]] = {}
        self._waiting: list[tuple[float, int, int, bytes]] = []
        self._order = itertools.count()
        self._poll = select.epoll()
        self._wake_read, self._wake_write = os.pipe()
        self._poll.register(self._wake_read, select.EPOLLIN)
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="cables", daemon=True)
        self._thread.start()

    def connect(self, near: int, far: int, seed: int) -> Cable:
        """Move frames between two cards from now on."""
        cable = Cable(near, far, random.Random(seed))
        self._cables.append(cable)
        self._ends |= {near: (cable, far, "out"), far: (cable, near, "in")}
        for descriptor in (near, far):
            self._poll.register(descriptor, select.EPOLLIN)
        return cable

    def close(self) -> None:
        """Move nothing any more and remove the cards."""
        self._ended = True
        os.write(self._wake_write, b"x")
        self._thread.join(10)
        self._poll.close()
        for cable in self._cables:
            os.close(cable.near)
            os.close(cable.far)
        os.close(self._wake_read)
        os.close(self._wake_write)

    def _run(self) -> None:
        while not self._ended:
            for descriptor, _ in self._poll.poll(self._pause()):
                if descriptor in self._ends:
                    self._take(descriptor)
            self._deliver()

    def _pause(self) -> float | None:
        if not self._waiting:
            return None
        return max(0.0, self._waiting[0][0] - time.monotonic())

    def _take(self, descriptor: int) -> None:
        cable, other, way = self._ends[descriptor]
        for frame in _frames(descriptor):
            now = time.monotonic()
            due = cable.due(frame, way, now)
            if due is not None and due <= now:
                _put(other, frame)
            elif due is not None:
                heapq.heappush(self._waiting, (due, next(self._order), other, frame))

    def _deliver(self) -> None:
        now = time.monotonic()
        while self._waiting and self._waiting[0][0] <= now:
            _, _, descriptor, frame = heapq.heappop(self._waiting)
            _put(descriptor, frame)


def _frames(descriptor: int) -> list[bytes]:
    """What the card has sent by now; nothing while it is down."""
    found: list[bytes] = []
    while len(found) < 64:
        try:
            found.append(os.read(descriptor, FRAME))
        except OSError:
            break
    return found


def _put(descriptor: int, frame: bytes) -> None:
    """Hand a frame to the card; one that is down or full loses it, as a real one does."""
    try:
        os.write(descriptor, frame)
    except OSError:
        return
