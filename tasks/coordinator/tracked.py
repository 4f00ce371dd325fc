"""What the coordinator tells MLflow: while rounds go by, and at the end. Never a reason to stop.

Rounds that follow each other fast are told together, every few seconds. When MLflow is away, the
training goes on, and what was missed is written at the next chance. A process beside this one does
the telling: MLflow's client would be larger than all else that is loaded here.
"""

from __future__ import annotations

from collections.abc import Mapping

import fedcore
from fedcore.rounds import coordinator
from fedcore.rounds.messages import Agreement, Hello
from tasks.coordinator.closing import agreement_of, fetch_best, working_folder, write_artifacts
from tasks.coordinator.desk import desk_at
from tasks.options import step
from tasks.seat import Seat
from tasks.tracking_away import TrackingAway
from tasks.tracking_teller import Teller, Told
from tasks.voices import voice_of

PAUSE = 15.0  # seconds between two tries where the voice is patient
EVERY = 10.0  # seconds from one telling to the next
_TOLD_AT: dict[str, float] = {}  # by seat
_OPENED: dict[str, tuple[int, Told]] = {}  # by seat: how many hellos it was told, and the line
_TELLERS: dict[str, Teller] = {}  # by seat


def get_ready(seat: str) -> None:
    """Start the process that writes to MLflow, so that it is there when the first round ends."""
    known = _TELLERS.get(seat)
    if known is None or not known.there:
        _TELLERS[seat] = Teller()


def let_go(seat: str) -> None:
    """End that process, and forget the line; both are there again when they are needed."""
    _OPENED.pop(seat, None)
    teller = _TELLERS.pop(seat, None)
    if teller is not None:
        teller.close()


def due(seat: str) -> bool:
    """Whether MLflow is to hear of the rounds by now: the first at once, others soon enough."""
    now, last = voice_of(seat).watch().clock(), _TOLD_AT.get(seat)
    return last is None or now - last >= EVERY


@step("round-{number:03d} · track")
def track(seat: str, number: int) -> str:
    """Write all rounds that MLflow does not have yet; the MLflow run id, or `away`."""
    _TOLD_AT[seat] = voice_of(seat).watch().clock()
    try:
        tracking = open_tracking(seat)
        tracking.sync(coordinator.records(desk_at(seat)))
    except TrackingAway as away:
        _OPENED.pop(seat, None)
        voice_of(seat).say(f"{away} (the training goes on; MLflow is told later)")
        return "away"
    return tracking.run_id


@step("register model")
def register(seat: str) -> str:
    """Log report and figures, register the best model; its name and version, or `away`.

    Where the voice is patient, it waits until MLflow is back.
    """
    desk = desk_at(seat)
    end = coordinator.finished(desk)
    if end is None:
        return "not ended"
    folder = working_folder(seat)
    artifacts = write_artifacts(seat, folder / "artifacts", end)
    weights = fetch_best(seat, folder, end)
    voice = voice_of(seat)
    while True:
        try:
            tracking = open_tracking(seat)
            registered = tracking.finish(end, coordinator.records(desk), artifacts, weights)
            break
        except TrackingAway as away:
            _OPENED.pop(seat, None)
            if not voice.patient:
                voice.say(f"{away} (run the same command again once MLflow is back)")
                return "away"
            voice.say(f"{away} (the training is done and waits for MLflow)")
            voice.pause(PAUSE)
    voice.tell("registered", model=registered, uri=tracking.uri, run=tracking.run_id)
    return registered


def note_failure(seat: str, reason: str, *, killed: bool = False) -> None:
    """Mark the training's runs as FAILED, or KILLED where a person stopped it, saying why.

    Rounds that MLflow has not heard of are told before. The exchange is not asked, because it may
    be what failed. To be called only for a run that this
    seat founded; a training that finished stays finished, and one that goes on is woken by the
    next `open_tracking`.
    """
    known = _OPENED.get(seat)
    try:
        tracking = known[1] if known and _TELLERS[seat].there else None
        tracking = tracking or _open(seat, _founded_by(seat), {})
        if known:
            tracking.sync(coordinator.remembered(desk_at(seat)))
        tracking.fail(reason, killed=killed)
    except TrackingAway as away:
        voice_of(seat).say(f"{away} (MLflow still shows the training as running)")
    finally:
        let_go(seat)


def open_tracking(seat: str) -> Told:
    """The training's run in MLflow, found again or made; opened anew once a late party came."""
    hellos = desk_at(seat).hellos()
    told, known = _OPENED.get(seat, (0, None))
    if known is not None and told == len(hellos):
        return known
    tracking = _open(seat, agreement_of(seat), hellos)
    _OPENED[seat] = (len(hellos), tracking)
    return tracking


def _open(seat: str, agreement: Agreement, hellos: Mapping[str, Hello]) -> Told:
    place = Seat.load(seat)
    get_ready(seat)
    return Told(_TELLERS[seat], place.tracking_uri, place.task, agreement, hellos)


def _founded_by(seat: str) -> Agreement:
    """The agreement as this seat founds it, from its own file."""
    place = Seat.load(seat)
    return Agreement(
        run=place.run,
        task=place.task.model_dump(mode="json"),
        task_hash=place.task.fingerprint(),
        parties=place.members,
        code_version=fedcore.__version__,
    )
