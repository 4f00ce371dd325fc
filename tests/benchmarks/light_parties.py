"""Hospitals without torch, for measuring what the coordinator needs: all played by one process.

Each answers an invitation with the same ready update of resnet18 and scores every model alike; a
few of them send at a time.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "peers"), str(HERE.parent), str(HERE.parents[1])]

import numpy as np  # noqa: E402
from neutral import model, perturbed  # noqa: E402
from rounds_story import RUN, ByHand, key_of  # noqa: E402

from fedcore.config.task import TaskFile  # noqa: E402
from fedcore.exchange import codec, keys  # noqa: E402
from fedcore.exchange.store import ObjectStore  # noqa: E402
from fedcore.metrics import Scores  # noqa: E402
from fedcore.params import subtract  # noqa: E402
from fedcore.rounds import sealed  # noqa: E402
from fedcore.rounds.messages import Combined, FinalEvaluation, Invitation, Score  # noqa: E402

HANDS = 3
FINAL = 0
LOOK_SECONDS = 0.1


class LightParties:
    """Parties of these ids; the first is the guest."""

    def __init__(
        self, folder: Path, store: ObjectStore, names: Sequence[str], task: TaskFile
    ) -> None:
        """Nothing is said yet."""
        self._hand = ByHand(folder, tuple(names), store)
        self._hand.task = task
        self._store, self._names, self._over = store, names, threading.Event()
        self._start = {
            name: np.abs(array) for name, array in model().items()
        }  # no variance below 0
        self._update = bytes(codec.encode(subtract(perturbed(self._start), self._start)))
        truth = np.arange(20) % 2
        certain = np.where(truth[:, None] == np.arange(2), 0.8, 0.2)
        self._scores = Scores.of(certain, truth, 1.0, patients=len(truth)).to_json()

    def play(self, rounds: int) -> None:
        """Say hello, answer every round, and do the final test."""
        self._await(keys.agreement(RUN))
        for name in self._names:
            self._hand.hello(name, self._start)
        for number in range(1, rounds + 1):
            self._await(keys.invitation(RUN, number))
            invitation = sealed.read(self._store, keys.invitation(RUN, number), Invitation, None)
            with ThreadPoolExecutor(HANDS) as hands:
                answer = partial(self._hand.reply, invitation, update=self._update)
                list(hands.map(answer, self._names))
            self._await(keys.combined(RUN, number))
            combined = sealed.read(self._store, keys.combined(RUN, number), Combined, None)
            self._score(number, [combined.model.sha256])
        self._await(keys.final_evaluation(RUN))
        asked = sealed.read(self._store, keys.final_evaluation(RUN), FinalEvaluation, None)
        self._score(FINAL, {one.sha256 for one in asked.models.values()})

    def give_up(self) -> None:
        """Let a wait of `play` end."""
        self._over.set()

    def _await(self, key: str) -> None:
        while not self._store.exists(key):
            if self._over.wait(LOOK_SECONDS):
                sys.exit(f"{key} has not come")

    def _score(self, number: int, models: Iterable[str]) -> None:
        scores = dict.fromkeys(models, self._scores)
        for name in self._names:
            message = Score(run=RUN, party=name, round=number, scores=scores)
            key = keys.score(name, RUN, number) if number else keys.final_score(name, RUN)
            sealed.publish(self._store, key, message, key_of(name))
