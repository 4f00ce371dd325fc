"""The last sign of life of a side: its newest object in the exchange, in words."""

from __future__ import annotations

import re

from fedcore.errors import ExchangeError
from fedcore.exchange.store import ObjectStore

ROUND = re.compile(r"rounds/(\d{5})/([a-z]+)")
# What each object says, from the first of a run to the last.
STORY = (
    ("agreement.json", "founded the run"),
    ("pending.json", "asked a person there for approval"),
    ("refusal.json", "refused the job"),
    ("hello.json", "said hello"),
    ("statistics.json", "told the statistics"),
    ("final/evaluation.json", "asked for the final test"),
    ("final/score.json", "scored the final test"),
    ("end.json", "ended the training"),
)
# Within a round, in order.
STEPS = {
    "invitation": "invited to",
    "update": "uploaded the update of",
    "reply": "replied to",
    "model": "combined",
    "combined": "combined",
    "score": "scored",
    "record": "recorded",
}
ORDER = tuple(STEPS)


def last_sign(store: ObjectStore, folder: str) -> str:
    """What the side whose objects lie under `folder` did last; never raises."""
    try:
        found = [key.removeprefix(folder) for key in store.keys(folder)]
    except ExchangeError:
        return "the exchange does not say what it did last"
    return _newest_story(found) or "it has not been heard of yet"


def _newest_story(found: list[str]) -> str | None:
    told = [words for name, words in STORY if name in found]
    rounds = [(int(match[1]), match[2]) for key in found if (match := ROUND.match(key))]
    after = [words for name, words in STORY if name.startswith(("final", "end")) and name in found]
    if after:
        return f"it last {after[-1]}"
    steps = [(number, ORDER.index(step)) for number, step in rounds if step in STEPS and number]
    if steps:
        number, step = max(steps)
        return f"it last {STEPS[ORDER[step]]} round {number}"
    return f"it last {told[-1]}" if told else None
