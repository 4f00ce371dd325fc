"""One round on the coordinator's side, verb by verb."""

from __future__ import annotations

from fedcore.rounds import coordinator
from fedcore.rounds.messages import line
from tasks.coordinator import leaves, tables
from tasks.coordinator.desk import desk_at
from tasks.options import step
from tasks.voices import voice_of


def next_round(seat: str) -> int | None:
    """The number of the round to run now; `None` when the training needs no more."""
    desk = desk_at(seat)
    done = coordinator.records(desk)
    return len(done) + 1 if coordinator.goes_on(desk, done) else None


def deadline(seat: str) -> float | None:
    """Until when, on this process's clock, a step that begins now may wait."""
    return coordinator.deadline(desk_at(seat))


@step("round-{number:03d} · invite")
def invite(seat: str, number: int) -> list[str]:
    """Publish the round's invitation; the ids of the invited parties."""
    desk = desk_at(seat)
    done = coordinator.records(desk)
    weights = done[-1].model if done else coordinator.adopt_initial_model(desk)
    return list(coordinator.invite(desk, number, weights).parties)


def forget_superseded(seat: str) -> None:
    """Remove from the exchange what only rounds that are done have read."""
    coordinator.forget_superseded(desk_at(seat))


@step("round-{number:03d} · {label} · reply")
def ask_party(seat: str, number: int, party: str, label: str, until: float | None) -> str:
    """Wait for one party's reply; `replied`, `late`, or why it is refused."""
    return coordinator.ask(desk_at(seat), number, party, until)


def closes_early(seat: str) -> bool:
    """Whether a round closes with the first few replies, or waits for each party's."""
    return desk_at(seat).task.federation.buffer is not None


@step("round-{number:03d} · first replies")
def gather(seat: str, number: int, until: float | None) -> dict[str, str]:
    """Wait until enough replies are there; every party's answer: `replied`, `training`, ..."""
    return coordinator.gather(desk_at(seat), number, until)


def groups(seat: str, number: int) -> list[int]:
    """The numbers of the round's groups; none where all updates are one sum."""
    return coordinator.groups(desk_at(seat), number)


@step("round-{number:03d} · group {group} · replies and sum")
def sum_group(seat: str, number: int, group: int, until: float | None) -> dict[str, str]:
    """Wait for a group's replies and have a process add them up; every party's answer."""
    desk = desk_at(seat)
    answers = coordinator.ask_group(desk, number, group, until)
    if coordinator.summed(desk, number, group, answers) is None:
        leaves.add_up(seat, number, group, answers)
    return answers


@step("round-{number:03d} · combine")
def combine(seat: str, number: int, answers: dict[str, str]) -> list[str]:
    """Check the quorum and make the new global model; the ids of who is to score it now."""
    desk = desk_at(seat)
    coordinator.require_quorum(desk, number, answers)
    coordinator.combine(desk, number, answers)
    return coordinator.scorers(desk, number)


@step("round-{number:03d} · {label} · score")
def await_score(seat: str, number: int, party: str, label: str, until: float | None) -> str:
    """Wait for one party's scores of the new model; `scored` or `late`."""
    return coordinator.await_score(desk_at(seat), number, party, until)


@step("round-{number:03d} · record")
def record(seat: str, number: int, seconds: float) -> str:
    """Write the round's commit marker and show it as a table in Prefect; the round's line."""
    desk = desk_at(seat)
    written = coordinator.record(desk, number, seconds)
    text = line(written, desk.task)
    voice_of(seat).tell("record", line=text, record=written.model_dump(mode="json"))
    tables.show(seat)
    return text
