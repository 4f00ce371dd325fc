"""Whatever happens in whatever order: nothing that may still be read is ever removed."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from rounds_story import RUN, ByHand
from worlds import is_removed

from fedcore.config.task import TaskFile
from fedcore.exchange import codec, keys
from fedcore.rounds import coordinator, sealed
from fedcore.rounds.coordinator.combining import combined_of
from fedcore.rounds.messages import Invitation, Reply
from fedcore.rounds.selection import best_round

NAMES = ("1", "2", "3")
ACTS = st.sampled_from(["forget", "restart", "twice"])
# Of each round: who replies, and for which invitation of those that are unanswered: how far back.
ROUNDS = st.lists(
    st.tuples(
        st.dictionaries(st.sampled_from(NAMES), st.integers(0, 4), min_size=1),
        st.integers(0, 20),
        *(st.lists(ACTS, max_size=2) for _ in range(3)),
    ),
    min_size=2,
    max_size=6,
)


class Story(ByHand):
    """A training in which any act may come between any two steps of a round."""

    def __init__(self, folder: Path, keep: int, **more: object) -> None:
        super().__init__(folder, select_by="accuracy", **more)
        content = self.task.model_dump(mode="json")
        evaluation = {"cross_site": keep == 0}
        content |= {"retention": {"keep_rounds": keep}, "evaluation": evaluation}
        self.task = TaskFile.model_validate(content)
        object.__setattr__(self.desk, "task", self.task)
        self.answered: dict[str, int] = {}

    def act(self, wanted: list[str]) -> None:
        for one in wanted:
            if one == "restart":
                self.restart()
            for _ in range({"forget": 1, "twice": 2}.get(one, 0)):
                coordinator.forget_superseded(self.desk)
            for key in self.needed():
                assert not is_removed(self.store, key), key

    def answer(self, invitation: Invitation, name: str, back: int) -> None:
        """Reply with what was trained `back` rounds ago, as far as the party may."""
        late = self.task.federation.late == "next_round"
        oldest = self.answered.get(name, 0) + 1
        asked = max(oldest, invitation.round - back) if late else invitation.round
        ref = sealed.reference(keys.update(name, RUN, asked), trained(asked))
        self.store.put_once(ref.key, trained(asked))
        start = self.asked(asked)
        changes = {"trained_in": asked, "base": start.weights.sha256, "update": ref}
        self.reply(invitation, name, trained(invitation.round), changes=changes)
        self.answered[name] = asked

    def needed(self) -> Iterator[str]:
        """All that somebody may still read, found without the code that is tested."""
        done = coordinator.records(self.desk)
        yield keys.model(RUN, 0)
        if done:
            yield best_round(done, "accuracy").model.key
            yield done[-1].model.key
        if self.store.exists(keys.invitation(RUN, len(done) + 1)):
            yield self.asked(len(done) + 1).weights.key
        for name in NAMES:
            yield from self._of_party(name, len(done))

    def asked(self, number: int) -> Invitation:
        return sealed.read(self.store, keys.invitation(RUN, number), Invitation, None)

    def _of_party(self, name: str, done: int) -> Iterator[str]:
        """What it may start from, what is sent and not in a record, what stays, what is shown."""
        if self.task.federation.late == "next_round":
            for number in range(self.answered.get(name, 0) + 1, done + 1):
                yield self.asked(number).weights.key
        if self.store.exists(keys.reply(name, RUN, done + 1)):
            yield self._reply(name, done + 1).update.key
        counted = [n for n in range(1, done + 1) if name in combined_of(self.desk, n).weights]
        for number in counted:
            if number > done - self.task.retention.keep_rounds:
                yield self._reply(name, number).update.key
        if self.task.evaluation.cross_site and counted:
            reply = self._reply(name, counted[-1])
            yield reply.update.key
            yield self.asked(reply.trained_in).weights.key

    def _reply(self, name: str, number: int) -> Reply:
        return sealed.read(self.store, keys.reply(name, RUN, number), Reply, None)


def trained(number: int) -> memoryview:
    return codec.encode({"count": np.array(1), "weight": np.full(4, number, np.float32)})


@settings(max_examples=60, deadline=None)
@given(rounds=ROUNDS, keep=st.integers(0, 2), late=st.sampled_from(["discard", "next_round"]))
def test_nothing_that_may_still_be_read_is_ever_removed(rounds, keep, late) -> None:
    with tempfile.TemporaryDirectory() as folder:
        story = Story(Path(folder), keep, late=late, epochs=len(rounds))
        first = story.open()
        for number, (replying, right, *acts) in enumerate(rounds, start=1):
            done = coordinator.records(story.desk)
            asked = coordinator.invite(story.desk, number, done[-1].model) if done else first
            story.act(acts[0])
            for name, back in sorted(replying.items()):
                story.answer(asked, name, back)
            story.act(acts[1])
            story.combine(number)
            assert set(combined_of(story.desk, number).weights) == set(replying)
            story.act(acts[2])
            made = combined_of(story.desk, number).model.sha256
            for name in replying:
                story.score(number, name, made, right, 20 - right)
            coordinator.record(story.desk, number, 1.0)
            story.act(acts[1])
        asked = coordinator.request_final_test(story.desk)
        assert not any(is_removed(story.store, ref.key) for ref in asked.models.values())
        shown = {name for name in NAMES if story.answered.get(name)} if keep == 0 else set()
        assert {one for one in asked.models if one.startswith("local-")} == {
            f"local-{n}" for n in shown
        }
        coordinator.conclude(story.desk)
        coordinator.forget_rest(story.desk)
        left = [key for key in story.store.keys("parties/") if key.endswith("update.safetensors")]
        if keep == 0:
            assert all(is_removed(story.store, key) for key in left)
