"""A hospital's flow as it is deployed: asks the hospital's policy, then answers until the end.

Which training it is about is all that it is told; the rest is read from the signed agreement in
the exchange. It is run by the hospital's own worker, in the home that the worker serves.
"""

from __future__ import annotations

import os
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Failed

from fedcore.errors import JobRefused, Superseded
from flows.discretion import Discreet
from flows.flow_voice import STOPPED, FlowVoice
from flows.process_group import end_own_group
from flows.settled import settle
from tasks.voices import attach

HOME = "FEDCORE_PARTY_HOME"
LABEL = "FEDCORE_PARTY_LABEL"
REFUSED = "Refused"


def shown_name() -> str:
    """How Prefect's page calls the flow run: `RUN · host-10000`."""
    return f"{flow_run.parameters.get('run')} · {os.environ.get(LABEL, 'party')}"


@flow(
    name="party-session",
    flow_run_name=shown_name,
    persist_result=False,
    validate_parameters=False,
)
def party_session(run: str) -> str | State[Any]:
    """Take part in the training of that name, if the hospital lets it in; why it ended."""
    # Only here: a coordinator registers this flow and has neither torch nor a home.
    from flows.party_session import answer  # noqa: PLC0415
    from tasks.party import admission  # noqa: PLC0415
    from tasks.seat import Seat  # noqa: PLC0415

    home = os.environ[HOME]
    voice = FlowVoice(STOPPED, open_words=False)
    attach(admission.seat_path(home, run), voice)
    try:
        with Discreet():
            seat = admission.admit(home, run)
            attach(seat, voice)
            place = Seat.load(seat)
            settle()
            return answer(seat, place.member(place.owner).label)
    except Superseded as later:
        # The flow run is in the other process's hands by now: its state is not ours to set.
        voice.say(str(later))
        end_own_group(later.exit_code)
        raise
    except JobRefused as refused:
        return Failed(name=REFUSED, message=f"{refused.reason}: {refused.sentence}")
