"""What a failure on the way to MLflow is called; in a room of its own, as MLflow is large."""

from __future__ import annotations

from fedcore.errors import FedcoreError


class TrackingAway(FedcoreError):
    """MLflow did not answer, or did not take what it was given; trying again later is sensible."""


class TrackingBroken(FedcoreError):
    """The process that writes to MLflow met an error that trying again would not cure."""
