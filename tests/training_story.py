"""An invented training, told in the messages of the exchange: what tracking and reports show."""

from __future__ import annotations

import numpy as np

from fedcore.config.task import TaskFile
from fedcore.metrics import Scores
from fedcore.rounds.messages import (
    Agreement,
    End,
    Hello,
    Member,
    ObjectRef,
    PartyResult,
    Record,
)

CLASSES = ("normal", "pneumonia")
SHOWN = ("loss", "accuracy", "auroc", "auprc", "f1")
PARTIES = (("9999", "guest"), ("10000", "host"), ("10001", "host"))
RUN = "run-20261122-a1b2c3"


def task_file(classes: int = 2, rounds: int = 12, **sections) -> TaskFile:
    content = {
        "task_type": "classification",
        "name": "chest-xray",
        "model": {"name": "cnn", "input_size": [3, 28, 28], "num_classes": classes},
        "federation": {"strategy": "fedavg", "epochs": rounds, "batch_size": 32, "lr": 0.001},
    }
    return TaskFile.model_validate(content | sections)


def reference(text: str) -> ObjectRef:
    digest = (text.encode().hex() * 64)[:64]
    return ObjectRef(key=f"models/{text}", sha256=digest, size=1000)


def agreement(task: TaskFile, parties=PARTIES, run: str = RUN) -> Agreement:
    return Agreement(
        run=run,
        task=task.model_dump(mode="json"),
        task_hash=task.fingerprint(),
        parties=tuple(Member(party_id=party, role=role) for party, role in parties),
        code_version="0.1.0",
    )


def hellos(task: TaskFile, classes=CLASSES, parties=PARTIES, run: str = RUN) -> dict[str, Hello]:
    return {
        party: Hello(
            run=run,
            party=party,
            role=role,
            task_hash=task.fingerprint(),
            contract_hash=f"{number + 10:064x}"[::-1],
            code_version="0.1.0",
            classes=classes,
            patients=(412, 268, 73)[number % 3],
            images=(1650, 903, 221)[number % 3],
            quarantine={"no_pixels": 3, "not_dicom": 1} if number == 0 else {},
        )
        for number, (party, role) in enumerate(parties)
    }


def result(number: int, position: int, role: str, withheld: bool = False) -> PartyResult:
    gain = 1 - np.exp(-number / 4.0)
    wobble = 0.015 * np.sin(number * (position + 1.7))
    patients = (412, 268, 73)[position % 3]
    own = {"train_loss": 0.72 - 0.52 * gain, "train_accuracy": 0.55 + 0.38 * gain}
    validation = {
        "loss": 0.71 - 0.4 * gain + wobble,
        "accuracy": 0.56 + 0.32 * gain - wobble,
        "auroc": 0.58 + 0.35 * gain - wobble,
        "auprc": 0.5 + 0.4 * gain - wobble,
        "f1": 0.5 + 0.35 * gain - wobble,
    }
    return PartyResult(
        role=role,
        status="admitted",
        weight=patients / 753,
        patients=patients,
        images=patients * 4,
        **own,
        **({} if withheld else validation),
    )


def record(number: int, parties=PARTIES, absent=(), withheld=(), run: str = RUN) -> Record:
    results = {
        party: PartyResult(role=role, status="late")
        if (number, party) in absent
        else result(number, position, role, party in withheld)
        for position, (party, role) in enumerate(parties)
    }
    shown = [one for one in results.values() if one.loss is not None]
    means = {
        name: float(np.mean([getattr(one, name) for one in shown]))
        for name in (*SHOWN, "train_loss", "train_accuracy")
        if shown
    }
    return Record(
        run=run,
        round=number,
        model=reference(f"round-{number}"),
        parties=results,
        bytes_up=3 * 1_200_000 + number,
        bytes_down=3 * 1_200_000,
        seconds=12.5 + number / 7,
        **means,
        **{f"average_{name}": means[name] for name in SHOWN if means},
    )


def records(rounds: int = 12, parties=PARTIES, absent=(), withheld=(), run: str = RUN):
    return [record(number, parties, absent, withheld, run) for number in range(1, rounds + 1)]


def scores(seed: int, images: int = 240, classes: int = 2, sharpness: float = 1.4) -> Scores:
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, classes, images)
    logits = generator.normal(size=(images, classes))
    logits[np.arange(images), truth] += sharpness
    odds = np.exp(logits)
    probabilities = odds / odds.sum(axis=1, keepdims=True)
    loss = float(-np.log(probabilities[np.arange(images), truth]).sum())
    return Scores.of(probabilities, truth, loss, max(1, images // 3))


def end(
    task_classes=CLASSES, parties=PARTIES, withheld=(), rounds: int = 12, run: str = RUN
) -> End:
    number = len(task_classes)
    best = {
        party: None
        if party in withheld
        else scores(position, (330, 210, 60)[position % 3], number).to_json()
        for position, (party, _) in enumerate(parties)
    }
    return End(
        run=run,
        reason="all rounds done",
        rounds=rounds,
        best_round=max(1, rounds - 2),
        best=reference("best"),
        final=reference("final"),
        classes=task_classes,
        scores={"best": best, "final": best},
    )
