"""Cross-modal, tables, early rounds, a tree: through hub and pools with the simulation's bits."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from uuid import UUID

import pytest
import table_story
from command_story import until
from rounds_story import task_file, write_pictures
from test_deployed_training import ends

from fedcore.config.task import TaskFile
from fedcore.params import digest
from fedcore.simulation import World, simulate

pytestmark = [pytest.mark.servers, pytest.mark.timeout(900)]
MODALITIES = {"1": "ct", "2": "xray"}
Change = Callable[[str, Mapping[str, object]], None]


@pytest.fixture
def change(world) -> Iterator[Change]:
    """Change what a hospital's party file says of itself; afterwards all is as it was."""
    files = {party: world.home(party) / "party_config.json" for party in MODALITIES}
    before = {path: path.read_text() for path in files.values()}

    def change(party: str, local: Mapping[str, object]) -> None:
        content = json.loads(before[files[party]])
        content["local"] |= local
        files[party].write_text(json.dumps(content))

    yield change
    for path, text in before.items():
        path.write_text(text)


def trained(world, task: TaskFile, run: str) -> tuple[str, str]:
    """The bits of a training through the pools."""
    order = {"task_file": task.model_dump(mode="json"), "run": run}
    flow_run = world.submit("federated-training/train", **order)
    assert ends(world, flow_run) == "Completed", world.texts()
    return world.bits(world.finished(run))


def test_hospitals_of_two_modalities_learn_together(world, change, tmp_path) -> None:
    content = task_file().model_dump(mode="json")
    sizes = {"ct": {"input_size": [1, 16, 16]}, "xray": {"input_size": [3, 24, 20]}}
    content["model"]["modalities"] = sizes
    task, data = TaskFile.model_validate(content), {}
    for number, (party, modality) in enumerate(MODALITIES.items()):
        data[party] = write_pictures(tmp_path / party, 28, number, size=20 + 8 * number)
        change(party, {"data": str(data[party]), "modality": modality})
    alone = simulate(task, data, World(tmp_path / "alone"), modalities=MODALITIES)
    assert trained(world, task, "modal") == (digest(alone.best), digest(alone.final))


@pytest.mark.long
def test_clinical_tables_are_learned_from_by_the_parties_that_are_drawn(
    world, change, tmp_path
) -> None:
    fields = {"epochs": 3, "participation": 0.5}
    task, data = table_story.task(data={"statistics": "full"}, federation=fields), {}
    for number, party in enumerate(MODALITIES):
        path = table_story.write(tmp_path / party / "clinic.csv", table_story.patients(60, number))
        data[party] = path.parent
        change(party, {"data": str(data[party])})
    alone = simulate(task, data, World(tmp_path / "alone"))
    drawn = [
        [party for party, said in record.parties.items() if said.status == "admitted"]
        for record in alone.records
    ]
    assert {len(one) for one in drawn} == {1}
    assert len(set(map(str, drawn))) == 2
    assert trained(world, task, "table") == (digest(alone.best), digest(alone.final))


@pytest.mark.long
def test_rounds_that_close_with_the_first_replies(world, data, tmp_path) -> None:
    """With a buffer of all parties, the one asynchronous training without chance."""
    task = task_file(strategy="fedbuff", buffer_size=2, epochs=2)
    alone = simulate(task, data, World(tmp_path / "alone"))
    assert trained(world, task, "early") == (digest(alone.best), digest(alone.final))


@pytest.mark.long
def test_rounds_that_take_one_reply_at_a_time_come_to_their_end(world) -> None:
    task = task_file(strategy="fedasync", epochs=3)
    trained(world, task, "single")
    for number in (1, 2, 3):
        statuses = [one.status for one in world.record("single", number).parties.values()]
        assert statuses.count("admitted") == 1
        assert set(statuses) <= {"admitted", "training", "waiting"}


def test_a_tree_of_groups_one_of_whose_processes_is_killed(world, data, tmp_path) -> None:
    """Each party is a group by itself; the first process that is seen adding is killed."""
    task = task_file(strategy="fednova", combining="tree", group_size=1, epochs=2)
    alone = simulate(task, data, World(tmp_path / "alone"))
    order = {"task_file": task.model_dump(mode="json"), "run": "tree"}
    flow_run = world.submit("federated-training/train", **order)
    until(lambda: killed_a_group(world, flow_run), "a process that adds up a group", 600)
    assert ends(world, flow_run) == "Completed", world.texts()
    assert world.bits(world.finished("tree")) == (digest(alone.best), digest(alone.final))
    assert world.texts().count("died, started again") == 1
    names = [name for name, _ in world.tasks(flow_run)]
    for number in (1, 2):
        of_groups = {f"round-{number:03d} · group {one} · replies and sum" for one in (1, 2)}
        assert of_groups <= set(names)


def killed_a_group(world, flow_run: UUID) -> bool:
    """Kill the process of a group of this world, if one is there."""
    if world.is_over(flow_run):
        raise AssertionError(f"the training is over\n{world.texts()}")
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = place.read_bytes().decode().split("\0")
            if "tasks.coordinator.group_process" in words and str(world.folder) in words[3]:
                os.kill(int(place.parent.name), signal.SIGKILL)
                return True
    return False
