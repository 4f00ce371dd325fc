"""The network of the other tests is what it says: cables cut, lose and delay; nobody comes in.

Where namespaces are not allowed, what is left is that all places are this machine.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from command_story import until
from network import Net, Place, hospitals_apart, on_one_machine

SIZE = 300_000


@pytest.fixture(scope="module")
def net() -> Iterator[Net]:
    with hospitals_apart("one", "two") as made:
        yield made


@pytest.fixture
def place(net: Net) -> Iterator[Place]:
    yield net.at("one")
    net.mend()


def test_a_connection_goes_out_of_a_hospital(net: Net, place: Place) -> None:
    assert transfer(net.hub, place) > 0


def test_on_one_machine_the_same_places_are_there() -> None:
    net = on_one_machine("one", "two")
    assert not net.apart
    assert net.at("two").command("true") == ["true"]
    assert transfer(net.hub, net.at("one")) > 0


def test_nobody_comes_into_a_hospital(net: Net, place: Place) -> None:
    for asking in (net.hub, net.at("two")):
        connected = reaches(asking, place, patience=1.0)
        assert connected is not net.apart
    if place.cable is not None:
        assert place.cable.refused > 0


def test_a_cut_line_is_silent_and_a_mended_one_goes_on(net: Net, place: Place) -> None:
    """The connection that was open before the cut delivers afterwards: nothing was reset."""
    line, other = connection(net.hub, place)
    with line, other:
        if place.cable is not None:
            place.cable.cut()
            other.settimeout(1.0)
            line.sendall(b"during")
            with pytest.raises(TimeoutError):
                other.recv(10)
            place.cable.mend()
        else:
            line.sendall(b"during")
        other.settimeout(30)
        assert other.recv(10) == b"during"


def test_lost_packets_are_lost_and_tcp_sends_them_again(net: Net, place: Place) -> None:
    if place.cable is None:
        return
    assert answered(net, place) == 1.0
    place.cable.lose(0.2)
    assert 0.5 < answered(net, place) < 0.78  # 0.8 there, 0.8 back
    before = retransmitted(net.hub)
    transfer(net.hub, place, SIZE // 10)
    assert retransmitted(net.hub) > before


def test_a_delayed_line_takes_its_time(net: Net, place: Place) -> None:
    if place.cable is None:
        return
    quick = min(times_of_pings(net, place, 5))
    place.cable.delay(0.15)
    slow = min(times_of_pings(net, place, 5))
    assert quick < 0.1
    assert 0.3 <= slow < 0.6


def test_a_slow_line_takes_as_long_as_its_rate_says(net: Net, place: Place) -> None:
    if place.cable is None:
        return
    place.cable.rate(SIZE / 2)
    assert transfer(net.hub, place) > 1.8


def connection(hub: Place, place: Place) -> tuple[socket.socket, socket.socket]:
    """The two ends of a connection from a hospital to the coordinator."""
    with listening_at(hub) as (listener, port):
        with place.inside():
            line = socket.create_connection((hub.address, port), timeout=10)
        return line, listener.accept()[0]


def transfer(hub: Place, place: Place, size: int = SIZE) -> float:
    """Let a hospital fetch some bytes from the coordinator; the seconds that it took."""
    with listening_at(hub) as (listener, port):
        sender = threading.Thread(target=_send_to_one, args=(listener, size))
        sender.start()
        begun, got = time.monotonic(), 0
        with place.inside():
            line = socket.create_connection((hub.address, port), timeout=60)
        with line:
            while more := line.recv(65_536):
                got += len(more)
        sender.join(60)
    assert got == size
    return time.monotonic() - begun


def reaches(asking: Place, asked: Place, patience: float) -> bool:
    with listening_at(asked) as (_, port):
        try:
            with asking.inside():
                socket.create_connection((asked.address, port), timeout=patience).close()
        except TimeoutError:
            return False
    return True


@contextmanager
def listening_at(place: Place) -> Iterator[tuple[socket.socket, int]]:
    """A listener in a place, and its port."""
    with place.inside():
        listener = socket.create_server((place.address, 0))
    with listener:
        yield listener, listener.getsockname()[1]


def answered(net: Net, place: Place, count: int = 200) -> float:
    """The share of pings that come back."""
    return len(times_of_pings(net, place, count)) / count


def times_of_pings(net: Net, place: Place, count: int) -> list[float]:
    """Seconds of each ping of the coordinator that comes back."""
    with place.inside():
        line = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    sent: dict[int, float] = {}
    back: dict[int, float] = {}
    with line:
        line.settimeout(0.05)
        for number in range(count):
            sent[number] = time.monotonic()
            line.sendto(echo_request(number), (net.hub.address, 0))
            _hear(line, back)
        end = time.monotonic() + 1.0
        while len(back) < count and time.monotonic() < end:
            _hear(line, back)
    return [back[number] - sent[number] for number in back]


def echo_request(number: int) -> bytes:
    """A ping with its checksum: the ones' complement of the sum of its words."""
    words = (8 << 8, 0, 7, number)
    total = sum(words)
    check = ~(total + (total >> 16)) & 0xFFFF
    return struct.pack(">4H", words[0], check, *words[2:])


def retransmitted(place: Place) -> int:
    """How many TCP segments a place has sent again."""
    found: list[int] = []

    def read() -> None:
        with place.inside(), Path("/proc/thread-self/net/snmp").open() as file:
            names, values = [text.split() for text in file if text.startswith("Tcp:")]
            found.append(int(values[names.index("RetransSegs")]))

    reader = threading.Thread(target=read)
    reader.start()
    until(lambda: not reader.is_alive(), "the counters of TCP", 10)
    return found[0]


def _send_to_one(listener: socket.socket, size: int) -> None:
    line, _ = listener.accept()
    with line:
        line.sendall(bytes(size))


def _hear(line: socket.socket, back: dict[int, float]) -> None:
    """Note the answer that is there, if one comes soon."""
    try:
        packet = line.recv(2048)
    except TimeoutError:
        return
    kind, _, _, mark, number = struct.unpack(">BBHHH", packet[20:28])
    if kind == 0 and mark == 7:
        back.setdefault(number, time.monotonic())
