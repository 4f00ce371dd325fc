"""The worker's parts without a server: attempts, services, the outbox on disk, patience."""

from __future__ import annotations

import os
import threading

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcore.errors import InputError
from flows.worker.attempts import Attempts
from flows.worker.outbox_file import OutboxFile
from flows.worker.patience import Patient
from flows.worker.runner import process_environ
from flows.worker.serving import accept_session, accept_training


def test_deaths_in_a_row_are_counted_with_growing_pauses_until_it_is_given_up():
    attempts = Attempts(3)
    assert [attempts.died() for _ in range(4)] == [0.0, 2.0, 4.0, None]


def test_a_step_that_was_never_done_before_begins_the_count_anew_and_a_repeated_one_does_not():
    attempts = Attempts(1)
    attempts.progressed("preprocess")
    assert attempts.died() == 0.0
    attempts.progressed("preprocess")
    assert attempts.died() is None
    attempts.progressed("round-001 · train")
    assert attempts.died() == 0.0


@pytest.mark.parametrize("value", [None, "", "a/b", "../x", "a" * 64, 5, ["a"], {"run": "a"}])
def test_a_session_takes_nothing_but_a_runs_name(value):
    with pytest.raises(InputError, match="parameter run"):
        accept_session({"run": value})


@given(st.dictionaries(st.text(min_size=1), st.text(), min_size=1))
def test_a_session_takes_no_other_parameter(more):
    if not more.keys() <= {"run"}:
        with pytest.raises(InputError, match="leave it out"):
            accept_session({"run": "a", **more})


def test_a_training_takes_a_file_or_its_content_and_drops_what_was_left_empty():
    assert accept_training({"task_file": "t.yaml", "run": None, "parties": None}) == {
        "task_file": "t.yaml"
    }
    content = {"task_file": {"model": {}}, "parties": ["1"], "run": "a"}
    assert accept_training(content) == content
    for wrong in ({"task_file": " "}, {"task_file": 5}, {"task_file": "x" * 300_000}, {}):
        with pytest.raises(InputError, match="task_file"):
            accept_training(wrong)
    with pytest.raises(InputError, match="parties"):
        accept_training({"task_file": "t.yaml", "parties": [1]})


def test_a_flow_process_is_told_nothing_that_the_machine_keeps_for_others():
    machine = {"PATH": "/bin", "HTTPS_PROXY": "p", "LC_ALL": "C", "PREFECT_API_KEY": "x", "A": "b"}
    told = process_environ(machine, {"PREFECT_API_URL": "u"})
    assert {"PATH", "HTTPS_PROXY", "LC_ALL", "PREFECT_API_URL"} <= told.keys()
    assert not {"PREFECT_API_KEY", "A"} & told.keys()


kinds = st.sampled_from(["event", "log"])
actions = st.lists(st.one_of(kinds, st.integers(1, 4), st.just("reopen")), max_size=40)


@given(actions)
def test_the_outbox_on_disk_is_after_any_death_what_it_was_in_memory(tmp_path_factory, actions):
    path = tmp_path_factory.mktemp("outbox") / "outbox.jsonl"
    file, number = OutboxFile(path), 0
    for action in actions:
        if action == "reopen":
            before = list(file.waiting), list(file.recent)
            with path.open("a") as torn:
                torn.write('{"kind": "event", "bo')
            file = OutboxFile(path)
            assert (list(file.waiting), list(file.recent)) == before
        elif isinstance(action, str):
            number += 1
            item = {"kind": action, "body": number}
            file.waiting.append(item)
            file.add(item)
        else:
            sent = [file.waiting.popleft() for _ in range(min(action, len(file.waiting)))]
            file.recent.extend(item for item in sent if item["kind"] == "event")
            file.sent(len(sent))


class Falling(httpx.BaseTransport):
    """A line that fails in every way before it answers."""

    def __init__(self) -> None:
        self.tries = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.tries += 1
        if self.tries == 1:
            raise httpx.ConnectError("refused", request=request)
        if self.tries == 2:
            raise httpx.ReadTimeout("silent", request=request)
        return httpx.Response(503 if self.tries == 3 else 200, request=request)


class Hurried(threading.Event):
    """Waits for nothing."""

    def wait(self, timeout: float | None = None) -> bool:
        return self.is_set()


def test_a_patient_line_waits_out_every_absence_and_says_so_once():
    inner, said = Falling(), []
    line = Patient(inner, Hurried(), said.append)
    answer = line.handle_request(httpx.Request("GET", "http://prefect/api"))
    assert (answer.status_code, inner.tries) == (200, 4)
    assert said == [
        "Prefect does not answer (ConnectError); what it misses is told it later",
        "Prefect answers again",
    ]


def test_a_patient_line_ends_when_it_is_given_up():
    given_up = Hurried()
    given_up.set()
    with pytest.raises(httpx.ConnectError):
        Patient(Falling(), given_up).handle_request(httpx.Request("GET", "http://prefect/api"))


def test_tests_do_not_speak_to_somebody_elses_prefect():
    assert "PREFECT_API_URL" not in os.environ
