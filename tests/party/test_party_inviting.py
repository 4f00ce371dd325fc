"""`fedcore party invite`, `list`, `rotate`, `revoke`: the commands, against real servers."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
import yaml
from membership_story import hub_at, secrets_of
from typer.testing import CliRunner, Result

from fedcore.audit.signing import SigningKey
from fedcore.errors import NotAllowed
from fedcore.exchange.opening import open_store
from fedcore.rounds.joining import fingerprint
from flows.cli import app
from flows.hub import pools, registry
from flows.hub.prefect_users import Users, users_path
from flows.hub.secret_store import Pair
from flows.kit import Kit, load_kit
from flows.party.home import PartyHome

pytestmark = pytest.mark.servers


def party(*words: object) -> Result:
    return CliRunner().invoke(app, ["party", *map(str, words)], catch_exceptions=False)


def refused(*words: object) -> str:
    """The one sentence of a command that says no."""
    said = party(*words)
    assert said.exit_code == 2, said.output
    assert said.stdout == ""
    return said.stderr


@pytest.fixture
def hub(tmp_path, seaweedfs, prefect_api, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return hub_at(tmp_path / "coordinator", seaweedfs, prefect_api)


def invited(name: str, *words: object) -> Kit:
    said = party("invite", name, *words)
    assert said.exit_code == 0, said.output
    return load_kit(Path(f"{name}.kit"))


def opens_prefect(hub, kit: Kit) -> bool:
    name, _, secret = kit.prefect_auth.partition(":")
    return Users(users_path(hub)).knows(Pair(name, secret))


def may_read(hub, kit: Kit) -> bool:
    try:
        open_store(hub.exchange, kit.secrets).keys(f"parties/{kit.party_id}/")
    except NotAllowed:
        return False
    return True


def offered(hub) -> list[str]:
    content = yaml.safe_load((hub.home / "deployments" / "prefect.yaml").read_text())
    return [one["name"] for one in content["deployments"]]


def test_an_invitation_makes_the_kit_and_all_that_it_opens_and_shows_no_secret(hub, tmp_path):
    said = party("invite", "munich")
    assert said.exit_code == 0
    path = tmp_path / "munich.kit"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    kit = load_kit(path)
    own = SigningKey.load(hub.coordinator_key_path).public
    assert (kit.role, kit.serial, kit.coordinator.public_key) == ("guest", 1, own)
    assert may_read(hub, kit)
    assert opens_prefect(hub, kit)
    assert offered(hub) == ["train", "weekly", "munich"]
    with pools.connected(hub.prefect_environ()) as prefect:
        assert prefect.read_work_pool("party-munich").concurrency_limit == 1
    entry = (hub.home / "parties" / "munich.json").read_text()
    assert not [secret for secret in secrets_of(kit) if secret in said.output + entry]
    assert fingerprint(own) in said.output
    assert "fedcore party join munich.kit" in said.output


def test_the_first_is_the_guest_and_there_is_never_a_second(hub):
    assert [invited(name).role for name in ("munich", "berlin")] == ["guest", "host"]
    said = refused("invite", "bonn", "--role", "guest")
    assert "--role is 'guest': munich is the guest already" in said
    assert registry.find(hub, "bonn") is None
    assert party("revoke", "munich").exit_code == 0
    assert invited("bonn").role == "guest"


def test_a_host_may_be_invited_before_the_guest(hub):
    assert invited("berlin", "--role", "host").role == "host"
    assert invited("munich").role == "guest"


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("a/b", "NAME is 'a/b': use a number or up to 32 letters"),
        ("..", "NAME is '..': use a number"),
        ("coordinator", "this name is reserved"),
        ("MUNICH", "munich differs from it by capitals alone"),
        ("x" * 33, "use a number or up to 32 letters"),
    ],
)
def test_a_name_that_is_none_is_refused(hub, name, sentence):
    invited("munich")
    assert sentence in refused("invite", name)
    assert [one.party_id for one in registry.entries(hub)] == ["munich"]


def test_where_no_hub_is_the_commands_say_so(tmp_path):
    for words in (("invite", "a"), ("list",), ("rotate", "a"), ("revoke", "a")):
        assert "run fedcore up" in refused(*words, "--home", tmp_path / "none")


def test_an_unknown_party_is_named_with_the_known_ones(hub):
    invited("munich")
    for verb in ("rotate", "revoke"):
        assert "did you mean 'munich'?" in refused(verb, "munch")


def test_inviting_again_before_the_hospital_joined_makes_the_only_kit_that_opens(hub, tmp_path):
    first = invited("munich")
    second = invited("munich")
    assert (second.serial, second.role) == (2, "guest")
    assert [may_read(hub, kit) for kit in (first, second)] == [False, True]
    assert [opens_prefect(hub, kit) for kit in (first, second)] == [False, True]
    assert party("join", "munich.kit", "--home", tmp_path / "h").exit_code == 0
    assert party("list").exit_code == 0
    assert "it has joined: for a new kit run fedcore party rotate" in refused("invite", "munich")


def test_join_and_list_show_the_same_two_fingerprints_and_no_secret(hub, tmp_path):
    kit = invited("munich")
    before = party("list")
    assert "invited" in before.output
    joined = party("join", "munich.kit", "--home", tmp_path / "h", "--data", tmp_path)
    assert joined.exit_code == 0
    listed = party("list")
    own = SigningKey.load(PartyHome.load(tmp_path / "h").key_path).public
    for said in (joined, listed):
        assert fingerprint(own) in said.output
        assert not [secret for secret in secrets_of(kit) if secret in said.output]
    assert "joined" in listed.output
    assert "never" in listed.output
    with pools.connected(hub.prefect_environ()) as prefect:
        prefect.send_worker_heartbeat("party-munich", "its-worker", 30)
    assert " UTC" in party("list").output


def test_the_list_says_what_it_could_not_ask_and_shows_the_rest(hub, seaweedfs):
    invited("munich")
    settings = json.loads((hub.home / "hub.json").read_text())
    settings["ports"] |= {"prefect": 9, "s3": 9}
    (hub.home / "hub.json").write_text(json.dumps(settings))
    said = party("list")
    assert said.exit_code == 0
    assert "munich" in said.output
    assert "does not answer" in said.output
    assert "no answer for parties/munich/identity/" in said.output


def test_a_rotation_kills_the_old_credentials_at_once_and_keeps_the_party(hub, tmp_path):
    old = invited("munich")
    assert party("join", "munich.kit", "--home", tmp_path / "h").exit_code == 0
    before = registry.joined(hub)
    assert party("rotate", "munich", "--out", "munich-2.kit").exit_code == 0
    new = load_kit(Path("munich-2.kit"))
    assert [may_read(hub, kit) for kit in (old, new)] == [False, True]
    assert [opens_prefect(hub, kit) for kit in (old, new)] == [False, True]
    assert [one.public_key for one in registry.joined(hub)] == [before[0].public_key]
    assert party("join", "munich-2.kit", "--home", tmp_path / "h").exit_code == 0
    assert registry.joined(hub)[0].known_serial == 2


def test_a_revocation_takes_everything_at_once_and_can_be_said_twice(hub, tmp_path):
    for name in ("munich", "berlin"):
        invited(name)
        assert party("join", f"{name}.kit", "--home", tmp_path / name).exit_code == 0
    kit = load_kit(Path("berlin.kit"))
    for _ in range(2):
        assert party("revoke", "berlin").exit_code == 0
    assert not may_read(hub, kit)
    assert not opens_prefect(hub, kit)
    assert [one.party_id for one in registry.joined(hub)] == ["munich"]
    assert offered(hub) == ["train", "weekly", "munich"]
    with pools.connected(hub.prefect_environ()) as prefect:
        assert prefect.read_work_pool("party-berlin").is_paused
    assert "it is revoked: run fedcore party invite berlin" in refused("rotate", "berlin")


def test_who_is_invited_anew_after_a_revocation_is_nobody_until_it_joins(hub, tmp_path):
    invited("munich")
    assert party("join", "munich.kit", "--home", tmp_path / "old").exit_code == 0
    assert len(registry.joined(hub)) == 1
    party("revoke", "munich")
    kit = invited("munich")
    assert kit.serial == 2
    assert registry.joined(hub) == []
    assert party("join", "munich.kit", "--home", tmp_path / "new").exit_code == 0
    own = SigningKey.load(PartyHome.load(tmp_path / "new").key_path).public
    assert [one.public_key for one in registry.joined(hub)] == [own]


def test_without_prefect_a_revocation_still_closes_the_rest_and_says_what_is_left(hub, tmp_path):
    kit = invited("munich")
    settings = json.loads((hub.home / "hub.json").read_text())
    settings["ports"]["prefect"] = 9
    (hub.home / "hub.json").write_text(json.dumps(settings))
    said = party("revoke", "munich")
    assert said.exit_code == 1
    assert "does not answer" in said.stderr
    assert not may_read(hub, kit)
    assert not opens_prefect(hub, kit)
    assert registry.active(hub) == []


def test_a_new_kit_that_cannot_be_made_leaves_the_old_one_alive(hub, tmp_path):
    kit = invited("munich")
    assert "--out is " in refused("rotate", "munich", "--out", tmp_path / "none" / "a.kit")
    settings = json.loads((hub.home / "hub.json").read_text())
    settings["ports"]["prefect"] = 9
    (hub.home / "hub.json").write_text(json.dumps(settings))
    assert party("rotate", "munich").exit_code == 1
    assert may_read(hub, kit)
    assert opens_prefect(hub, kit)
    assert registry.entry(hub, "munich").serial == 1


def test_keys_that_others_made_are_put_into_the_kit_as_they_are(hub, tmp_path):
    path = tmp_path / "keys.env"
    path.write_text("AWS_ACCESS_KEY_ID=theirs\n")
    path.chmod(0o644)
    assert "others can read these secrets" in refused(
        "invite", "bonn", "--exchange-credentials", path
    )
    path.chmod(0o600)
    said = refused("invite", "bonn", "--exchange-credentials", path)
    assert "AWS_SECRET_ACCESS_KEY is missing" in said
    path.write_text("AWS_ACCESS_KEY_ID=theirs\nAWS_SECRET_ACCESS_KEY=given+secret\n")
    kit = invited("bonn", "--exchange-credentials", path)
    assert (kit.access_key, kit.secret_key) == ("theirs", "given+secret")
    assert "name the new ones with --exchange-credentials" in refused("rotate", "bonn")
    assert "let them be withdrawn there, too" in party("revoke", "bonn").output


def test_the_policy_for_other_servers_is_printed_as_json(hub):
    said = party("invite", "bonn", "--show-policy")
    policy = json.loads(said.stdout)
    places = {json.dumps(one["Resource"]) for one in policy["Statement"]}
    assert any("fedcore/parties/bonn/*" in place for place in places)
    assert registry.entries(hub) == []
