"""`fedcore ledger`: a whole ledger is told from one that was changed, cut or swapped."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_story import Said, fedcore, one_sentence, write_run


def verify(output: Path, *arguments: str) -> Said:
    return fedcore("ledger", "verify", *arguments, "--output", output)


def changed(lines: list[bytes]) -> list[bytes]:
    return [*lines[:2], lines[2].replace(b'"round":2', b'"round":3'), *lines[3:]]


def dropped(lines: list[bytes]) -> list[bytes]:
    return lines[:2] + lines[3:]


def swapped(lines: list[bytes]) -> list[bytes]:
    return [*lines[:2], lines[3], lines[2], *lines[4:]]


def torn(lines: list[bytes]) -> list[bytes]:
    return [*lines[:2], lines[2][:40] + b"\n"]


@pytest.mark.parametrize("fault", [changed, dropped, swapped, torn])
def test_a_tampered_ledger_is_named_with_its_first_bad_entry(fault, tmp_path):
    path = write_run(tmp_path, "training-1") / "party-10000.jsonl"
    path.write_bytes(b"".join(fault(path.read_bytes().splitlines(keepends=True))))
    said = verify(tmp_path)
    assert said.code == 1
    (broken,) = [line for line in said.out.splitlines() if line.startswith("broken")]
    assert "party-10000: ledger: entry 2 " in broken
    assert said.out.count("ok      ") == 2


@pytest.mark.parametrize("owner", ["party-9999", "coordinator"])
def test_a_cut_tail_is_noticed_where_the_head_was_published(owner, tmp_path):
    path = write_run(tmp_path, "training-1", rounds=4) / f"{owner}.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-2]))
    said = verify(tmp_path)
    assert said.code == 1
    assert f"{owner}: ledger: entry 3 and all after it are cut off" in said.out


def test_whole_ledgers_are_counted(tmp_path):
    write_run(tmp_path, "training-1", rounds=4)
    said = verify(tmp_path)
    assert (said.code, said.err) == (0, "")
    for owner in ("coordinator", "party-10000", "party-9999"):
        assert f"ok      {owner}: 5 entries, head " in said.out


def test_a_ledger_that_has_grown_since_is_whole(tmp_path):
    path = write_run(tmp_path, "training-1")
    heads = (tmp_path / "ledger-heads.json").read_text()
    (tmp_path / "ledger-heads.json").write_text(heads.replace('"index": 4', '"index": 3'))
    assert verify(tmp_path).code == 1  # that hash is not the one of entry 3
    lines = (path / "party-9999.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "ledger-heads.json").unlink()
    (path / "party-9999.jsonl").write_bytes(b"".join(lines))
    assert verify(tmp_path).code == 0


def test_the_heads_of_a_later_run_say_nothing_against_an_earlier_one(tmp_path):
    write_run(tmp_path, "training-1", rounds=2)
    write_run(tmp_path, "training-2", rounds=6)
    assert verify(tmp_path, "training-1").code == 0
    assert verify(tmp_path, "training-2").code == 0


def test_of_several_runs_one_must_be_named(tmp_path):
    write_run(tmp_path, "training-1")
    write_run(tmp_path, "training-2")
    said = verify(tmp_path)
    assert said.code == 2
    assert "name one: training-1, training-2" in one_sentence(said)


def test_a_missing_key_is_said(tmp_path):
    write_run(tmp_path, "training-1")
    (tmp_path / ".fedcore" / "keys" / "party-9999.key").unlink()
    said = verify(tmp_path)
    assert said.code == 2
    assert "party-9999.key: cannot be read" in one_sentence(said)


def test_heads_that_are_no_json_are_said(tmp_path):
    write_run(tmp_path, "training-1")
    (tmp_path / "ledger-heads.json").write_text("[")
    said = verify(tmp_path)
    assert said.code == 2
    assert "ledger-heads.json: it is no JSON object" in one_sentence(said)


def test_show_prints_every_entry(tmp_path):
    write_run(tmp_path, "training-1", rounds=3)
    said = fedcore("ledger", "show", "--output", tmp_path)
    assert said.code == 0
    shown = said.out.splitlines()
    assert sum("update_sent round=" in line for line in shown) == 9
    assert sum(line.startswith("#0 ") for line in shown) == 3
