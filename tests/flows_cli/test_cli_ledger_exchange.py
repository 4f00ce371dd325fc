"""`fedcore ledger` over a whole training: against the exchange, from a home, and as one page."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path

import pytest
from rounds_story import hospitals, key_of, task_file
from typer.testing import CliRunner
from worlds import KnownKeys

from fedcore.exchange import keys
from fedcore.exchange.folder import FolderStore
from fedcore.exchange.removed import Removal
from fedcore.rounds.messages import Member
from fedcore.simulation import simulate
from flows.cli import app
from tasks.seat import Seat

RUN = "chest-1"
MEMBERS = (Member(party_id="1", role="guest"), Member(party_id="2", role="host"))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished training as seats leave it: output/.fedcore with ledgers, keys and exchange."""
    folder = tmp_path_factory.mktemp("trained")
    state = folder / "output" / ".fedcore"
    store = FolderStore(state / "exchange")
    store.prepare()
    world = KnownKeys(folder / "work", store)
    task = task_file(epochs=2)
    simulate(task, hospitals(folder / "data"), world, run=RUN)
    shutil.copytree(folder / "work" / "ledger", state / "runs" / RUN / "ledger")
    for name in ("coordinator", "party-1", "party-2"):
        key_of(name).save(state / "keys" / f"{name}.key")
    for owner in ("coordinator", "1", "2"):
        exchange = {"kind": "folder", "location": str(state / "exchange")}
        content = {"run": RUN, "owner": owner, "task": task, "members": MEMBERS}
        Seat.model_validate({**content, "exchange": exchange, "state": str(state)}).save()
    return folder / "output"


@pytest.fixture
def output(trained: Path, tmp_path: Path) -> Path:
    """A copy to tamper with."""
    place = tmp_path / "output"
    shutil.copytree(trained, place)
    for seat in (place / ".fedcore" / "runs" / RUN).glob("*.json"):
        seat.write_text(seat.read_text().replace(str(trained), str(place)))
    return place


def typed(*words: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["ledger", *map(str, words)])
    return done.exit_code, done.output


def cut(output: Path, owner: str, lines: int) -> int:
    """Cut the last `lines` entries off; how many remain."""
    path = output / ".fedcore" / "runs" / RUN / "ledger" / f"{owner}.jsonl"
    kept = path.read_bytes().splitlines(keepends=True)[:-lines]
    path.write_bytes(b"".join(kept))
    return len(kept)


def test_whole_ledgers_are_what_the_signed_records_say(trained):
    code, shown = typed("verify", "--output", trained)
    assert code == 0
    assert shown.count("as 3 signed records and the exchange say") == 3
    assert "not compared" not in shown


@pytest.mark.parametrize("owner", ["coordinator", "party-1", "party-2"])
@pytest.mark.parametrize("lines", [1, 2, 5])
def test_a_tail_that_was_cut_is_found_at_its_entry(owner, lines, output):
    kept = cut(output, owner, lines)
    code, shown = typed("verify", RUN, "--output", output)
    assert code == 1
    assert re.search(rf"^broken +{owner}: ledger: entry {kept} ", shown, re.MULTILINE)
    assert shown.count("ok      ") == 2
    assert typed("show", RUN, "--output", output)[0] == 1


def test_an_object_that_left_without_an_entry_is_found(output):
    store = FolderStore(output / ".fedcore" / "exchange")
    store.put_once(keys.party_folder("2", RUN) + "more.bin", b"x")
    code, shown = typed("verify", RUN, "--output", output)
    assert code == 1
    assert "parties/2/chest-1/more.bin has left and no entry says so" in shown


def test_an_exchange_that_is_away_is_said_and_is_no_fault(output):
    shutil.rmtree(output / ".fedcore" / "exchange")
    code, shown = typed("verify", RUN, "--output", output)
    assert code == 0
    assert "the heads in the exchange were not compared: exchange folder" in shown


def test_records_of_somebody_else_are_not_believed(output):
    (output / ".fedcore" / "keys" / "coordinator.key").unlink()
    key_of("somebody").save(output / ".fedcore" / "keys" / "coordinator.key")
    (output / ".fedcore" / "runs" / RUN / "ledger" / "coordinator.jsonl").unlink()
    code, shown = typed("verify", RUN, "--output", output)
    assert code == 0
    assert "were not compared: wrong_signer" in shown


def party_home(output: Path, tmp_path: Path) -> Path:
    """Party 2's home with the same run, and the exchange where it was."""
    place = tmp_path / "hospital"
    (place / "runs" / RUN / "ledger").mkdir(parents=True)
    state = output / ".fedcore"
    name = "party-2.jsonl"
    shutil.copy(state / "runs" / RUN / "ledger" / name, place / "runs" / RUN / "ledger" / name)
    key_of("party-2").save(place / "keys" / "party-2.key")
    content = {
        "local": {"role": "host", "party_id": "2", "data": "images"},
        "coordinator": {
            "public_key": key_of("coordinator").public,
            "exchange": str(state / "exchange"),
            "prefect": "http://127.0.0.1:4200/api",
        },
    }
    (place / "party_config.json").write_text(json.dumps(content))
    return place


def test_a_partys_home_is_verified_against_the_exchange_too(output, tmp_path):
    place = party_home(output, tmp_path)
    code, shown = typed("verify", "--home", place)
    assert (code, shown.count("as 3 signed records and the exchange say")) == (0, 1)
    path = place / "runs" / RUN / "ledger" / "party-2.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    assert typed("verify", "--home", place)[0] == 1


def test_a_folder_that_is_no_home_is_said(tmp_path):
    code, shown = typed("verify", "--home", tmp_path)
    assert code == 2
    assert "neither a party's home nor a coordinator's" in shown


def test_the_page_lists_every_object_that_left_with_its_hash_and_says_who_allowed_it(
    output, tmp_path
):
    target = tmp_path / "left.html"
    code, shown = typed("export", RUN, "--party", "2", "--output", output, "--out", target)
    assert code == 0, shown
    page = target.read_text()
    store = FolderStore(output / ".fedcore" / "exchange")
    for key in store.keys("parties/2/"):
        assert key in page
        removal = Removal.read(store.get(key))
        assert (str(store.size(key)) if removal is None else removal.sha256) in page
    assert "what the network has learned in this round" in page
    assert "begun with task file" in page
    assert "as 3 signed records and the exchange say" in page
    assert "<script" not in page
    assert "patient1x" not in page
    assert str(tmp_path) not in page


def test_the_table_has_one_line_per_object_that_left(output, tmp_path):
    target = tmp_path / "left.csv"
    assert typed("export", RUN, "--party", "2", "--output", output, "--out", target)[0] == 0
    rows = list(csv.DictReader(target.read_text().splitlines()))
    store = FolderStore(output / ".fedcore" / "exchange")
    assert sorted(row["object"] for row in rows) == store.keys("parties/2/")
    assert {row["round"] for row in rows} == {"", "1", "2"}
    assert {row["what"] for row in rows} == {"hello", "update", "reply", "scores", "test scores"}


def test_of_a_broken_ledger_no_page_is_written(output, tmp_path):
    kept = cut(output, "party-2", 3)
    target = tmp_path / "left.html"
    code, shown = typed("export", RUN, "--party", "2", "--output", output, "--out", target)
    assert code == 1
    assert f"entry {kept} " in shown
    assert not target.exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--party", "3"), "party is '3': known: 1, 2"),
        ((), "name a party with --party: 1, 2"),
        (("--party", "2", "--out", "left.pdf"), "end it in .html or .csv"),
    ],
)
def test_an_export_that_cannot_be_made_is_said(words, sentence, output):
    code, shown = typed("export", RUN, "--output", output, *words)
    assert code == 2
    assert sentence in shown
