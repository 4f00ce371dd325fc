"""What `fedcore party list` shows, and the policy for an exchange whose users others make."""

from __future__ import annotations

import json
from pathlib import Path

from fedcore.audit.signing import SigningKey
from fedcore.errors import FedcoreError
from fedcore.exchange.party_policy import aws_policy
from fedcore.rounds.joining import fingerprint
from flows.cli_screen import Screen
from flows.hub import pools, registry
from flows.hub.home import Hub
from flows.hub.registry import PartyEntry

COLUMNS = ("party", "role", "status", "kit", "key fingerprint", "worker last seen")


def show(hub: Hub, screen: Screen) -> None:
    """A line for each party; what cannot be asked is said below the table."""
    said = _take_over(hub)
    found = registry.entries(hub)
    beats, silence = _heartbeats(hub, [one.party_id for one in found if one.status != "revoked"])
    if not found:
        screen.say("no party was invited yet: fedcore party invite NAME")
        return
    rows = [
        (
            one.party_id,
            one.role,
            one.status,
            one.serial,
            fingerprint(one.public_key) if one.public_key else "",
            beats.get(one.party_id, "" if silence or one.status == "revoked" else "never"),
        )
        for one in found
    ]
    screen.table(COLUMNS, rows)
    for sentence in filter(None, (*said, silence)):
        screen.say(sentence)


def tell_kit(hub: Hub, made: PartyEntry, kit: Path, screen: Screen) -> None:
    """What the coordinator's engineer does with a kit, which is never shown itself."""
    public = SigningKey.load(hub.coordinator_key_path).public
    screen.say(f"{made.role}-{made.party_id}: kit {made.serial} is {kit} (mode 600)")
    screen.say(
        "it opens exchange and Prefect in the party's name: send it encrypted to one person,"
    )
    screen.say("delete it here, and compare the fingerprints by telephone once it has joined:")
    screen.say(f"  the coordinator's key {fingerprint(public)}")
    screen.say(f"  the hospital's key    fedcore party list --home {hub.home}")
    if made.serial > 1:
        screen.say(f"at the hospital: fedcore party join {kit.name}, then start the worker again")
        return
    screen.say(f"at the hospital: fedcore party join {kit.name} --data FOLDER")
    screen.say("here, to register its deployment:")
    file = hub.home / "deployments" / "prefect.yaml"
    screen.say(f"  set -a; . {hub.environ_path}; set +a")
    screen.say(f"  prefect --no-prompt deploy --prefect-file {file} --all")


def policy_text(hub: Hub, name: str) -> str:
    """The S3 policy of a party's user, as JSON for AWS and those who follow it."""
    return json.dumps(aws_policy(hub.exchange.bucket, registry.require_name(name)), indent=2)


def _take_over(hub: Hub) -> list[str]:
    """Look who joined; a sentence for each key that was not taken, or for what cannot be asked."""
    try:
        reasons = registry.survey(hub)[1]
    except FedcoreError as fault:
        return [str(fault)]
    return [
        f"{name}: its key was not taken ({why}): run fedcore party rotate {name}"
        for name, why in reasons.items()
    ]


def _heartbeats(hub: Hub, parties: list[str]) -> tuple[dict[str, str], str | None]:
    try:
        return pools.heartbeats(hub.prefect_environ(), parties), None
    except FedcoreError as fault:
        return {}, str(fault)
