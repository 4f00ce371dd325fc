"""`fedcore doctor --home`: each way out of the hospital, and what to ask for where it is shut."""

from __future__ import annotations

import datetime
import json
import subprocess
import sys

import pytest
from command_story import ROOT
from servers import free_ports
from small_world import SmallWorld

from fedcore.audit.signing import SigningKey
from fedcore.exchange.opening import open_store
from flows.doctor_party import Way, clock
from flows.party.home import PartyHome

pytestmark = [pytest.mark.servers, pytest.mark.timeout(400)]
WAY = Way("prefect line", "https://hub.example/api/health", "HTTP")


def doctor(home) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "flows.cli", "doctor", "--home", str(home)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, " ".join(done.stdout.split())


def test_a_home_whose_ways_are_open_is_well(world: SmallWorld):
    _, said = doctor(world.home("2"))
    for line in (
        "party home",
        "exchange line",
        "exchange clock",
        "a second writer is refused",
        "prefect line",
        "prefect clock",
        "party-2 is there, and the credential is taken",
    ):
        assert line in said


def test_what_the_doctor_writes_stands_in_a_ledger(world: SmallWorld):
    place = PartyHome.load(world.home("2"))
    store = open_store(place.exchange, place.environ())
    doctor(place.home)
    story = place.membership(SigningKey.load(place.key_path)).story()
    noted = {one["key"]: one["object"] for kind, one in story if kind == "left"}
    there = store.keys("parties/2/doctor/")
    assert there
    assert {noted[key] for key in there} == {"probe"}
    command = [sys.executable, "-m", "flows.cli", "ledger", "verify", "_membership"]
    done = subprocess.run([*command, "--home", str(place.home)], cwd=ROOT, check=False)
    assert done.returncode == 0


def test_a_closed_way_says_what_to_ask_the_network_team_for(world: SmallWorld, tmp_path):
    port = free_ports(("nobody",))["nobody"]
    home = tmp_path / "hospital"
    subprocess.run(["cp", "-a", str(world.home("2")), str(home)], check=True)
    path = home / "party_config.json"
    content = json.loads(path.read_text())
    content["coordinator"]["prefect"] = f"http://127.0.0.1:{port}/api"
    path.write_text(json.dumps(content))
    code, said = doctor(home)
    assert code == 1
    assert f"allow outbound TCP from this machine to host 127.0.0.1 port {port} (HTTP" in said
    assert "nothing inbound" in said


def test_a_home_that_others_can_read_is_named(world: SmallWorld, tmp_path):
    home = tmp_path / "hospital"
    subprocess.run(["cp", "-a", str(world.home("2")), str(home)], check=True)
    (home / "secrets.env").chmod(0o644)
    code, said = doctor(home)
    assert code == 1
    assert "others can read these secrets: run chmod 600 on it" in said


@pytest.mark.parametrize(
    ("hours", "good", "said"), [(0, True, "apart"), (1, False, "ahead of"), (-1, False, "behind")]
)
def test_a_clock_that_is_off_is_told_with_its_direction(hours, good, said):
    theirs = "Sun, 22 Nov 2026 12:00:00 GMT"
    now = datetime.datetime(2026, 11, 22, 12 + hours, tzinfo=datetime.UTC)
    found = clock(WAY, theirs, now)
    assert (found.good, said in found.said) == (good, True)
