"""`fedcore party invite`, `join`, `list`, `revoke` and `rotate`: who belongs to a coordinator."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fedcore.config.party import Role
from flows.cli_form import with_examples
from flows.cli_screen import Screen

HubOption = Annotated[Path, typer.Option("--home", help="the coordinator's home folder")]
PartyOption = Annotated[Path, typer.Option("--home", help="the party's home folder, made anew")]
NameArgument = Annotated[str, typer.Argument(help="the party's id", metavar="NAME")]
OutOption = Annotated[
    Path | None, typer.Option("--out", help="where the kit goes; NAME.kit by default")
]
KeysOption = Annotated[
    Path | None,
    typer.Option(
        "--exchange-credentials",
        help="a file of mode 600 with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY of the party, "
        "where somebody else makes the exchange's users",
    ),
]
HUB = Path("coordinator")


def register(app: typer.Typer) -> None:
    """Add the commands to `fedcore party`."""
    app.command("invite")(invite_command)
    app.command("join")(join_command)
    app.command("list")(list_command)
    app.command("rotate")(rotate_command)
    app.command("revoke")(revoke_command)


@with_examples
def invite_command(
    name: NameArgument,
    home: HubOption = HUB,
    role: Annotated[
        Role | None, typer.Option("--role", help="the first party is the guest, the others hosts")
    ] = None,
    out: OutOption = None,
    keys: KeysOption = None,
    show_policy: Annotated[
        bool, typer.Option("--show-policy", help="print the S3 policy for the party and end")
    ] = False,
) -> None:
    r"""Make a party and the kit with which its hospital joins (at the coordinator).

    \b
    Examples:
        fedcore party invite munich
        fedcore party invite berlin --role host --out ./kits/berlin.kit
        fedcore party invite bonn --show-policy
        fedcore party invite bonn --exchange-credentials bonn.env

    The kit opens the exchange and Prefect in the party's name: send it encrypted, to one person.
    """
    # Only now: Prefect and boto3 take a second to import.
    from flows.hub import inviting, party_list  # noqa: PLC0415
    from flows.hub.home import Hub  # noqa: PLC0415

    hub, screen = Hub.load(home), Screen()
    if show_policy:
        for line in party_list.policy_text(hub, name).splitlines():
            screen.say(line)
        return
    wish = inviting.Wish(name, role, out, keys)
    made = inviting.invite(hub, wish)
    party_list.tell_kit(hub, made, wish.kit, screen)


@with_examples
def join_command(
    kit: Annotated[Path, typer.Argument(help="the kit that the coordinator sent", metavar="KIT")],
    home: PartyOption = Path("hospital"),
    data: Annotated[
        Path | None, typer.Option("--data", help="the folder of images; HOME/data by default")
    ] = None,
    new_key: Annotated[
        bool, typer.Option("--new-key", help="with a new kit: make a new key pair, too")
    ] = False,
) -> None:
    r"""Make this hospital's home from a kit, and a key pair that never leaves it (at the hospital).

    \b
    Examples:
        fedcore party join munich.kit --data /srv/images
        fedcore party join munich-2.kit --home /srv/fedcore

    Again is harmless. A newer kit renews the credentials and keeps the key.
    """
    from flows.party import joining, welcome  # noqa: PLC0415

    place = joining.join(joining.Order(kit, home, data, new_key))
    welcome.tell(place, kit, Screen())


@with_examples
def list_command(home: HubOption = HUB) -> None:
    r"""The parties: who joined, with which key, and when its worker was last seen.

    \b
    Examples:
        fedcore party list
        fedcore party list --home /srv/coordinator
    """
    from flows.hub import party_list  # noqa: PLC0415
    from flows.hub.home import Hub  # noqa: PLC0415

    party_list.show(Hub.load(home), Screen())


@with_examples
def rotate_command(
    name: NameArgument, home: HubOption = HUB, out: OutOption = None, keys: KeysOption = None
) -> None:
    r"""A new kit for a party; its old credentials are dead at once.

    \b
    Examples:
        fedcore party rotate munich
        fedcore party rotate munich --out munich-2.kit
    """
    from flows.hub import inviting, party_list  # noqa: PLC0415
    from flows.hub.home import Hub  # noqa: PLC0415

    hub, wish = Hub.load(home), inviting.Wish(name, None, out, keys)
    party_list.tell_kit(hub, inviting.rotate(hub, wish), wish.kit, Screen())


@with_examples
def revoke_command(name: NameArgument, home: HubOption = HUB) -> None:
    r"""Take a party's access to exchange and Prefect away, at once.

    \b
    Examples:
        fedcore party revoke munich

    What it sent stays. The next training goes without it.
    """
    from flows.hub import inviting  # noqa: PLC0415
    from flows.hub.home import Hub  # noqa: PLC0415

    gone = inviting.revoke(Hub.load(home), name)
    screen = Screen()
    screen.say(f"{gone.party_id} is revoked: its credentials open nothing any more")
    if not gone.own_exchange:
        screen.say("its exchange keys were given by others: let them be withdrawn there, too")
