"""Hospitals that are apart: each in a network namespace of its own, one cable to the coordinator.

    with hospitals_apart("munich", "lyon") as net:
        net.hub.address                             # where the coordinator's services listen
        subprocess.Popen(net.at("munich").command("fedcore", "party", "start"))
        net.at("munich").cable.cut()
        net.at("munich").cable.mend()

This process reaches the coordinator's address, too, as the engineer's browser does. Where
namespaces are not allowed (or FEDCORE_TESTS_TOGETHER is set), all are separate processes on this
machine: `apart` is then false, every address is 127.0.0.1, and there is no cable.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from network_cable import Cable, Switchboard, open_tap

CLONE_NEWNET = 0x40000000
MARK = "fedcore"  # namespaces are called MARK-PID-NAME
HUB = "hub"
TOGETHER = "FEDCORE_TESTS_TOGETHER"  # set: as on a machine without namespaces


@dataclass(frozen=True)
class Place:
    """One machine of the story."""

    name: str
    address: str
    namespace: str | None = None
    cable: Cable | None = None

    def command(self, *words: str) -> list[str]:
        """The command line that runs `words` in this place; the process keeps its id."""
        return [*(["ip", "netns", "exec", self.namespace] if self.namespace else []), *words]

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Sockets and threads that this thread makes in the block belong to this place."""
        if self.namespace is None:
            yield
            return
        home = os.open(f"/proc/self/task/{threading.get_native_id()}/ns/net", os.O_RDONLY)
        there = os.open(f"/run/netns/{self.namespace}", os.O_RDONLY)
        try:
            _enter(there)
            yield
        finally:
            _enter(home)
            os.close(home)
            os.close(there)


@dataclass
class Net:
    """The coordinator's place and the hospitals'."""

    hub: Place
    hospitals: dict[str, Place] = field(default_factory=dict)

    @property
    def apart(self) -> bool:
        """Whether every hospital has a network of its own."""
        return self.hub.namespace is not None

    def at(self, name: str) -> Place:
        """A hospital's place."""
        return self.hospitals[name]

    def mend(self) -> None:
        """All cables as new."""
        for place in self.hospitals.values():
            if place.cable is not None:
                place.cable.mend()


@contextmanager
def hospitals_apart(*names: str) -> Iterator[Net]:
    """A net for these hospitals; at the end all that still runs in it is ended."""
    if not namespaces_are_allowed():
        yield on_one_machine(*names)
        return
    with ExitStack() as stack:
        yield _build(names, stack)


def on_one_machine(*names: str) -> Net:
    """The same without namespaces."""
    places = {name: Place(name, "127.0.0.1") for name in names}
    return Net(Place(HUB, "127.0.0.1"), places)


def namespaces_are_allowed() -> bool:
    """Whether this machine lets us make namespaces, bridges and cards, and nobody wants it less."""
    if TOGETHER in os.environ:
        return False
    _sweep()
    trial = _name("trial")
    try:
        os.close(open_tap(f"ft{os.getpid()}"))
        _ip("netns", "add", trial)
        _ip("-n", trial, "link", "add", "bridge", "type", "bridge")
    except (OSError, subprocess.CalledProcessError):
        return False
    finally:
        _remove(trial)
    return True


def _build(names: tuple[str, ...], stack: ExitStack) -> Net:
    net_of = f"10.{100 + os.getpid() // 250 % 100}.{os.getpid() % 250}."
    hub = Place(HUB, f"{net_of}1", _namespace(HUB, stack))
    _bridge(hub, net_of)
    board = Switchboard()
    stack.callback(board.close)
    net = Net(hub)
    for number, name in enumerate(names):
        address, namespace = f"{net_of}{11 + number}", _namespace(name, stack)
        cards = _cards(hub, namespace, address, number)
        net.hospitals[name] = Place(name, address, namespace, board.connect(*cards, number))
    return net


def _bridge(hub: Place, net_of: str) -> None:
    """The coordinator's own network, and this process's line into it."""
    here, there = f"fe{os.getpid()}", f"ff{os.getpid()}"
    _ip("link", "add", here, "type", "veth", "peer", "name", there)
    _ip("link", "set", there, "netns", str(hub.namespace))
    _ip("addr", "add", f"{net_of}254/24", "dev", here)
    _ip("link", "set", here, "up")
    _in(hub, "link", "add", "bridge", "type", "bridge")
    _in(hub, "addr", "add", f"{hub.address}/24", "dev", "bridge")
    _in(hub, "link", "set", there, "master", "bridge")
    for device in (there, "bridge"):
        _in(hub, "link", "set", device, "up")


def _cards(hub: Place, namespace: str, address: str, number: int) -> tuple[int, int]:
    """The hospital's card and the coordinator's, up and addressed."""
    near, far = f"fn{os.getpid()}.{number}", f"fr{os.getpid()}.{number}"
    near_card, far_card = open_tap(near), open_tap(far)
    _ip("link", "set", near, "netns", namespace)
    _ip("-n", namespace, "addr", "add", f"{address}/24", "dev", near)
    _ip("-n", namespace, "link", "set", near, "up")
    _ip("link", "set", far, "netns", str(hub.namespace))
    _in(hub, "link", "set", far, "master", "bridge")
    _in(hub, "link", "set", far, "up")
    return near_card, far_card


def _namespace(name: str, stack: ExitStack) -> str:
    namespace = _name(name)
    _ip("netns", "add", namespace)
    stack.callback(_remove, namespace)
    _ip("-n", namespace, "link", "set", "lo", "up")
    return namespace


def _name(name: str) -> str:
    return f"{MARK}-{os.getpid()}-{name}"


def _sweep() -> None:
    """Remove what a run left behind that was killed."""
    for place in Path("/run/netns").glob(f"{MARK}-*"):
        owner = place.name.split("-")[1]
        if not Path(f"/proc/{owner}").exists():
            _remove(place.name)


def _remove(namespace: str) -> None:
    """End what runs in a namespace, then the namespace; nothing to do where it never was."""
    if not Path(f"/run/netns/{namespace}").exists():
        return
    found = subprocess.run(
        ["ip", "netns", "pids", namespace], capture_output=True, text=True, check=False
    )
    for pid in set(map(int, found.stdout.split())) - {os.getpid()}:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    _ip("netns", "del", namespace)


def _in(place: Place, *words: str) -> None:
    _ip("-n", str(place.namespace), *words)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


def _enter(descriptor: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
