"""A tree through the published command, whose groups are processes, against one process."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_story import Site, write_files
from rounds_story import hospitals, task_file

from fedcore.audit.entry import Entry
from fedcore.params import digest
from fedcore.simulation import World, simulate

pytestmark = pytest.mark.servers
NAMES = ("1", "2")


def test_the_command_adds_up_groups_in_processes_with_the_bits_of_one_process(tmp_path) -> None:
    task = task_file(strategy="fednova", combining="tree", group_size=1, epochs=1)
    data = hospitals(tmp_path / "data", NAMES)
    simulated = simulate(task, data, World(tmp_path / "simulated"))
    site = typed(tmp_path / "typed", task, data["1"].parent)
    assert site.run() == 0, site.printed
    assert site.bits() == (digest(simulated.best), digest(simulated.final))
    run = next(site.output.glob(".fedcore/runs/*"))
    assert (run / "groups.log").read_text() == ""
    assert "died" not in site.printed
    theirs = kinds(run / "ledger" / "coordinator.jsonl")
    assert theirs == kinds(simulated.ledgers["coordinator"].path)
    words = site.output.glob(".fedcore/exchange/groups/*/rounds/*/group-*.json")
    assert len(list(words)) == len(NAMES)


def typed(folder: Path, task, data: Path) -> Site:
    remote = [{"role": "host", "party_id": name} for name in NAMES[1:]]
    party_file = {"local": {"role": "guest", "party_id": "1"}, "remote": remote}
    return Site(folder, [*write_files(folder, task, party_file), "--data", str(data)])


def kinds(ledger: Path) -> list[tuple[str, str]]:
    entries = [Entry.read(line) for line in ledger.read_bytes().splitlines()]
    return [(one.kind, str(one.subject)) for one in entries if one.kind != "party_welcomed"]
