"""The deployed form as its engineers run it: a hub, hospitals with homes and workers, by commands.

Every command is typed at its place (a network namespace, or this machine), in a home of its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from command_story import until
from network import Net
from prefect.client.schemas.objects import FlowRun
from stations import START, Coordinator, Failed, Hospital

from fedcore.config.address import PLAIN_HTTP
from fedcore.exchange import codec, keys
from fedcore.exchange.store import ObjectStore
from fedcore.params import digest
from fedcore.rounds import sealed
from fedcore.rounds.messages import End


@dataclass
class World:
    """A coordinator and its hospitals."""

    net: Net
    coordinator: Coordinator
    hospitals: dict[str, Hospital] = field(default_factory=dict)

    @classmethod
    def at(cls, net: Net, folder: Path) -> World:
        """A machine for each place of the net; nothing runs yet."""
        stations = {name: folder / name for name in ("hub", *net.hospitals)}
        for place in stations.values():
            place.mkdir(parents=True, exist_ok=True)
        hospitals = {name: Hospital(place, stations[name]) for name, place in net.hospitals.items()}
        return cls(net, Coordinator(net.hub, stations["hub"]), hospitals)

    def open(self, data: Mapping[str, Path], *, tls: bool) -> None:
        """Everything up and joined; no worker of a hospital runs yet."""
        if not tls:
            for station in (self.coordinator, *self.hospitals.values()):
                station.environ[PLAIN_HTTP] = "1"
        self.coordinator.up(tls=tls)
        for name, hospital in self.hospitals.items():
            hospital.join(self.coordinator.invite(name), data[name])
        self.coordinator.deploy()

    def close(self) -> None:
        """End everything that was started."""
        for hospital in self.hospitals.values():
            hospital.end()
        self.coordinator.down()

    def finished(self, run: str) -> End | None:
        """The end of a training, once it stands in the exchange."""
        key = keys.end(run)
        return sealed.read_if_there(self.coordinator.store(), key, End, None)


def bits_of(store: ObjectStore, end: End) -> tuple[str, str]:
    """The digests of the best and the final model in the exchange."""
    best, final = (codec.decode(sealed.fetch(store, ref)) for ref in (end.best, end.final))
    return digest(best), digest(final)


def wait_for_states(world: World, run: str, names: set[str], limit: float) -> dict[str, FlowRun]:
    """Wait until these flow runs are all at an end in Prefect; how they ended."""
    end, found = time.monotonic() + limit, dict[str, FlowRun]()
    while not _all_final(found, names):
        if time.monotonic() > end:
            states = {name: one.state_name for name, one in found.items()}
            raise Failed(f"after {limit:.0f} s {sorted(names)} are not at an end: {states}")
        time.sleep(0.5)
        found = world.coordinator.flow_runs(run)
    return found


def _all_final(found: Mapping[str, FlowRun], names: set[str]) -> bool:
    states = [found[name].state for name in names if name in found]
    return len(states) == len(names) and all(one is not None and one.is_final() for one in states)


def wait_for(holds: Callable[[], bool], what: str, limit: float = START) -> None:
    """`until`, for what has to be asked over the network."""
    until(holds, what, limit, pause=0.3)
