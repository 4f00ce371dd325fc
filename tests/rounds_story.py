"""Small federations for tests: parties played by hand in numpy, or real ones on tiny images."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
from PIL import Image

from fedcore.audit.ledger import Ledger
from fedcore.audit.signing import SigningKey
from fedcore.config.federation import SGD_ONLY
from fedcore.config.task import TaskFile
from fedcore.exchange import codec, keys
from fedcore.exchange.memory import MemoryStore
from fedcore.exchange.store import ObjectStore
from fedcore.metrics import Scores
from fedcore.params import Params
from fedcore.rounds import coordinator, sealed
from fedcore.rounds.messages import Hello, Invitation, Member, Reply, Score
from fedcore.rounds.standing import Standing
from fedcore.rounds.waiting import Watch

RUN = "chest-1"
CLASSES = ("NORMAL", "PNEUMONIA")
BYTES = b"fixed "


def task_file(training: Mapping[str, object] | None = None, **federation: object) -> TaskFile:
    """A task for images of 16 pixels; `federation` and `training` override those sections.

    A strategy that needs sgd has it.
    """
    optimizer = "sgd" if federation.get("strategy") in SGD_ONLY else "adam"
    section = {"strategy": "fedavg", "epochs": 2, "batch_size": 8, "lr": 0.01, **federation}
    content = {
        "task_type": "classification",
        "name": "chest",
        "model": {"name": "cnn", "input_size": [1, 16, 16], "num_classes": 2},
        "federation": section,
        "training": {"threads": 1, "optimizer": optimizer, **(training or {})},
        "data": {"min_reported": 1, "min_patients": 2, "validation": 0.25, "test": 0.25},
    }
    return TaskFile.model_validate(content)


def asking(level: str = "full", least: int = 1, **federation: object) -> TaskFile:
    """The task of the stories, with statistics."""
    task = task_file(**federation)
    data = task.data.model_copy(update={"statistics": level, "min_reported": least})
    return task.model_copy(update={"data": data})


def keeping(task: TaskFile, rounds: int | None, **sections: object) -> TaskFile:
    """The task with so many `keep_rounds`, and with `sections` in the place of its own."""
    content = task.model_dump(mode="json") | {"retention": {"keep_rounds": rounds}, **sections}
    return TaskFile.model_validate(content)


class Time:
    """A clock that moves only when someone waits."""

    def __init__(self) -> None:
        self.now = 0.0

    def clock(self) -> float:
        return self.now

    def pause(self, seconds: float) -> None:
        self.now += seconds

    def watch(self, say: Callable[[str], None] = lambda _: None) -> Watch:
        return Watch(self.clock, self.pause, say)


def key_of(owner: str) -> SigningKey:
    """The owner's key, always the same."""
    return SigningKey.generate(lambda size: hashlib.sha256(owner.encode()).digest()[:size])


def model(value: float = 0.0) -> Params:
    """A model of one weight vector and one counter."""
    return {"count": np.array(3, np.int64), "weight": np.full(4, value, np.float32)}


class ByHand:
    """A coordinator and parties without torch: the test says what each party answers."""

    def __init__(
        self,
        folder: Path,
        parties: tuple[str, ...] = ("1", "2", "3"),
        store: ObjectStore | None = None,
        **federation: object,
    ) -> None:
        self.task, self.time = task_file(**{"quorum": 1, **federation}), Time()
        self.store = store or MemoryStore()
        self.parties = parties
        self.patients: dict[str, int] = {}
        members = tuple(
            Member(party_id=party, role="guest" if party == parties[0] else "host")
            for party in parties
        )
        ledger = Ledger(folder / "coordinator.jsonl", key_of("coordinator"), self.time.clock)
        self.said: list[str] = []
        self.desk = coordinator.Desk(
            run=RUN,
            task=self.task,
            members=members,
            store=self.store,
            key=key_of("coordinator"),
            ledger=ledger,
            watch=self.time.watch(self.said.append),
            code_version="test",
        )

    def restart(self) -> None:
        """The coordinator as a new process: it has nothing but the exchange and its ledger."""
        self.desk = replace(self.desk, memory={}, replies={}, made={}, standing=Standing())

    def open(self, start: Params | None = None) -> Invitation:
        """Found the run, let all parties say hello, invite to round 1."""
        coordinator.found(self.desk)
        for party in self.parties:
            self.hello(party, start or model())
        coordinator.welcome(self.desk)
        weights = coordinator.adopt_initial_model(self.desk)
        return coordinator.invite(self.desk, 1, weights)

    def hello(self, party: str, start: Params, **changes: object) -> None:
        """Say hello for a party; the first brings the initial model."""
        initial = None
        if party == self.parties[0]:
            body = codec.encode(start)
            initial = sealed.reference(keys.initial(party, RUN), body)
            self.store.put_once(initial.key, body)
        hello = Hello(
            run=RUN,
            party=party,
            role="guest" if initial else "host",
            task_hash=self.task.fingerprint(),
            contract_hash="c" * 64,
            code_version="test",
            classes=CLASSES,
            patients=self.patients.get(party, 10),
            images=20,
            quarantine={},
            initial=initial,
        )
        hello = hello.model_copy(update=changes)
        sealed.publish(self.store, keys.hello(party, RUN), hello, key_of(party))

    def reply(
        self,
        invitation: Invitation,
        party: str,
        update: Params | bytes,
        signer: str | None = None,
        changes: Mapping[str, object] = MappingProxyType({}),
    ) -> None:
        """Put a party's update and its signed reply into the exchange; `changes` lie about it."""
        body = update if isinstance(update, bytes | memoryview) else codec.encode(update)
        ref = sealed.reference(keys.update(party, RUN, invitation.round), body)
        self.store.put_once(ref.key, body)
        reply = Reply(
            run=RUN,
            round=invitation.round,
            trained_in=invitation.round,
            party=party,
            base=invitation.weights.sha256,
            update=ref,
            codec="float32",
            patients=self.patients.get(party, 10),
            images=20,
            metrics={"loss": 0.5, "accuracy": 0.75},
            task_hash=invitation.task_hash,
            contract_hash="c" * 64,
            code_version="test",
        )
        reply = reply.model_copy(update=dict(changes))
        key = keys.reply(party, RUN, invitation.round)
        sealed.publish(self.store, key, reply, key_of(signer or party))

    def answers(self, number: int = 1) -> dict[str, str]:
        """What the coordinator hears from each party, without waiting."""
        now = self.time.clock()
        return {party: coordinator.ask(self.desk, number, party, now) for party in self.parties}

    def combine(self, number: int = 1) -> Params:
        """Combine what is there; the new global model."""
        combined = coordinator.combine(self.desk, number, self.answers(number))
        return codec.decode(sealed.fetch(self.store, combined.model))

    def score(self, number: int, party: str, sha256: str, right: int, wrong: int) -> None:
        """Send a party's scores: so many images right and wrong."""
        truth = np.zeros(right + wrong, np.int64)
        truth[::2] = 1
        probabilities = np.full((right + wrong, 2), 0.2)
        hit = np.arange(right + wrong) < right
        probabilities[np.arange(right + wrong), np.where(hit, truth, 1 - truth)] = 0.8
        scores = Scores.of(probabilities, truth, 1.0, patients=right + wrong)
        message = Score(run=RUN, party=party, round=number, scores={sha256: scores.to_json()})
        key = keys.final_score(party, RUN) if number == 0 else keys.score(party, RUN, number)
        sealed.publish(self.store, key, message, key_of(party))


def write_pictures(folder: Path, patients: int = 16, seed: int = 0, size: int = 20) -> Path:
    """A hospital's folder of small PNG files: bright squares on the left are NORMAL."""
    random = np.random.default_rng(seed)
    for number in range(patients):
        label = CLASSES[number % 2]
        pixels = random.integers(0, 90, (size, size), dtype=np.uint8)
        side = slice(0, size // 2) if label == "NORMAL" else slice(size // 2, size)
        pixels[4:-4, side] += 120
        place = folder / label
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(place / f"patient{seed}x{number:03d}.png")
    return folder


def hospitals(folder: Path, names: tuple[str, ...] = ("1", "2")) -> Mapping[str, Path]:
    """Folders of several hospitals, each with its own patients."""
    return {
        name: write_pictures(folder / name, 16 + 4 * number, number)
        for number, name in enumerate(names)
    }
