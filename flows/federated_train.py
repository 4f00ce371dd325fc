r"""The command line of the task file and the party file.

    python flows/federated_train.py --config federated_task.yaml --data ./local_data \
        --output ./model_weights --party_config party_config.json [--reconnect_interval 5]

The command's own process never imports torch: where the guest sits it runs the coordinator's
flow, and every local party trains in a session process of its own.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

if __package__ in (None, ""):  # started as a script: find the packages beside this folder
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fedcore.config import load_party_file, load_task_file
from fedcore.errors import FedcoreError, Interrupted
from flows import launch, seat_lock
from flows.farewell import farewell
from flows.plain_line import reach
from flows.supervisor import Supervisor
from flows.terminal import Terminal
from flows.weights import resolve
from tasks.seat import Seat
from tasks.voices import Voice, attach

# Prefect's own lines would tear the live table; everything is in its UI and in the log files.
QUIET = {
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
STOPPED = "stopped; nothing is lost: run the same command again to go on"


class CommandVoice(Voice):
    """The coordinator's voice: speaks on the terminal, notices when it is time to stop."""

    def __init__(
        self, terminal: Terminal, supervisor: Supervisor, stopped: threading.Event
    ) -> None:
        """Speak on `terminal`, watch `supervisor`, end all waits when `stopped` is set."""
        self._terminal, self._supervisor, self._stopped = terminal, supervisor, stopped

    def say(self, message: str) -> None:
        """A sentence of the coordinator."""
        self._terminal.hear("coordinator", {"event": "say", "message": message})

    def tell(self, event: str, **details: object) -> None:
        """An event of the coordinator."""
        self._terminal.hear("coordinator", {"event": event, **details})

    def pause(self, seconds: float) -> None:
        """Sleep, unless a local party cannot go on or the user stops the command.

        Prefect waits for its threads before it ends a flow, so each of them has to be told.
        """
        self._supervisor.check()
        if self._stopped.wait(seconds):
            raise Interrupted(STOPPED)


def train(order: launch.Order) -> None:
    """Run the local seats of the training to its end; raises `FedcoreError` in one sentence."""
    plan = launch.plan(order)
    if plan.coordinator is not None:
        plan = plan.starting_from(_weights(order))
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    seats = [seat for seat in (plan.coordinator, *plan.parties) if seat is not None]
    try:
        with seat_lock.held(seats), _stopped_by_the_user() as stopped:
            _train(plan, stopped)
    except KeyboardInterrupt:
        raise Interrupted(STOPPED) from None


def _train(plan: launch.Plan, stopped: threading.Event) -> None:
    labels = {seat.owner: seat.member(seat.owner).label for seat in plan.parties}
    terminal = Terminal(labels)
    terminal.say(f"run {plan.run}: {', '.join(labels.values())} here, exchange {plan.exchange}")
    with Supervisor(plan.parties, terminal.hear) as supervisor:
        terminal.start()
        try:
            _work(plan, supervisor, terminal, stopped)
        finally:
            terminal.stop()
    farewell(terminal, plan)


@contextlib.contextmanager
def _stopped_by_the_user() -> Iterator[threading.Event]:
    """An event that Ctrl-C sets for the waiting threads, besides interrupting the main one."""
    stopped = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        stopped.set()
        signal.default_int_handler(number, frame)

    if threading.current_thread() is not threading.main_thread():
        yield stopped  # only the main thread may say what a signal does
        return
    before = signal.signal(signal.SIGINT, stop)
    try:
        yield stopped
    finally:
        signal.signal(signal.SIGINT, before)


def _weights(order: launch.Order) -> Path | None:
    folder = order.output / launch.STATE / "weights"
    return resolve(order.task, order.task_path, order.tracking_uri, folder)


def _work(
    plan: launch.Plan, supervisor: Supervisor, terminal: Terminal, stopped: threading.Event
) -> None:
    api = supervisor.begin()
    os.environ.update(reach(api.url, api.home))
    terminal.hear("prefect", {"event": "prefect", "url": api.url, "home": api.home})
    if plan.coordinator is not None:
        _coordinate(plan.coordinator, CommandVoice(terminal, supervisor, stopped))
    supervisor.wait()


def _coordinate(seat: Seat, voice: Voice) -> None:
    """Run the coordinator's flow in this process."""
    path = seat.save()
    attach(path, voice)
    # Only now: Prefect reads its settings when it is imported.
    from flows.federated_training import federated_training, send_what_is_queued  # noqa: PLC0415

    try:
        federated_training(path, seat.run)
    finally:
        send_what_is_queued()


def command(
    config: Annotated[Path, typer.Option("--config", help="the task file")],
    data: Annotated[
        Path,
        typer.Option("--data", help="this party's data, or a folder with one sub-folder per party"),
    ],
    party_config: Annotated[
        Path, typer.Option("--party_config", "--party-config", help="the party file")
    ],
    output: Annotated[Path, typer.Option("--output", help="where the results go")] = Path(
        "model_weights"
    ),
    reconnect_interval: Annotated[
        float,
        typer.Option(
            "--reconnect_interval",
            "--reconnect-interval",
            min=0.1,
            max=3600,
            help="seconds between two tries of an unreachable exchange",
        ),
    ] = 5.0,
    run: Annotated[
        str | None, typer.Option("--run", help="a name for a training of its own")
    ] = None,
    pretrain: Annotated[
        Path | None,
        typer.Option("--pretrain", help="the guest's public images, for a task with pretrain"),
    ] = None,
) -> None:
    """Train one model together with the other parties of the party file.

    Example, all parties on this machine (./local_data has a sub-folder per party id):

        python flows/federated_train.py --config federated_task.yaml --data ./local_data
        --output ./model_weights --party_config party_config.json

    Interrupted? Run the same command again: it goes on where it was.
    """
    try:
        task = load_task_file(config)
        order = launch.Order(
            task=task,
            task_path=config,
            party_file=load_party_file(party_config),
            party_path=party_config,
            data=data,
            output=output,
            reconnect_interval=reconnect_interval,
            run=run,
            tracking_uri=os.environ.get("MLFLOW_TRACKING_URI"),
            pretrain=pretrain,
        )
        train(order)
    except FedcoreError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(error.exit_code) from None


def main() -> None:
    """The entry point of the script."""
    typer.run(command)


if __name__ == "__main__":
    main()
