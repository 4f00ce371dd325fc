"""`fedcore party pending` and `fedcore party approve`: the commands of whoever decides."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.cli_form import with_examples
from flows.cli_screen import Screen
from flows.party import approving

HomeOption = Annotated[Path, typer.Option("--home", help="the party's home folder")]


def register(app: typer.Typer) -> None:
    """Add the commands to `fedcore party`."""
    app.command("pending")(pending_command)
    app.command("approve")(approve_command)


@with_examples
def pending_command(home: HomeOption = Path("hospital")) -> None:
    r"""Which trainings wait for a word of this hospital.

    \b
    Examples:
        fedcore party pending
        fedcore party pending --home /srv/hospital
    """
    approving.pending(home, Screen().say)


@with_examples
def approve_command(
    run: Annotated[str, typer.Argument(help="the training's name")],
    home: HomeOption = Path("hospital"),
    refuse: Annotated[bool, typer.Option("--refuse", help="refuse it instead, for good")] = False,
    reason: Annotated[
        str | None,
        typer.Option("--reason", help="why not; the coordinator is told, so name no patient"),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask once more")] = False,
) -> None:
    r"""Show what a training would run here and what would leave, and approve or refuse it.

    \b
    Examples:
        fedcore party approve chest-xray-1a2b3c4d
        fedcore party approve chest-xray-1a2b3c4d --home /srv/hospital --yes
        fedcore party approve chest-xray-1a2b3c4d --refuse --reason "no ethics vote yet"

    The word is for this task file and coordinator alone and stands in the hospital's ledger.
    """
    word = approving.Word(refuse=refuse, reason=reason, sure=yes)
    approving.decide(home, run, word, Screen().say, typer.confirm, approving.person())
