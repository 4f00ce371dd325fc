"""`fedcore up`, `down` and `status`: the coordinator's side on one machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from flows.cli_form import with_examples
from flows.cli_screen import Screen

HomeOption = Annotated[Path, typer.Option("--home", help="the hub's folder", metavar="DIR")]
HOME = Path("coordinator")
NOTHING_RUNS, NOT_WELL = 0, 1


def register(app: typer.Typer) -> None:
    """Add the commands to the root of `fedcore`."""
    app.command("up")(with_examples(up_command))
    app.command("down")(with_examples(down_command))
    app.command("status")(with_examples(status_command))


def up_command(
    home: HomeOption = HOME,
    host: Annotated[
        str | None,
        typer.Option("--host", help="the address to listen on and be reached by [127.0.0.1]"),
    ] = None,
    cert: Annotated[Path | None, typer.Option("--cert", help="TLS: the certificate, PEM")] = None,
    key: Annotated[Path | None, typer.Option("--key", help="TLS: its private key, PEM")] = None,
    ca: Annotated[
        Path | None, typer.Option("--ca", help="TLS: who signed it, if not a public authority")
    ] = None,
    allow_plain_http: Annotated[
        bool | None,
        typer.Option("--allow-plain-http/--no-plain-http", help="http to other machines, too"),
    ] = None,
    port: Annotated[
        list[str] | None,
        typer.Option("--port", help="exchange=, prefect= or mlflow=", metavar="NAME=NUMBER"),
    ] = None,
    foreground: Annotated[
        bool, typer.Option("--foreground", help="stay, as a service unit wants it")
    ] = False,
) -> None:
    r"""Start the coordinator's side: the exchange, Prefect and MLflow; wait until all answer.

    \b
    Examples:
        fedcore up
        fedcore up --port prefect=4200 --port mlflow=5000
        fedcore up --home /srv/fedcore --host hub.example.org --cert hub.pem --key hub-key.pem

    Run again, it changes nothing but what its options say. Ports are chosen free at the first
    start and kept. Records go to PostgreSQL instead of SQLite if FEDCORE_DATABASE_URL holds
    postgresql://user:password@host:5432 at the first start.
    """
    # Only now: the help needs no boto3.
    from flows.hub import starting  # noqa: PLC0415
    from flows.hub.ports import given_ports  # noqa: PLC0415
    from flows.hub.showing import show_running  # noqa: PLC0415

    options = {"host": host, "cert": cert, "key": key, "ca": ca}
    wish = starting.Wish(
        home,
        given_ports(port or []),
        {**options, "allow_plain_http": allow_plain_http},
        foreground,
    )
    screen = Screen()
    hub = starting.up(wish, os.environ, screen.say)
    if not foreground:
        show_running(hub, screen)


def down_command(home: HomeOption = HOME) -> None:
    r"""End the coordinator's side. Everything is kept; fedcore up goes on with it.

    \b
    Examples:
        fedcore down
        fedcore down --home /srv/fedcore
    """
    from flows.hub.home import Hub  # noqa: PLC0415
    from flows.hub.starting import down  # noqa: PLC0415

    screen = Screen()
    hub = Hub.load(home)
    down(hub, screen.say)
    screen.say(f"nothing of the hub in {hub.home} runs any more")


def status_command(home: HomeOption = HOME) -> None:
    r"""Say how each service is, and which hospitals are known; ends with 0 if all answer.

    \b
    Examples:
        fedcore status
        fedcore status --home /srv/fedcore
    """
    from flows.hub.home import Hub  # noqa: PLC0415
    from flows.hub.showing import show_status  # noqa: PLC0415

    raise typer.Exit(NOTHING_RUNS if show_status(Hub.load(home), Screen()) else NOT_WELL)
