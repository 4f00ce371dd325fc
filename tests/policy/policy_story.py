"""What the tests of the policy share: an agreement, a hospital's gate, and a home on disk."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from rounds_story import RUN, Time, key_of, task_file

from fedcore.audit.ledger import Ledger
from fedcore.config.policy import Policy
from fedcore.config.task import TaskFile
from fedcore.exchange import keys
from fedcore.exchange.folder import FolderStore
from fedcore.exchange.memory import MemoryStore
from fedcore.exchange.store import ObjectStore
from fedcore.rounds import sealed
from fedcore.rounds.consent import Gate
from fedcore.rounds.messages import Agreement, Member

COORDINATOR = key_of("coordinator")
MEMBERS = (Member(party_id="1", role="guest"), Member(party_id="2", role="host"))


def agreement(task: TaskFile | None = None, /, **changes: object) -> Agreement:
    """What the coordinator publishes of a task."""
    agreed = task or task_file()
    content = {
        "run": RUN,
        "task": agreed.model_dump(mode="json"),
        "task_hash": agreed.fingerprint(),
        "parties": MEMBERS,
        "code_version": "test",
    }
    return Agreement.model_validate({**content, **changes})


def publish(store: ObjectStore, agreed: Agreement, signer: str = "coordinator") -> None:
    """Found the run."""
    sealed.publish(store, keys.agreement(agreed.run), agreed, key_of(signer))


def gate(
    folder: Path, store: ObjectStore | None = None, said: list[str] | None = None, **policy: object
) -> Gate:
    """Party 2's gate; its ledger and notices lie in `folder`."""
    time = Time()
    words = said if said is not None else []
    bounds = {"coordinators": [COORDINATOR.public], "data": [str(folder / "data")], **policy}
    return Gate(
        run=RUN,
        party="2",
        policy=Policy.model_validate(bounds),
        data=folder / "data",
        store=store if store is not None else MemoryStore(),
        key=key_of("2"),
        ledger=Ledger(folder / "ledger.jsonl", key_of("2"), time.clock),
        watch=time.watch(words.append),
        approvals=folder / "approvals",
    )


def answered_by(gate: Gate, action) -> Gate:
    """The gate at which somebody does `action` the first time that it waits."""
    done: list[bool] = []

    def pause(seconds: float) -> None:
        if not done:
            done.append(True)
            action()

    return replace(gate, watch=replace(gate.watch, pause=pause))


def home(folder: Path, policy: str = "", task: TaskFile | None = None, found: bool = True) -> Path:
    """A party's home as `fedcore party join` makes it, and an exchange in which a run waits."""
    exchange = folder / "exchange"
    place = folder / "hospital"
    place.mkdir(parents=True)
    content = {
        "local": {"role": "host", "party_id": "2", "data": "images"},
        "coordinator": {
            "public_key": COORDINATOR.public,
            "exchange": str(exchange),
            "prefect": "http://127.0.0.1:4200/api",
        },
    }
    (place / "party_config.json").write_text(json.dumps(content))
    (place / "policy.yaml").write_text(policy)
    key_of("2").save(place / "keys" / "party-2.key")
    store = FolderStore(exchange)
    store.prepare()
    if found:
        publish(store, agreement(task))
    return place
