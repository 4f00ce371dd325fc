"""Before the training: what the parties tell of their data."""

from __future__ import annotations

from fedcore.rounds import coordinator
from tasks.coordinator.desk import desk_at
from tasks.options import step


def telling_parties(seat: str) -> list[str]:
    """The parties whose statistics are to be waited for; none where the task asks for none."""
    return coordinator.telling_parties(desk_at(seat))


@step("statistics · {label}")
def await_statistics(seat: str, party: str, label: str, until: float | None) -> str:
    """Wait for what one party tells of its data; `told`, `late`, or why it does not count."""
    return coordinator.await_statistics(desk_at(seat), party, until)


@step("statistics · pool")
def pool_statistics(seat: str) -> list[str]:
    """Publish the statistics of each party and of all together; the ids of those who told."""
    return sorted(coordinator.pool_statistics(desk_at(seat)).parties)
