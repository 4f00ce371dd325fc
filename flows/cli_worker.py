"""`fedcore party start`: the hospital's worker."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.cli_form import with_examples


def register(app: typer.Typer) -> None:
    """Add the command to `fedcore party`."""
    app.command("start")(start_command)


@with_examples
def start_command(
    home: Annotated[Path, typer.Option("--home", help="the party's home folder")] = Path(
        "hospital"
    ),
) -> None:
    r"""Work for the coordinator, by this hospital's own policy, until it is stopped (Ctrl-C).

    \b
    Examples:
        fedcore party start
        fedcore party start --home /srv/hospital

    Opens connections to the exchange and to Prefect, and listens on none. While these cannot be
    reached it waits and says so. What was under way when it was stopped goes on at the next start.
    """
    # Only here: help comes at once.
    from flows.party.start import start  # noqa: PLC0415

    start(home)
