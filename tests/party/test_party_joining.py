"""`fedcore party join`: what a kit makes at the hospital, and what the coordinator learns of it."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from certifi import contents
from membership_story import hub_at, joined_with, kit_of, secrets_of

from fedcore.audit.ledger import verify
from fedcore.audit.signing import SigningKey
from fedcore.errors import FedcoreError, InputError, PartyFileError, RunMismatch
from fedcore.exchange import keys
from fedcore.exchange.opening import open_store
from fedcore.rounds import sealed
from fedcore.rounds.joining import Identity, fingerprint
from flows.hub import registry
from flows.kit import load_kit, write_kit
from flows.party.home import PartyHome
from flows.secrets_file import read_secrets, write_secrets

pytestmark = pytest.mark.servers
END = "-----END CERTIFICATE-----"


@pytest.fixture
def hub(tmp_path, seaweedfs):
    return hub_at(tmp_path / "coordinator", seaweedfs)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def everything(folder: Path) -> dict[str, bytes]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_a_kit_makes_a_home_with_all_that_the_partys_processes_need(hub, tmp_path):
    kit = kit_of(hub)
    place = joined_with(kit, tmp_path / "hospital", tmp_path)
    assert (place.party_id, place.role, place.data) == ("munich", "guest", tmp_path)
    assert place.exchange == hub.exchange
    assert place.coordinator_key == SigningKey.load(hub.coordinator_key_path).public
    environ = place.environ()
    assert environ.items() >= kit.secrets.items()
    assert environ["PREFECT_API_URL"] == kit.coordinator.prefect
    assert Path(environ["PREFECT_HOME"]).is_relative_to(place.worker)
    assert "AWS_CA_BUNDLE" not in environ
    assert place.policy_path.is_file()


def test_what_is_secret_is_for_the_owner_alone_and_nowhere_else(hub, tmp_path):
    kit = kit_of(hub)
    place = joined_with(kit, tmp_path / "hospital")
    for path in (place.secrets_path, place.key_path, tmp_path / "munich-1.kit"):
        assert mode(path) == 0o600
    shown = secrets_of(kit)
    elsewhere = everything(place.home)
    elsewhere.pop("secrets.env")
    assert not [name for name, body in elsewhere.items() if any(s.encode() in body for s in shown)]
    assert not [secret for secret in shown if secret in repr(kit) + str(place)]


def test_the_coordinator_learns_the_key_and_only_by_the_kit(hub, tmp_path):
    kit = kit_of(hub)
    assert registry.joined(hub) == []
    place = joined_with(kit, tmp_path / "hospital")
    (party,) = registry.joined(hub)
    own = SigningKey.load(place.key_path)
    assert (party.party_id, party.role, party.public_key) == ("munich", "guest", own.public)
    assert b"PRIVATE" not in b"".join(everything(hub.home / "parties").values())
    assert registry.joined(hub) == [party]


def test_joining_twice_changes_nothing(hub, tmp_path):
    kit = kit_of(hub)
    place = joined_with(kit, tmp_path / "hospital")
    place.policy_path.write_text("decide: accept\n")
    before = everything(place.home)
    joined_with(kit, tmp_path / "hospital")
    assert everything(place.home) == before


def test_a_newer_kit_renews_the_credentials_and_keeps_key_data_and_policy(hub, tmp_path):
    place = joined_with(kit_of(hub), tmp_path / "hospital", tmp_path)
    place.policy_path.write_text("decide: accept\n")
    with place.secrets_path.open("a") as more:
        more.write("HTTPS_PROXY=http://proxy:1\n")
    registry.joined(hub)
    before = everything(place.home)
    newer = kit_of(hub, serial=2)
    again = joined_with(newer, tmp_path / "hospital")
    after = everything(again.home)
    changed = {name for name in after if after[name] != before.get(name)}
    ledger = "runs/_membership/ledger/party-munich.jsonl"
    assert changed == {"secrets.env", "joined.json", ledger}
    assert again.data == tmp_path
    assert read_secrets(again.secrets_path) == newer.secrets | {"HTTPS_PROXY": "http://proxy:1"}
    (party,) = registry.joined(hub)
    assert party.known_serial == 2
    assert party.public_key == SigningKey.load(place.key_path).public


def test_a_new_key_comes_with_a_new_kit_alone_and_the_old_one_is_kept(hub, tmp_path):
    first = joined_with(kit_of(hub), tmp_path / "hospital")
    old = SigningKey.load(first.key_path).public
    with pytest.raises(InputError, match="--new-key is True: this kit is in use"):
        joined_with(load_kit(tmp_path / "munich-1.kit"), tmp_path / "hospital", new_key=True)
    again = joined_with(kit_of(hub, serial=2), tmp_path / "hospital", new_key=True)
    new = SigningKey.load(again.key_path).public
    assert new != old
    assert registry.joined(hub)[0].public_key == new
    [kept] = [path for path in again.key_path.parent.iterdir() if path != again.key_path]
    assert SigningKey.load(kept).public == old
    ledgers = {path.stem: path for path in again.membership_path.parent.iterdir()}
    assert ledgers.keys() == {kept.stem, again.key_path.stem}
    for name, public in ((kept.stem, old), (again.key_path.stem, new)):
        [entry] = verify(ledgers[name], public)
        assert entry.subject["object"] == "identity"


def test_an_older_kit_another_party_and_another_coordinator_are_refused(hub, tmp_path):
    joined_with(kit_of(hub, serial=2), tmp_path / "hospital")
    before = everything(tmp_path / "hospital")
    other = kit_of(hub).coordinator.model_copy(update={"public_key": "ab" * 32})
    wrong = [
        (kit_of(hub, serial=1), "serial is 1: this home joined with kit 2"),
        (kit_of(hub, "berlin", serial=3), "party_id is 'berlin': this is the home of munich"),
        (kit_of(hub, serial=3, coordinator=other), "the home obeys another coordinator"),
    ]
    for kit, sentence in wrong:
        with pytest.raises(InputError, match=sentence):
            joined_with(kit, tmp_path / "hospital")
    assert everything(tmp_path / "hospital") == before


def test_without_the_exchange_all_is_kept_and_the_same_command_ends_it(hub, tmp_path, seaweedfs):
    kit = kit_of(hub)
    seaweedfs.stop()
    try:
        with pytest.raises(FedcoreError, match="run the same command again"):
            joined_with(kit, tmp_path / "hospital")
    finally:
        seaweedfs.start()
    key = SigningKey.load(PartyHome.load(tmp_path / "hospital").key_path).public
    joined_with(kit, tmp_path / "hospital")
    assert registry.joined(hub)[0].public_key == key


def test_a_kit_that_somebody_used_before_is_noticed(hub, tmp_path):
    kit = kit_of(hub)
    joined_with(kit, tmp_path / "thief")
    with pytest.raises(RunMismatch, match="tell the coordinator at once"):
        joined_with(kit, tmp_path / "hospital")


def test_old_credentials_cannot_claim_the_place_of_the_next_kit(hub, tmp_path):
    """Whoever holds them may write identities of serial 2, but not under the name that counts."""
    kit = kit_of(hub)
    place = joined_with(kit, tmp_path / "hospital")
    known = registry.joined(hub)[0].public_key
    thief = SigningKey.generate(lambda size: b"t" * size)
    store = open_store(place.exchange, place.environ())
    lie = Identity(party="munich", serial=2, public_key=thief.public)
    sealed.publish(store, keys.identity("munich", 2, "0" * 32), lie, thief)
    newer = kit_of(hub, serial=2)
    assert registry.joined(hub)[0].public_key == known
    joined_with(newer, tmp_path / "hospital")
    assert registry.joined(hub)[0].public_key == known


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"party": "berlin"}, "wrong_place"),
        ({"serial": 2}, "wrong_place"),
        ({"public_key": "ab" * 32}, "wrong_signer"),
    ],
)
def test_an_identity_that_is_not_right_is_not_taken_and_the_reason_is_kept(
    hub, tmp_path, changes, reason
):
    kit = kit_of(hub)
    key = SigningKey.generate(lambda size: b"k" * size)
    said = Identity(party="munich", serial=1, public_key=key.public)
    entry = registry.entry(hub, "munich")
    store = open_store(hub.exchange, hub.exchange_environ())
    place = keys.identity("munich", kit.serial, entry.mark)
    sealed.publish(store, place, said.model_copy(update=changes), key)
    assert registry.joined(hub) == []
    assert reason in registry.survey(hub)[1]["munich"]


def test_one_partys_nonsense_keeps_no_other_party_out(hub, tmp_path):
    kit_of(hub, "liar")
    entry = registry.entry(hub, "liar")
    store = open_store(hub.exchange, hub.exchange_environ())
    store.put_once(keys.identity("liar", 1, entry.mark), b"{")
    joined_with(kit_of(hub), tmp_path / "hospital")
    assert [one.party_id for one in registry.joined(hub)] == ["munich"]
    assert list(registry.survey(hub)[1]) == ["liar"]


def test_a_damaged_kit_is_one_sentence_that_shows_nothing_of_it(hub, tmp_path):
    kit = kit_of(hub)
    path = tmp_path / "a.kit"
    write_kit(path, kit)
    whole = json.loads(path.read_text())
    for change in ({"secret_key": None}, {"serial": 0}, {"party_id": "../x"}, {"more": "x" * 9}):
        path.write_text(json.dumps(whole | change))
        with pytest.raises(
            InputError, match=r"a\.kit: this is no kit, or a damaged one"
        ) as refused:
            load_kit(path)
        assert kit.secret_key not in str(refused.value)
    path.write_text('{"kit": ')
    with pytest.raises(InputError, match="is no valid JSON"):
        load_kit(path)
    with pytest.raises(InputError, match="there is no such kit"):
        load_kit(tmp_path / "b.kit")


def test_a_home_that_is_none_or_not_ones_own_any_more_says_what_to_do(hub, tmp_path):
    with pytest.raises(InputError, match="run fedcore party join KIT, or name the folder with"):
        PartyHome.load(tmp_path)
    place = joined_with(kit_of(hub), tmp_path / "hospital")
    place.secrets_path.chmod(0o640)
    with pytest.raises(InputError, match="others can read these secrets: run chmod 600"):
        place.environ()
    write_secrets(place.secrets_path, {"AWS_ACCESS_KEY_ID": "x"})
    with pytest.raises(InputError, match="AWS_SECRET_ACCESS_KEY is missing: run fedcore party"):
        place.environ()
    guest, host = {"role": "guest", "party_id": 1}, {"role": "host", "party_id": 2}
    place.party_file.write_text(json.dumps({"local": guest, "remote": host}))
    with pytest.raises(PartyFileError, match=r"coordinator\.exchange is missing"):
        PartyHome.load(place.home)


def test_with_an_authority_of_its_own_every_process_is_told_of_it(hub, tmp_path):
    kit = kit_of(hub, ca=contents().partition(END)[0] + END + "\n")
    place = PartyHome.load(joined_with(kit, tmp_path / "hospital").home)
    named = {place.environ()[name] for name in ("AWS_CA_BUNDLE", "PREFECT_API_SSL_CERT_FILE")}
    assert named == {str(place.home / "ca.pem")}
    joined_with(kit_of(hub, serial=2), tmp_path / "hospital")
    assert "AWS_CA_BUNDLE" not in place.environ()


def test_a_secret_that_shells_and_systemd_read_differently_is_refused_and_not_shown(tmp_path):
    for odd in ("a b", "a'b", 'a"b', "a$b", "a#b", "a\\b", "a;b", "a\nB=c", ""):
        with pytest.raises(InputError, match="the value of AWS_SECRET_ACCESS_KEY") as refused:
            write_secrets(tmp_path / "s.env", {"AWS_SECRET_ACCESS_KEY": odd})
        assert not odd or odd not in str(refused.value)
    usual = {"AWS_SECRET_ACCESS_KEY": "abc/+=DEF_-.:@%,9"}
    write_secrets(tmp_path / "s.env", usual)
    assert read_secrets(tmp_path / "s.env") == usual


def test_a_fingerprint_can_be_read_out_by_telephone():
    said = fingerprint("ab" * 32)
    assert [len(group) for group in said.split(" ")] == [4] * 8
    assert said != fingerprint("ac" * 32)
