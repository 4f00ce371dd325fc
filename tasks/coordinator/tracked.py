"""What the coordinator tells MLflow: after each round, and at the end. Never a reason to stop.

When MLflow is away, the training goes on, and what was missed is written at the next chance.
"""

from __future__ import annotations

from fedcore.rounds import coordinator
from tasks.coordinator.closing import agreement_of, fetch_best, working_folder, write_artifacts
from tasks.coordinator.desk import desk_at
from tasks.options import step
from tasks.seat import Seat
from tasks.tracking import Tracking, TrackingAway
from tasks.voices import voice_of


@step("round-{number:03d} · track")
def track(seat: str, number: int) -> str:
    """Write all rounds that MLflow does not have yet; the MLflow run id, or `away`."""
    try:
        tracking = open_tracking(seat)
        tracking.sync(coordinator.records(desk_at(seat)))
    except TrackingAway as away:
        voice_of(seat).say(f"{away} (the training goes on; MLflow is told later)")
        return "away"
    return tracking.run_id


@step("register model")
def register(seat: str) -> str:
    """Log report and figures, register the best model; its name and version, or `away`."""
    desk = desk_at(seat)
    end = coordinator.finished(desk)
    if end is None:
        return "not ended"
    folder = working_folder(seat)
    artifacts = write_artifacts(seat, folder / "artifacts", end)
    weights = fetch_best(seat, folder, end)
    try:
        tracking = open_tracking(seat)
        registered = tracking.finish(end, coordinator.records(desk), artifacts, weights)
    except TrackingAway as away:
        voice_of(seat).say(f"{away} (run the same command again once MLflow is back)")
        return "away"
    voice_of(seat).tell("registered", model=registered, uri=tracking.uri, run=tracking.run_id)
    return registered


def open_tracking(seat: str) -> Tracking:
    """The training's run in MLflow, found again or made."""
    desk = desk_at(seat)
    uri = Seat.load(seat).tracking_uri
    return Tracking.open(uri, desk.task, agreement_of(seat), desk.hellos())
