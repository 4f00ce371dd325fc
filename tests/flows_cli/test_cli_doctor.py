"""`fedcore doctor`: says what is well, and for all else what to do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli_story import ROOT, fedcore
from lying_s3 import lying_s3
from prefect.settings import PREFECT_API_URL, temporary_settings
from servers import SeaweedFS, free_ports

from fedcore.config import load_party_file
from flows import doctor_machine, doctor_services
from flows.doctor_finding import Finding
from flows.doctor_machine import Need

SECRETS = {"AWS_ACCESS_KEY_ID": "key-of-a-test", "AWS_SECRET_ACCESS_KEY": "secret-of-a-test"}


def party_file(folder: Path, address: str | None) -> Path:
    remote = {"role": "host", "party_id": 10000} | ({"address": address} if address else {})
    path = folder / "party.json"
    path.write_text(json.dumps({"local": {"role": "guest", "party_id": 9999}, "remote": remote}))
    return path


def exchange(folder: Path, address: str | None, environ=SECRETS) -> list[Finding]:
    path = party_file(folder, address)
    return list(doctor_services.exchange(load_party_file(path), path, environ))


def closed_port() -> str:
    return f"127.0.0.1:{free_ports(('nobody',))['nobody']}"


def test_all_is_well_with_the_demo_and_a_folder_as_exchange(tmp_path):
    path = party_file(tmp_path, "shared")
    (tmp_path / "shared").mkdir()
    task = ROOT / "configs" / "demo_task.yaml"
    said = fedcore("doctor", "--party-config", path, "--config", task, cwd=tmp_path)
    assert said.code == 0, said.out + said.err
    *lines, last = said.out.splitlines()
    assert all(line.startswith("ok      ") for line in lines), said.out
    assert last == "all is well"
    told = {line.split()[1] for line in lines}
    assert {"python", "torch", "pydicom", "fastapi", "DICOM", "training", "disk"} <= told
    assert {"mlflow", "exchange", "written"} <= told
    assert "JPEG2000Lossless" in said.out
    assert "a second writer is refused" in said.out


def test_what_is_missing_is_said_with_its_remedy_and_ends_with_1(tmp_path):
    said = fedcore(
        *("doctor", "--party-config", ROOT / "configs/party_config.json"),
        *("--config", "none.yaml"),
        cwd=tmp_path,
        PREFECT_API_URL=f"http://{closed_port()}/api",
        MLFLOW_TRACKING_URI=f"sqlite:///{tmp_path}/nowhere/mlflow.db",
    )
    assert said.code == 1
    missing = [line for line in said.out.splitlines() if line.startswith("missing ")]
    parts = ("none.yaml: there is no such", "prefect api", "MLflow's store", "the placeholder")
    for line, part in zip(missing, parts, strict=True):
        assert part in line
    assert said.out.splitlines()[-1].startswith("4 to mend")
    assert "Traceback" not in said.out + said.err


@pytest.mark.servers
def test_a_real_bucket_is_tried_and_refuses_a_second_writer(seaweedfs: SeaweedFS, tmp_path):
    address = f"{seaweedfs.endpoint}/doctor-bucket"
    reached, once = exchange(tmp_path, address, seaweedfs.environ)
    assert reached.good
    assert "doctor/9999/" in reached.said
    assert once.good


@pytest.mark.servers
def test_wrong_credentials_are_told_without_telling_them(seaweedfs: SeaweedFS, tmp_path):
    (finding,) = exchange(tmp_path, f"{seaweedfs.endpoint}/doctor-bucket")
    assert not finding.good
    assert not any(secret in finding.said for secret in SECRETS.values())


def test_an_exchange_that_ignores_conditions_is_found_out(tmp_path):
    with lying_s3() as address:
        reached, once = exchange(tmp_path, address)
    assert reached.good
    assert not once.good
    assert "a second writer replaced an object: use" in once.said


def test_missing_credentials_a_closed_port_and_a_file_are_told_apart(tmp_path):
    (tmp_path / "file").touch()
    (without,) = exchange(tmp_path, closed_port(), {})
    (closed,) = exchange(tmp_path, closed_port())
    (file,) = exchange(tmp_path, "./file")
    assert "AWS_ACCESS_KEY_ID" in without.said
    assert "127.0.0.1" in closed.said
    assert "file" in file.said
    assert not any(finding.good for finding in (without, closed, file))


def test_a_folder_that_is_not_there_is_not_made_in_silence(tmp_path):
    (finding,) = exchange(tmp_path, "./share")
    assert not finding.good
    assert "mount the folder" in finding.said
    assert not (tmp_path / "share").exists()


def test_no_address_is_no_fault_where_all_parties_are_here(tmp_path):
    (finding,) = exchange(tmp_path, None)
    assert finding.good
    assert "must lie on this machine" in finding.said


def test_a_prefect_api_that_does_not_answer_is_named_without_its_password():
    address = closed_port()
    with temporary_settings({PREFECT_API_URL: f"http://user:hidden@{address}/api"}):
        finding = doctor_services.prefect_api()
    assert not finding.good
    assert address in finding.said
    assert "hidden" not in finding.said


def test_an_mlflow_that_does_not_answer_is_named():
    finding = doctor_services.tracking(f"http://{closed_port()}")
    assert not finding.good
    assert "could not be used" in finding.said


def test_a_library_that_is_away_or_does_not_fit_is_named_with_the_command_that_mends_it():
    away = doctor_machine.library(Need("no-such-library", ">=1"))
    old = doctor_machine.library(Need("numpy", ">=99"))
    new = doctor_machine.library(Need("numpy", "<1"))
    assert "pip install" in away.said
    assert "pip install 'numpy>=99'" in old.said
    assert not any(finding.good for finding in (away, old, new))


@pytest.mark.parametrize(
    ("bounds", "version", "fits"),
    [
        (">=0.139,<0.151", "0.150.0", True),
        ("<0.151,>=0.139", "0.151.0", False),
        ("<0.151,>=0.139", "0.138.9", False),
        (">=2.9", "2.14.1+cpu", True),
        (">=3", "3", True),
        ("", "0.0.1", True),
    ],
)
def test_bounds_are_compared_by_number_and_not_by_letter(bounds, version, fits):
    assert Need("library", bounds).allows(version) is fits


def test_the_needs_of_developers_are_nobody_elses():
    written = ["numpy>=2.2", 'prefect>=3.8; extra == "flows"', 'ruff>=0.12; extra == "dev"']
    assert doctor_machine.needs(written) == [Need("numpy", ">=2.2"), Need("prefect", ">=3.8")]


def test_an_output_folder_inside_a_file_is_refused(tmp_path):
    (tmp_path / "file").touch()
    assert not doctor_machine.disk(tmp_path / "file" / "out").good
    assert doctor_machine.disk(tmp_path / "a" / "b").good
