"""How often a flow run that dies is started again: while it gets further, without end."""

from __future__ import annotations

from dataclasses import dataclass, field

IN_A_ROW = 5
LONGEST_PAUSE = 60.0


@dataclass
class Attempts:
    """Counts deaths of one flow run since it last did something that it had not done before."""

    in_a_row: int = IN_A_ROW
    deaths: int = 0
    done: set[str] = field(default_factory=set)

    def progressed(self, name: str) -> None:
        """Hear of a finished step; the first time, the count begins anew."""
        if name not in self.done:
            self.done.add(name)
            self.deaths = 0

    def died(self) -> float | None:
        """Seconds until the next start, growing from none; `None` when it is to be given up."""
        self.deaths += 1
        if self.deaths > self.in_a_row:
            return None
        return 0.0 if self.deaths == 1 else min(2.0 ** (self.deaths - 1), LONGEST_PAUSE)
