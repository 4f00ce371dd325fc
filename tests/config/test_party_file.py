"""The party file: who I am and who the others are; every mistake is one sentence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcore.config import PartyFile, load_party_file
from fedcore.config.task import parse_task_file
from fedcore.errors import PartyFileError
from flows.launch import Order, plan

ROOT = Path(__file__).resolve().parents[2]

PUBLISHED = """\
{"local": {"role": "guest", "party_id": 9999},
 "remote": {"role": "host", "party_id": 10000, "address": "IP:PORT"}}
"""
GUEST = {"role": "guest", "party_id": 9999}
HOST = {"role": "host", "party_id": 10000, "address": "10.0.0.1:9000"}
ID_RULE = "use a number or up to 32 letters, digits, - and _ (the party's number or short name"
# Local entry, remote entry -> what the sentence must name.
MISTAKES = [
    (GUEST | {"role": "gast"}, HOST, "local.role is 'gast': write 'guest' or 'host' (guest starts"),
    ({"role": "guest"}, HOST, "local.party_id is missing: add it (the party's number"),
    (GUEST | {"party_id": "a b"}, HOST, f"local.party_id is 'a b': {ID_RULE}"),
    (GUEST | {"party_id": "a/b"}, HOST, f"local.party_id is 'a/b': {ID_RULE}"),
    (GUEST | {"party_id": ".."}, HOST, f"local.party_id is '..': {ID_RULE}"),
    (GUEST | {"party_id": "a\n"}, HOST, f"local.party_id is 'a\\n': {ID_RULE}"),
    (GUEST | {"party_id": ""}, HOST, f"local.party_id is '': {ID_RULE}"),
    (GUEST | {"party_id": "x" * 33}, HOST, f"{'x' * 33}': {ID_RULE}"),
    (GUEST | {"party_id": -5}, HOST, f"local.party_id is -5: {ID_RULE}"),
    (GUEST | {"party_id": 1.5}, HOST, f"local.party_id is 1.5: {ID_RULE}"),
    (GUEST | {"party_id": True}, HOST, f"local.party_id is True: {ID_RULE}"),
    (GUEST | {"party_id": "coordinator"}, HOST, "is 'coordinator': this name is reserved: give"),
    (GUEST | {"party_id": "Federated"}, HOST, "is 'Federated': this name is reserved: give"),
    (GUEST | {"party_id": None}, HOST, f"local.party_id is empty: {ID_RULE}"),
    (GUEST | {"adress": "x"}, HOST, "local.adress is 'x': unknown field; did you mean 'address'?"),
    (
        GUEST | {"public_key": "AB"},
        HOST,
        "local.public_key is 'AB': write the public key as 64 ",
    ),
    (GUEST | {"public_key": "A" * 64}, HOST, "AAAA': write the public key as 64 lower-case hex"),
    (GUEST, HOST | {"address": 5}, "remote.0.address is 5: write text"),
    (
        GUEST,
        HOST | {"address": " "},
        "remote.0.address is ' ': write an address or leave",
    ),
    (GUEST, [], "remote is []: write at least 1 (the other parties)"),
    (GUEST, None, "remote is empty: write a list (the other parties)"),
    (GUEST, "10000", "remote is '10000': write a list (the other parties)"),
    (GUEST, [HOST, 5], "remote.1 is 5: write its fields, role, party_id, address"),
    (GUEST, [HOST, {"role": "host"}], "remote.1.party_id is missing: add it"),
    (GUEST, [HOST, HOST], "party_id is '10000': it stands twice: give every party its own"),
    (GUEST, HOST | {"party_id": "9999"}, "party_id is '9999': it stands twice"),
    (GUEST, HOST | {"role": "guest"}, "role is ['guest', 'guest']: make exactly one party the gu"),
    (GUEST | {"role": "host"}, HOST, "role is ['host', 'host']: make exactly one party the guest"),
]
TEXTS = [
    ("", "line 1, column 1 is no valid JSON: correct it"),
    ('{"local": }', "line 1, column 11 is no valid JSON: correct it"),
    ('{\n"local": 1,\n}', "line 3, column 1 is no valid JSON: correct it"),
    ("[" * 100_000, "its text is no valid JSON: correct it"),
    ("[]", "the file holds no fields: write local, remote"),
    ('"x"', "the file holds no fields: write local, remote"),
    ("{}", "local is missing: add it (who I am)"),
    ('{"local": {}, "local": {}}', "local stands twice: keep one of the two"),
    (
        '{"locale": 1}',
        "locale is 1: unknown field; did you mean 'local'? known: coordinator, local,",
    ),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "party_config.json"


def loaded(path: Path, local: object, remote: object) -> PartyFile:
    path.write_text(json.dumps({"local": local, "remote": remote}))
    return load_party_file(path)


@pytest.mark.parametrize(("local", "remote", "sentence"), MISTAKES)
def test_a_mistake_is_one_sentence_with_file_field_value_and_remedy(path, local, remote, sentence):
    with pytest.raises(PartyFileError) as refused:
        loaded(path, local, remote)
    said = str(refused.value)
    assert said.startswith(f"{path}: ")
    assert sentence in said
    assert "\n" not in said
    assert "nput should" not in said


@pytest.mark.parametrize(("text", "sentence"), TEXTS)
def test_a_text_that_is_no_party_file_is_one_sentence(path, text, sentence):
    path.write_text(text)
    with pytest.raises(PartyFileError) as refused:
        load_party_file(path)
    assert str(refused.value).startswith(f"{path}: {sentence}")


def test_a_missing_file_is_named(path):
    with pytest.raises(PartyFileError, match="there is no such party file: check the path"):
        load_party_file(path)


def test_the_published_file_works_as_it_stands(path):
    path.write_text(PUBLISHED)
    parties = load_party_file(path)
    assert parties.local.label == "guest-9999"
    assert [party.label for party in parties.remote] == ["host-10000"]
    assert parties.guest is parties.local
    assert parties.address() == "IP:PORT"


def test_one_remote_party_or_a_list_of_one_is_the_same(path):
    assert loaded(path, GUEST, HOST) == loaded(path, GUEST, [HOST])


def test_the_guest_may_be_remote_and_ids_may_be_names(path):
    north, south = {"role": "host", "party_id": "north"}, {"role": "host", "party_id": "south-2"}
    parties = loaded(path, north, [GUEST, south])
    assert parties.guest.id == "9999"
    assert [party.label for party in parties.parties] == [
        "host-north",
        "guest-9999",
        "host-south-2",
    ]


@pytest.mark.parametrize(
    ("local", "remotes", "expected"),
    [
        (None, [None, None], None),
        (None, [None, "b:1"], "b:1"),
        (None, ["a:1", "b:1"], "a:1"),
        ("./meet", ["a:1", "b:1"], "./meet"),
    ],
)
def test_the_local_address_comes_first_then_the_first_remote_one(path, local, remotes, expected):
    others = [
        {"role": "host", "party_id": number, "address": address}
        for number, address in enumerate(remotes)
    ]
    assert loaded(path, GUEST | {"address": local}, others).address() == expected


@given(st.lists(st.integers(0, 5), min_size=2, max_size=6), st.data())
def test_parties_are_accepted_exactly_when_ids_differ_and_one_is_the_guest(numbers, data):
    roles = data.draw(
        st.lists(st.sampled_from(["guest", "host"]), min_size=len(numbers), max_size=len(numbers))
    )
    parties = [
        {"role": role, "party_id": data.draw(st.sampled_from([number, str(number)]))}
        for role, number in zip(roles, numbers, strict=True)
    ]
    allowed = len(set(numbers)) == len(numbers) and roles.count("guest") == 1
    try:
        PartyFile.model_validate({"local": parties[0], "remote": parties[1:]})
    except ValueError:
        assert not allowed
    else:
        assert allowed


KEY = "ab" * 32
PLACES = {"public_key": KEY, "exchange": "https://s3.example.org/lung", "prefect": "https://p/api"}
# The section `coordinator` -> what the sentence must name.
COORDINATORS = [
    ({}, "coordinator.public_key is missing: add it (Ed25519 public key of the coordinator"),
    ({"public_key": "AB"}, "coordinator.public_key is 'AB': write the public key as 64 lower-case"),
    ({"public_key": KEY, "exchange": "a:1"}, "coordinator.prefect is empty: write it beside the"),
    ({"public_key": KEY, "prefect": "http://p"}, "coordinator.exchange is empty: write it beside"),
    ({**PLACES, "prefect": "p:4200"}, "coordinator.prefect is 'p:4200': write it as http(s)://"),
    ({**PLACES, "prefect": "https://u:p@x/api"}, "is 'https://...@x/api': write it as http(s)"),
    ({**PLACES, "mlflow": "x"}, "coordinator.mlflow is 'x': unknown field"),
]


@pytest.mark.parametrize(("section", "sentence"), COORDINATORS)
def test_a_mistake_in_the_coordinators_section_is_one_sentence(path, section, sentence):
    path.write_text(json.dumps({"local": GUEST, "remote": HOST, "coordinator": section}))
    with pytest.raises(PartyFileError) as refused:
        load_party_file(path)
    assert sentence in str(refused.value)


def test_who_joined_a_coordinator_names_no_other_party_and_no_guest(path):
    host = {"role": "host", "party_id": "munich"}
    path.write_text(json.dumps({"local": host, "remote": [], "coordinator": PLACES}))
    file = load_party_file(path)
    assert file.joined
    assert file.parties == (file.local,)
    assert file.address() == PLACES["exchange"]


def test_pinning_the_key_alone_still_needs_the_other_parties(path):
    pinned = {"public_key": KEY}
    path.write_text(json.dumps({"local": GUEST, "coordinator": pinned}))
    with pytest.raises(PartyFileError, match="remote is \\[\\]: write at least 1"):
        load_party_file(path)
    path.write_text(json.dumps({"local": GUEST, "remote": HOST, "coordinator": pinned}))
    assert not load_party_file(path).joined


def test_a_joined_partys_file_starts_no_training_by_the_command(path, tmp_path):
    path.write_text(json.dumps({"local": GUEST, "remote": [], "coordinator": PLACES}))
    task = parse_task_file((ROOT / "configs" / "federated_task.yaml").read_text(), "task")
    order = Order(task, path, load_party_file(path), path, tmp_path, tmp_path / "out")
    with pytest.raises(PartyFileError, match="run fedcore party start"):
        plan(order)
