"""A whole training with credentials that open a party's own folder and this training's alone."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from command_story import two_sites
from membership_story import hub_at
from rounds_story import hospitals, task_file

from fedcore.audit.signing import SigningKey
from fedcore.exchange.opening import open_store
from fedcore.exchange.s3_users import create_party_user
from fedcore.params import digest
from fedcore.rounds.identity import run_id
from fedcore.simulation import World, simulate

pytestmark = pytest.mark.servers
TASK = task_file(epochs=1)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    return hospitals(tmp_path_factory.mktemp("data"))


def keys_of(hub, party: str, run: str) -> dict[str, str]:
    place = hub.exchange
    made = create_party_user(place.location, hub.exchange_environ(), place.bucket, party, [run])
    return {"AWS_ACCESS_KEY_ID": made.access_key, "AWS_SECRET_ACCESS_KEY": made.secret_key}


def test_guest_and_host_need_no_more_than_their_own_credentials(data, tmp_path, seaweedfs):
    hub = hub_at(tmp_path / "hub", seaweedfs)
    environs = {name: keys_of(hub, name, "rights-1") for name in data}
    environs["coordinator"] = hub.exchange_environ()
    stores = {name: open_store(hub.exchange, environ) for name, environ in environs.items()}
    limited = simulate(TASK, data, World(tmp_path / "limited", stores=stores), run="rights-1")
    plain = simulate(TASK, data, World(tmp_path / "plain"), run="rights-1")
    assert digest(limited.final) == digest(plain.final)


@pytest.mark.long
def test_a_host_that_pinned_the_coordinator_ends_well_with_limited_credentials(
    data, tmp_path, seaweedfs
):
    hub = hub_at(tmp_path / "hub", seaweedfs)
    guest, host = two_sites(tmp_path, TASK, data, str(hub.exchange))
    guest.environ, host.environ = hub.exchange_environ(), keys_of(hub, "2", run_id(TASK, data))
    lead = SigningKey.load_or_create(guest.output / ".fedcore/keys/coordinator.key", os.urandom)
    party_file = json.loads((host.folder / "party.json").read_text())
    pinned = party_file | {"coordinator": {"public_key": lead.public}}
    (host.folder / "party.json").write_text(json.dumps(pinned))
    try:
        guest.start()
        assert host.run() == 0, host.printed
        assert guest.wait() == 0, guest.printed
    finally:
        guest.end()
        host.end()
    assert (host.output / "report.html").is_file()
    assert host.bits() == guest.bits()
