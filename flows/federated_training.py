"""The coordinator's flow: one training, round by round, until the last or until nothing improves.

It can be killed at any line and started again, here or elsewhere: every step finds what stands in
the exchange and goes on.
"""

from __future__ import annotations

import time

from prefect import flow
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogHandler

from fedcore.errors import FedcoreError, Interrupted, Superseded
from tasks.coordinator import closing, opening, rounds, statistics, tables, tracked
from tasks.seat import Seat


@flow(
    name="federated-training",
    flow_run_name="{run}",
    persist_result=False,
    validate_parameters=False,
)
def federated_training(seat: str, run: str) -> str:
    """Train as the seat's task file says; the registered model's name and version."""
    return conduct(seat)


def conduct(seat: str) -> str:
    """The whole story, from the founding of the run to the registered model's name and version."""
    labels = {member.party_id: member.label for member in Seat.load(seat).members}
    opening.found(seat)
    tracked.get_ready(seat)
    try:
        return _train(seat, labels)
    except Superseded:
        raise  # the training goes on elsewhere, and MLflow is told from there
    except (FedcoreError, KeyboardInterrupt) as error:
        # The kind alone: a message may name files of the hospital that this machine stands in.
        killed = isinstance(error, Interrupted | KeyboardInterrupt)
        tracked.note_failure(seat, type(error).__name__, killed=killed)
        raise
    finally:
        tracked.let_go(seat)


def _train(seat: str, labels: dict[str, str]) -> str:
    """From the welcome to the registered model; straight to the model if all else is done."""
    if closing.finished(seat):
        return _register(seat)
    opening.welcome(seat)
    gather_statistics(seat, labels)
    opening.adopt_initial_model(seat)
    while (number := rounds.next_round(seat)) is not None:
        run_round(seat, number, labels)
    run_final_test(seat, labels)
    closing.conclude(seat)
    return _register(seat)


def _register(seat: str) -> str:
    """Clear the exchange, show in Prefect what it has not heard of yet, and register the model."""
    closing.forget_rest(seat)
    tables.show_all(seat)
    return tracked.register(seat)


def gather_statistics(seat: str, labels: dict[str, str]) -> None:
    """Let every party tell of its data, if the task file asks and it was not done before."""
    telling, until = statistics.telling_parties(seat), rounds.deadline(seat)
    if not telling:
        return
    told = [statistics.await_statistics.submit(seat, one, labels[one], until) for one in telling]
    for one in told:
        one.result()
    statistics.pool_statistics(seat)


def run_round(seat: str, number: int, labels: dict[str, str]) -> None:
    """One round: invite, gather, combine, score at home, record; now and then tell MLflow."""
    begun, until = time.monotonic(), rounds.deadline(seat)
    invited = rounds.invite(seat, number)
    rounds.forget_superseded(seat)  # while the parties are at work
    answers = _answers(seat, number, {one: labels[one] for one in invited}, until)
    scorers = rounds.combine(seat, number, answers)
    until = rounds.deadline(seat)
    scored = [rounds.await_score.submit(seat, number, one, labels[one], until) for one in scorers]
    for score in scored:
        score.result()
    rounds.record(seat, number, time.monotonic() - begun)
    if tracked.due(seat):
        tracked.track(seat, number)


def _answers(
    seat: str, number: int, invited: dict[str, str], until: float | None
) -> dict[str, str]:
    """Everybody's answer: party by party, group by group, or as soon as the first few are there."""
    if rounds.closes_early(seat):
        return rounds.gather(seat, number, until)
    groups = rounds.groups(seat, number)
    if groups:
        sums = [rounds.sum_group.submit(seat, number, one, until) for one in groups]
        return {party: answer for one in sums for party, answer in one.result().items()}
    asked = {
        party: rounds.ask_party.submit(seat, number, party, label, until)
        for party, label in invited.items()
    }
    return {party: reply.result() for party, reply in asked.items()}


def run_final_test(seat: str, labels: dict[str, str]) -> None:
    """Let every party score the best and the final model on its test split."""
    until = rounds.deadline(seat)
    asked = closing.request_final_test(seat)
    rounds.forget_superseded(seat)
    scored = [closing.await_final_score.submit(seat, one, labels[one], until) for one in asked]
    for score in scored:
        score.result()


def send_what_is_queued() -> None:
    """Let Prefect send its queued events and log lines while a temporary server still listens."""
    EventsWorker.drain_all(timeout=10)
    APILogHandler().flush()
