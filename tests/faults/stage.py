"""The stage of the fault matrix: one hub and two hospitals for all faults, a new run for each.

Coordinator and hospitals reach the exchange through proxies of their own, so that each can be
held at an exact step; everything else between them goes over the cables of `network.py`.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from deployed_story import World, bits_of, wait_for, wait_for_states
from holding_proxy import HoldingProxy
from network import Net, hospitals_apart
from rounds_story import hospitals, task_file
from small_disk import small_disk

from fedcore.config.address import Address
from fedcore.config.task import TaskFile
from fedcore.errors import FedcoreError
from fedcore.exchange import keys
from fedcore.exchange.opening import open_store
from fedcore.exchange.reconnecting import Reconnecting
from fedcore.exchange.store import ObjectStore
from fedcore.params import digest
from fedcore.rounds import sealed
from fedcore.rounds.messages import End, Record
from fedcore.simulation import Outcome as Result
from fedcore.simulation import World as Simulated
from fedcore.simulation import simulate

GUEST, HOST = "east", "west"
COORDINATOR = "coordinator"
ROUNDS, STRUCK = 3, 2  # every fault strikes round 2 of 3
LOCAL_EPOCHS = 400  # a round's training takes long enough to be struck in its midst
PATIENCE = 300.0
EXCHANGE_MB = 400
LONGEST_NAME = 60  # of a run


@dataclass(frozen=True)
class Stage:
    """What the faults strike."""

    world: World
    lines: Mapping[str, HoldingProxy]
    task: TaskFile
    expected: tuple[str, str]
    exchange_disk: Path
    exchange: Address

    def store(self) -> ObjectStore:
        """The exchange itself, not through a line; waited for while it is down."""
        inner = open_store(self.exchange, self.world.coordinator.hub().exchange_environ())
        return Reconnecting(inner, 0.5, lambda *_: None, time.sleep, time.monotonic)

    def mend(self) -> None:
        """Everything as if nothing had happened: lines, cables, services, workers."""
        for line in self.lines.values():
            line.mend()
        self.world.net.mend()
        for hospital in self.world.hospitals.values():
            if hospital.program is None or hospital.program.poll() is not None:
                hospital.start()


@dataclass
class Scene:
    """One training on the stage, with the fault that strikes it."""

    stage: Stage
    run: str
    struck_at: float = 0.0

    def begin(self) -> None:
        """Start the training through its deployment."""
        self.stage.world.coordinator.begin_training(self.stage.task, self.run)

    def strike(self) -> None:
        """Now the fault begins: seconds count from here."""
        self.struck_at = time.monotonic()

    def request(self, method: str, name: str) -> str:
        """The pattern of a request for an object of the struck round of this run."""
        return rf"^{method} .*/{self.run}/rounds/{STRUCK:05d}/{name}"

    def until_there(self, key: str) -> None:
        """Wait until an object stands in the exchange."""
        store = self.stage.store()
        wait_for(lambda: store.exists(key), key, PATIENCE)

    def until_held(self, line: str) -> None:
        """Wait until a line has come to the request that it is to hold."""
        if not self.stage.lines[line].reached.wait(PATIENCE):
            raise AssertionError(f"{line} never came to the request")

    def until_failed(self) -> None:
        """Wait until the training's flow run has ended without the training."""
        runs = self.stage.world.coordinator.flow_runs
        wait_for(lambda: runs(self.run)[self.run].state_name == "Failed", "Failed", PATIENCE)

    def flow_process(self, owner: str) -> int:
        """The process of the training's flow run at its owner: the coordinator or a party."""
        ids = self.flow_run_ids(owner)
        return next(pid for one in ids for pid in processes_with(one))

    def flow_run_ids(self, owner: str) -> list[str]:
        """The ids of this run's flow runs at their owner, the newest first."""
        found = self.stage.world.coordinator.flow_runs(self.run)
        own = {
            name: one for name, one in found.items() if (name == self.run) == (owner == COORDINATOR)
        }
        chosen = [one for name, one in own.items() if owner == COORDINATOR or owner in name]
        return [str(one.id) for one in sorted(chosen, key=lambda one: str(one.created))][::-1]

    def end(self) -> End:
        """Wait for the training's end in the exchange."""
        self.until_there(keys.end(self.run))
        return sealed.read(self.stage.store(), keys.end(self.run), End, None)

    def record(self, number: int) -> Record | None:
        """A round's record, once it stands."""
        store = self.stage.store()
        return sealed.read_if_there(store, keys.record(self.run, number), Record, None)


@dataclass(frozen=True)
class Outcome:
    """What came of one fault; `seconds` is `None` where the training never went on."""

    name: str
    happened: str
    seconds: float | None
    lost: int
    same_bits: bool
    stuck: bool = False

    @property
    def survived(self) -> bool:
        """As it should be: the training ended by itself, or as told, with the right weights."""
        return self.same_bits and not self.stuck


@contextmanager
def stage(folder: Path) -> Iterator[Stage]:
    """Everything up and waiting for a first training."""
    task, data = (
        task_file(epochs=ROUNDS, local_epochs=LOCAL_EPOCHS),
        hospitals(folder / "data", (GUEST, HOST)),
    )
    whole = simulate(task, data, Simulated(folder / "whole"), guest=GUEST)
    with ExitStack() as stack:
        net = stack.enter_context(hospitals_apart(GUEST, HOST))
        world = World.at(net, folder)
        (world.coordinator.home / "exchange").parent.mkdir(parents=True)
        disk = stack.enter_context(small_disk(world.coordinator.home / "exchange", EXCHANGE_MB))
        stack.callback(world.close)
        world.open(data, tls=False)
        for hospital in world.hospitals.values():
            hospital.write_policy(decide="accept", leaving={"min_reported": 1})
        exchange = world.coordinator.hub().exchange
        lines = _lines(net, world, stack)
        ready = Stage(world, lines, task, _bits(whole), disk, exchange)
        ready.mend()
        yield ready


def _bits(whole: Result) -> tuple[str, str]:
    return digest(whole.best), digest(whole.final)


def _lines(net: Net, world: World, stack: ExitStack) -> dict[str, HoldingProxy]:
    """A proxy at each place, and every side told to use its own."""
    hub = world.coordinator.hub()
    upstream = hub.exchange.location
    lines = {}
    for name, hospital in world.hospitals.items():
        with net.at(name).inside():
            lines[name] = _started(HoldingProxy(upstream), stack)
        hospital.edit_party_file(exchange=f"{lines[name].endpoint}/{hub.exchange.bucket}")
    with net.hub.inside():
        lines[COORDINATOR] = _started(HoldingProxy(upstream, listen=net.hub.address), stack)
    path = hub.home / "hub.json"
    content = json.loads(path.read_text())
    content["ports"]["s3"] = lines[COORDINATOR].port
    path.write_text(json.dumps(content))
    return lines


def _started(proxy: HoldingProxy, stack: ExitStack) -> HoldingProxy:
    stack.callback(proxy.stop)
    proxy.start()
    return proxy


def play(on: Stage, name: str, act: Callable[[Scene], str]) -> Outcome:
    """One training with one fault, to its end; one that got stuck, to its end once mended."""
    scene = Scene(on, f"fault-{re.sub(r'[^a-z0-9]+', '-', name.lower())}"[:LONGEST_NAME].strip("-"))
    try:
        scene.begin()
        return _judged(scene, name, act(scene))
    except (AssertionError, TimeoutError, FedcoreError) as failed:
        reason = str(failed).splitlines()[0][:160]
    finally:
        on.mend()
    return _after_mending(scene, name, reason)


def _after_mending(scene: Scene, name: str, reason: str) -> Outcome:
    """A training that did not go as it should: does it end at least now?"""
    try:
        return replace(_judged(scene, name, f"stuck until mended ({reason})"), stuck=True)
    except (AssertionError, TimeoutError, FedcoreError):
        return Outcome(name, reason, None, 0, same_bits=False, stuck=True)


def _judged(scene: Scene, name: str, told: str) -> Outcome:
    """What the exchange, and at last Prefect, say of the training."""
    end = scene.end()
    seconds = time.monotonic() - scene.struck_at
    records = [scene.record(number) for number in range(1, end.rounds + 1)]
    lost = sum(
        any(party.status != "admitted" for party in one.parties.values()) for one in records if one
    )
    same = bits_of(scene.stage.store(), end) == scene.stage.expected
    shown = wait_for_states(scene.stage.world, scene.run, {scene.run}, PATIENCE)
    state = shown[scene.run].state_name
    told = told if state == "Completed" else f"{told}; Prefect shows {state}"
    return Outcome(name, told, seconds, lost, same)


def processes_with(word: str) -> list[int]:
    """The processes that have a word on their command line."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = place.read_bytes().split(b"\0")
        except OSError:
            continue
        if word.encode() in words:
            found.append(int(place.parent.name))
    return found
