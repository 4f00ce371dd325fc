"""A party obeys the coordinator that its party file names, and no other one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rounds_story import Time, key_of, task_file

from fedcore.audit.ledger import Ledger
from fedcore.errors import RunMismatch
from fedcore.exchange.memory import MemoryStore
from fedcore.rounds.messages import Member
from fedcore.rounds.party import Desk


def desk(folder: Path, pinned: str | None) -> Desk:
    nothing: Any = None  # neither images nor a network are looked at
    return Desk(
        run="chest-1",
        task=task_file(),
        member=Member(party_id="2", role="host"),
        store=MemoryStore(),
        key=key_of("2"),
        ledger=Ledger(folder / "ledger.jsonl", key_of("2"), lambda: 0.0),
        watch=Time().watch(),
        code_version="test",
        cohort=nothing,
        network=nothing,
        spool=folder,
        pinned_coordinator=pinned,
    )


def test_another_key_than_the_pinned_one_is_refused_at_first_sight(tmp_path):
    known, other = key_of("coordinator").public, key_of("other").public
    with pytest.raises(RunMismatch, match=r"party file: coordinator\.public_key is ") as refused:
        desk(tmp_path, known).remember_coordinator(other)
    assert known[:12] in str(refused.value)
    assert other[:12] in str(refused.value)
    assert not (tmp_path / "coordinator.pub").exists()


def test_the_pinned_key_is_trusted_and_kept(tmp_path):
    known = key_of("coordinator").public
    desk(tmp_path, known).remember_coordinator(known)
    assert desk(tmp_path, known).coordinator_key() == known


def test_without_a_pin_the_first_key_is_trusted_and_no_later_one(tmp_path):
    first, second = key_of("coordinator").public, key_of("other").public
    desk(tmp_path, None).remember_coordinator(first)
    with pytest.raises(RunMismatch, match="is not the one seen before"):
        desk(tmp_path, None).remember_coordinator(second)
    with pytest.raises(RunMismatch, match=r"party file: coordinator\.public_key"):
        desk(tmp_path, second).remember_coordinator(first)
