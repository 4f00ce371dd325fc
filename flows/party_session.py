"""A hospital's flow: answer invitations until the training ends.

It can be killed at any moment and started again: what was half done is done again, to the same bit.
"""

from __future__ import annotations

from prefect import flow

from fedcore.rounds import heap
from tasks.party import outputs, session


@flow(
    name="party-session",
    flow_run_name="{run} · {label}",
    persist_result=False,
    validate_parameters=False,
)
def party_session(seat: str, run: str, label: str) -> str:
    """Prepare the data, join, and answer until the end; why the training ended."""
    return answer(seat, label)


def answer(seat: str, label: str) -> str:
    """The whole story of a session that has its seat; why the training ended."""
    with heap.kept():
        return _answer(seat, label)


def _answer(seat: str, label: str) -> str:
    session.preprocess(seat, label)
    session.join(seat, label)
    if session.tells_statistics(seat):
        session.tell_statistics(seat, label)
    number = 0
    while (request := session.next_request(seat, number)) and request.kind != "end":
        number = max(number, request.round)
        outputs.tell_records(seat, request.round)
        if request.kind == "train":
            session.train(seat, number, label)
            session.upload(seat, number, label)
        elif request.kind == "score":
            session.evaluate(seat, number, label)
        else:
            session.evaluate_final(seat, label)
    outputs.tell_records(seat)
    return outputs.write_outputs(seat, label)
