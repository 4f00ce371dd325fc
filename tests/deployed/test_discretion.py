"""What of a hospital's errors reaches its coordinator: the kind, never the text."""

from __future__ import annotations

import json
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcore.errors import ContractBroken, JobRefused
from flows.discretion import Discreet, KeptAtHome, scrub

SECRET = "/srv/images/Meier_1953/scan.dcm"


def test_an_error_becomes_its_kind_and_its_text_stays_in_the_local_log(caplog):
    with (
        caplog.at_level(logging.ERROR, "fedcore"),
        pytest.raises(KeptAtHome, match="ContractBroken: its text stays") as kept,
        Discreet(),
    ):
        raise ContractBroken(f"{SECRET}: too few patients")
    assert SECRET not in str(kept.value)
    assert kept.value.__cause__ is None
    assert SECRET in caplog.text


def test_an_error_that_nobody_foresaw_is_kept_at_home_too():
    with pytest.raises(KeptAtHome, match="KeyError"), Discreet():
        raise KeyError(SECRET)


def test_a_refusal_is_meant_for_both_sides():
    with pytest.raises(JobRefused, match="too many rounds"), Discreet():
        raise JobRefused("max_rounds", "too many rounds")


@given(st.text(min_size=12))
def test_no_message_of_an_event_or_a_warning_leaves(text):
    secret = f"<{text}>"
    state = {"type": "FAILED", "name": "Failed", "message": f"DataError: {secret}"}
    resource = {"prefect.resource.id": "x", "prefect.state-message": secret}
    event = {"payload": {"validated_state": state, "initial_state": None}, "resource": resource}
    told = [
        scrub({"kind": "event", "body": event}),
        scrub({"kind": "log", "body": {"level": logging.WARNING, "message": secret}}),
    ]
    assert not any(secret in json.dumps(one, ensure_ascii=False) for one in told)
    assert "DataError" in json.dumps(told[0])


def test_what_went_well_is_told_as_it_is():
    log = {
        "kind": "log",
        "body": {"level": logging.INFO, "message": "Finished in state Completed()"},
    }
    assert scrub(log) == log
