"""Coordinator and three hospitals, each in a network of its own: what everybody sees afterwards.

Real servers, real workers, joined by kits; the hospitals let nobody in. One hospital asks a
person, the others accept the task file by its hash.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from command_story import tree
from deployed_story import World, bits_of, wait_for, wait_for_states
from mlflow.tracking import MlflowClient
from network import hospitals_apart
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import FlowRun, TaskRun
from stations import FEDCORE, Failed
from xrays import PARTIES, ROUNDS, task, three_hospitals

from fedcore.errors import NotAllowed
from fedcore.exchange import keys
from fedcore.exchange.opening import open_store
from fedcore.params import digest
from fedcore.rounds import sealed
from fedcore.rounds.messages import End
from fedcore.simulation import World as Simulated
from fedcore.simulation import simulate
from flows.party.home import PartyHome

pytestmark = [pytest.mark.servers, pytest.mark.timeout(600)]
RUN = "xrays-apart-1"
GUEST, *HOSTS = PARTIES
ASKING = HOSTS[-1]
LABELS = {GUEST: f"guest-{GUEST}"} | {party: f"host-{party}" for party in HOSTS}
ROUND_STEPS = ("train", "upload", "evaluate")


@dataclass(frozen=True)
class Trained:
    """The training after its end."""

    world: World
    data: dict[str, Path]
    end: End
    flow_runs: dict[str, FlowRun]
    pending: str
    sockets: set[tuple[str, int]]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, shared_data: Path) -> Iterator[Trained]:
    folder = tmp_path_factory.mktemp("apart")
    data = three_hospitals(shared_data, folder / "xrays")
    with hospitals_apart(*PARTIES) as net:
        world = World.at(net, folder)
        try:
            world.open(data, tls=True)
            yield _train(world, data)
        finally:
            world.close()


def _train(world: World, data: dict[str, Path]) -> Trained:
    """Start it through its deployment, approve it where a person is asked, wait for the end."""
    for name, hospital in world.hospitals.items():
        accepted = [] if name == ASKING else [task().fingerprint()]
        hospital.write_policy(decide="ask", task_files=accepted, leaving={"min_reported": 1})
        hospital.start()
    world.coordinator.begin_training(task(), RUN)
    asking = world.hospitals[ASKING]
    wait_for(lambda: RUN in asking.pending(), f"{RUN} to be pending at {ASKING}")
    pending = asking.pending()
    sockets = listening_in(world, ASKING)
    asking.approve(RUN)
    names = {RUN, *(f"{RUN} · {label}" for label in LABELS.values())}
    flow_runs = wait_for_states(world, RUN, names, 240)
    end = world.finished(RUN)
    assert end is not None, {name: one.state for name, one in flow_runs.items()}
    return Trained(world, data, end, flow_runs, pending, sockets)


def listening_in(world: World, name: str) -> set[tuple[str, int]]:
    """What the processes of a hospital listen on."""
    program = world.hospitals[name].program
    assert program is not None
    return {one for pid in tree(program.pid) for one in _listening(pid)}


def test_every_flow_run_completed_in_prefect(trained: Trained) -> None:
    states = {name: one.state_name for name, one in trained.flow_runs.items()}
    assert states == dict.fromkeys(
        [RUN, *(f"{RUN} · {label}" for label in LABELS.values())], "Completed"
    )


def test_prefect_shows_every_step_of_every_round_at_every_hospital(trained: Trained) -> None:
    for label in LABELS.values():
        shown = task_runs(trained, f"{RUN} · {label}")
        wanted = {
            f"round-{number:03d} · {label} · {step}"
            for number in range(1, ROUNDS + 1)
            for step in ROUND_STEPS
        }
        assert wanted <= shown.keys()
        assert {one.state_name for one in shown.values()} == {"Completed"}


def test_prefect_shows_the_coordinators_side_of_every_round(trained: Trained) -> None:
    shown = task_runs(trained, RUN)
    for number in range(1, ROUNDS + 1):
        for step in ("invite", "combine", "record"):
            assert shown[f"round-{number:03d} · {step}"].state_name == "Completed"
    assert shown["round-001 · track"].state_name == "Completed"


def test_only_the_hospital_that_asks_waited_for_a_person(trained: Trained) -> None:
    assert RUN in trained.pending
    asked = {
        party for party in PARTIES if f"{LABELS[party]} · approval" in sessions(trained, party)
    }
    assert asked == {ASKING}


def test_the_weights_are_those_of_the_simulation_to_the_bit(
    trained: Trained, tmp_path: Path
) -> None:
    alone = simulate(task(), trained.data, Simulated(tmp_path), guest=GUEST)
    expected = digest(alone.best), digest(alone.final)
    assert bits_of(trained.world.coordinator.store(), trained.end) == expected


def test_every_ledger_verifies_at_its_place(trained: Trained) -> None:
    for station in (trained.world.coordinator, *trained.world.hospitals.values()):
        station.run(FEDCORE, "ledger", "verify", RUN, "--home", str(station.home))


@pytest.mark.parametrize("broken", ["changed", "cut"])
def test_a_changed_or_cut_ledger_is_found(trained: Trained, broken: str) -> None:
    """The cut one is whole in itself: its last heads stand in the coordinator's records."""
    hospital = trained.world.hospitals[GUEST]
    path = hospital.ledger(RUN)
    before = path.read_text()
    changed = before.replace('"kind":"job_accepted"', '"kind":"job_refused"', 1)
    cut = "".join(before.splitlines(keepends=True)[:4])
    path.write_text({"changed": changed, "cut": cut}[broken])
    try:
        with pytest.raises(Failed, match=r"verify.*: 1\n"):
            hospital.run(FEDCORE, "ledger", "verify", RUN, "--home", str(hospital.home))
    finally:
        path.write_text(before)


def test_mlflow_holds_the_run_of_each_party_and_the_registered_model(trained: Trained) -> None:
    hub = trained.world.coordinator.hub()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in hub.mlflow_environ().items():
            patch.setenv(name, value)
        client = MlflowClient(hub.mlflow_url)
        experiment = client.get_experiment_by_name(task().name)
        runs = client.search_runs([experiment.experiment_id])
        versions = client.search_model_versions(f"name='{task().name}'")
        history = [
            client.get_metric_history(run.info.run_id, "federated/loss")
            for run in runs
            if "mlflow.parentRunId" not in run.data.tags
        ]
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert [len(one) for one in history] == [ROUNDS]
    assert len(runs) == 1 + len(PARTIES)
    assert len(versions) == 1


def test_everything_in_the_exchange_lies_under_its_owner_and_is_signed_by_him(
    trained: Trained,
) -> None:
    store = trained.world.coordinator.store()
    own = {f"parties/{party}/" for party in PARTIES} | {keys.coordinator_folder(RUN)}
    signers: dict[str, set[str]] = {}
    for prefix in ("coordinator/", "parties/"):
        for key in store.keys(prefix):
            owner = next(one for one in own if key.startswith(one))
            if key.endswith(".json"):
                signers.setdefault(owner, set()).add(sealed.writer_of(store, key))
    assert {owner: len(found) for owner, found in signers.items()} == dict.fromkeys(own, 1)
    assert len(set.union(*signers.values())) == len(own)


def test_a_hospital_can_write_nowhere_else(trained: Trained) -> None:
    hospital = trained.world.hospitals[GUEST]
    home = PartyHome.load(hospital.home)
    store = open_store(home.exchange, home.environ())
    for key in (f"parties/{HOSTS[0]}/{RUN}/x.json", f"coordinator/{RUN}/x.json"):
        with pytest.raises(NotAllowed):
            store.put_once(key, b"{}")


def test_no_hospital_listens_to_anybody(trained: Trained) -> None:
    assert trained.sockets == set()


def test_nothing_that_names_a_patient_or_a_folder_left_a_hospital(trained: Trained) -> None:
    """Neither Prefect's parameters nor the exchange know where or whose the images are."""
    words = {path.name for folder in trained.data.values() for path in folder.rglob("*.dcm")}
    words |= {str(folder) for folder in trained.data.values()}
    store = trained.world.coordinator.store()
    bodies = [store.get(key) for key in store.keys("parties/") if key.endswith(".json")]
    told = b"".join(bodies).decode()
    told += json.dumps({name: one.parameters for name, one in trained.flow_runs.items()})
    assert words
    assert not [word for word in words if re.search(rf"\b{re.escape(word)}\b", told)]


def sessions(trained: Trained, party: str) -> dict[str, TaskRun]:
    """The steps of a hospital's session."""
    return task_runs(trained, f"{RUN} · {LABELS[party]}")


def task_runs(trained: Trained, name: str) -> dict[str, TaskRun]:
    """The task runs of a flow run, by name."""
    wanted = FlowRunFilter(id=FlowRunFilterId(any_=[trained.flow_runs[name].id]))
    with trained.world.coordinator.prefect() as api:
        found = api.read_task_runs(flow_run_filter=wanted, limit=200)
    return {one.name: one for one in found}


def _listening(pid: int) -> Iterator[tuple[str, int]]:
    """The TCP sockets that listen in a process, in its own namespace."""
    inodes = set()
    for place in Path(f"/proc/{pid}/fd").glob("*"):
        try:
            target = str(place.readlink())
        except OSError:
            continue
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    for table in ("tcp", "tcp6"):
        for text in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            words = text.split()
            if words[3] == "0A" and words[9] in inodes:
                address, port = words[1].split(":")
                yield address, int(port, 16)
