"""What Prefect's client is spared on a plain line, and where nothing is changed."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from flows.plain_line import reach
from flows.worker.runner import make_home

HERE = "http://127.0.0.1:4200/api"


def test_the_client_of_a_temporary_server_reads_one_authority(tmp_path: Path) -> None:
    variables = reach(HERE, str(tmp_path))
    trusted = ssl.create_default_context(cafile=variables["PREFECT_API_SSL_CERT_FILE"])
    assert variables["PREFECT_API_URL"] == HERE
    assert len(trusted.get_ca_certs()) == 1


@pytest.mark.parametrize(("url", "home"), [(HERE, None), ("https://prefect.example.org/api", "x")])
def test_a_server_that_somebody_configured_is_reached_as_configured(
    url: str, home: str | None
) -> None:
    assert reach(url, home) == {"PREFECT_API_URL": url}


def test_a_workers_processes_read_one_authority_on_a_plain_line_alone(tmp_path: Path) -> None:
    home = {"PREFECT_HOME": str(tmp_path / "prefect")}
    plain = {**home, "PREFECT_API_URL": HERE}
    make_home(plain)
    trusted = ssl.create_default_context(cafile=plain["PREFECT_API_SSL_CERT_FILE"])
    assert len(trusted.get_ca_certs()) == 1
    for told in (
        {**home, "PREFECT_API_URL": "https://prefect.example.org/api"},
        {**home, "PREFECT_API_URL": HERE, "PREFECT_API_SSL_CERT_FILE": "own.pem"},
    ):
        before = dict(told)
        make_home(told)
        assert told == before
