"""What a hospital is told once it joined: the fingerprints to compare, and what comes next."""

from __future__ import annotations

from pathlib import Path

from fedcore.audit.signing import SigningKey
from fedcore.rounds.joining import fingerprint
from flows.cli_screen import Screen
from flows.party import service_files
from flows.party.home import PartyHome


def tell(place: PartyHome, kit: Path, screen: Screen) -> None:
    """Say where all is, which two fingerprints to compare by telephone, and how to go on."""
    own = SigningKey.load(place.key_path).public
    screen.say(f"{place.label} joined; its home is {place.home}")
    screen.say("compare by telephone with the coordinator's engineer:")
    screen.say(f"  this hospital's key   {fingerprint(own)}")
    screen.say(f"  the coordinator's key {fingerprint(place.coordinator_key)}")
    screen.say(f"then delete {kit}: its secrets lie in {place.secrets_path}")
    screen.say(f"images are read from {place.data}")
    screen.say(f"what may run and leave is up to you: edit {place.policy_path}")
    screen.say(f"to work: fedcore party start --home {place.home}")
    screen.say(f"to work for good: see {place.home / service_files.UNIT}")
