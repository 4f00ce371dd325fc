"""The hub's folder: made once, kept, private, and never open to strangers by mistake."""

from __future__ import annotations

import json
import stat
from datetime import timedelta

import pytest
from prefect.settings import Settings

from fedcore.errors import InputError
from flows.hub.database import VARIABLE
from flows.hub.home import Hub
from flows.hub.ports import given_ports
from flows.hub.services import services
from flows.hub.starting import Wish, prepared


def test_there_is_no_hub_in_an_empty_folder(tmp_path):
    with pytest.raises(InputError, match="there is no hub in this folder: run fedcore up"):
        Hub.load(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", '{"host": "127.0.0.1"}', '{"ports": {}, "hots": 1}'])
def test_a_broken_hub_file_is_one_sentence(tmp_path, text):
    (tmp_path / "hub.json").write_text(text)
    with pytest.raises(InputError, match=r"hub\.json: "):
        Hub.load(tmp_path)


@pytest.mark.parametrize("host", ["10.1.2.3", "hub.example.org"])
def test_plain_http_to_other_machines_is_refused_unless_told_otherwise(tmp_path, host):
    with pytest.raises(InputError, match="give --cert and --key, or allow --allow-plain-http"):
        Hub.create(tmp_path / "a", host=host)
    assert not (tmp_path / "a").exists()
    assert Hub.create(tmp_path / "b", host=host, allow_plain_http=True).prefect_url


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.9", "localhost"])
def test_loopback_needs_no_certificate(tmp_path, host):
    assert Hub.create(tmp_path / "a", host=host).exchange.location.startswith("http://")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "::1", "", "a b", "http://hub", "hub:80", "-x"])
def test_a_host_that_nobody_can_be_sent_to_is_refused(tmp_path, host):
    with pytest.raises(InputError, match="the name or IPv4 address by which others reach this"):
        Hub.create(tmp_path / "a", host=host, allow_plain_http=True)


def test_a_certificate_needs_its_key_and_both_must_be_there(tmp_path):
    with pytest.raises(InputError, match="give both --cert and --key, or neither"):
        Hub.create(tmp_path / "a", cert=tmp_path / "c.pem")
    with pytest.raises(InputError, match="name a PEM file that exists"):
        Hub.create(tmp_path / "a", cert=tmp_path / "c.pem", key=tmp_path / "k.pem")
    with pytest.raises(InputError, match="it belongs to a certificate"):
        Hub.create(tmp_path / "a", ca=tmp_path / "ca.pem")


def test_a_second_create_keeps_ports_and_secrets(tmp_path):
    first = Hub.create(tmp_path / "a")
    secrets = first.secrets.path.read_bytes()
    again = Hub.create(tmp_path / "a")
    assert again == first == Hub.load(tmp_path / "a")
    assert again.secrets.path.read_bytes() == secrets


def test_an_option_changes_what_it_says_and_nothing_else(tmp_path):
    first = Hub.create(tmp_path / "a")
    moved = Hub.create(tmp_path / "a", {"mlflow": 5001}, host="localhost")
    assert moved.mlflow_url == "http://localhost:5001"
    assert moved.settings.ports == {**first.settings.ports, "mlflow": 5001}
    assert Hub.create(tmp_path / "a") == moved


def test_secrets_and_keys_are_their_owners_alone(tmp_path):
    hub = Hub.create(tmp_path / "a")
    hub.secrets.folder.chmod(0o755)
    Hub.create(tmp_path / "a")
    for path in (hub.secrets.folder, hub.home / "exchange", hub.home / "prefect", hub.home / "run"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    for path in (hub.secrets.path, hub.coordinator_key_path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_no_secret_stands_in_the_hub_file_or_a_repr(tmp_path):
    hub = Hub.create(tmp_path / "a")
    shown = (hub.home / "hub.json").read_text() + repr(hub) + repr(hub.secrets.pair("prefect"))
    held = json.loads(hub.secrets.path.read_bytes())
    values = [value if isinstance(value, str) else value[1] for value in held.values()]
    assert len(values) >= 6
    assert not [value for value in values if value in shown]


def test_two_hubs_share_no_port_and_no_secret(tmp_path):
    one, two = Hub.create(tmp_path / "a"), Hub.create(tmp_path / "b")
    assert one.exchange_environ() != two.exchange_environ()
    assert len(set(one.settings.ports.values())) == len(one.settings.ports)


@pytest.mark.parametrize("text", ["prefect", "prefect=", "prefect=x", "prefect=0", "filer=1", "=1"])
def test_a_port_that_is_none_is_one_sentence(text):
    with pytest.raises(InputError, match="write NAME=NUMBER"):
        given_ports([text])


def test_ports_are_given_by_the_names_of_the_addresses():
    assert given_ports(["exchange=8333", "mlflow=5000"]) == {"s3": 8333, "mlflow": 5000}


def test_a_renewed_certificate_is_another_plan_for_whoever_reads_it_at_the_start(tmp_path):
    files = {name: tmp_path / f"{name}.pem" for name in ("cert", "key")}
    for path in files.values():
        path.write_text("old")
    hub = Hub.create(tmp_path / "a", host="localhost", **files)
    before = {one.name: one.plan for one in services(hub)}
    files["cert"].write_text("new")
    after = {one.name: one.plan for one in services(hub)}
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"exchange", "prefect", "mlflow"}


def test_a_hub_with_records_in_sqlite_is_not_moved_to_an_empty_postgresql_unasked(tmp_path):
    hub = Hub.create(tmp_path / "a")
    (hub.home / "prefect" / "prefect.db").touch()
    environ = {VARIABLE: "postgresql://nobody@127.0.0.1:9"}
    with pytest.raises(InputError, match=r"FEDCORE_DATABASE_URL .*in SQLite already"):
        prepared(Wish(hub.home), environ, lambda _: None)
    assert not hub.secrets.database


def test_prefect_forgets_ended_flow_runs_after_as_many_days_as_the_hub_says(tmp_path, monkeypatch):
    Hub.create(tmp_path / "a")
    kept = tmp_path / "a" / "hub.json"
    content = json.loads(kept.read_text())
    kept.write_text(json.dumps({**content, "prefect_days": 0}))
    with pytest.raises(InputError, match="prefect_days"):
        Hub.load(tmp_path / "a")

    for days in (90, 30):
        kept.write_text(json.dumps({**content, "prefect_days": days}))
        (prefect,) = (one for one in services(Hub.load(tmp_path / "a")) if one.name == "prefect")
        for name, value in prefect.environ.items():
            monkeypatch.setenv(name, value)
        vacuum = Settings().server.services.db_vacuum
        assert vacuum.retention_period == timedelta(days=days)
        assert vacuum.enabled_vacuum_types >= {"events", "flow_runs"}
