"""The model that a round starts from: as this process made it, or from the exchange."""

from __future__ import annotations

from fedcore.exchange import codec
from fedcore.params import Params
from fedcore.rounds import sealed
from fedcore.rounds.coordinator.desk import Desk
from fedcore.rounds.messages import Invitation


def start_of(desk: Desk, invitation: Invitation) -> Params:
    """The round's global model, its arrays read-only.

    What this process published after the round before is neither fetched nor hashed again.
    """
    weights = invitation.weights
    body = desk.made.get(weights.sha256)
    return codec.views(sealed.fetch(desk.store, weights) if body is None else body)


def keep_made(desk: Desk, sha256: str, body: memoryview) -> None:
    """Keep the newest model's bytes, where the next round starts; the one before it goes."""
    desk.made.clear()
    desk.made[sha256] = body
