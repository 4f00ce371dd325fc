"""The coordinator's watch on the hospitals' sessions, at a real Prefect server."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from uuid import uuid4

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Cancelled, Crashed, Failed, Running
from worker_story import Pool

from fedcore.rounds.messages import Member
from tasks.coordinator import session_keeper
from tasks.coordinator.session_keeper import OVER, SessionKeeper

pytestmark = pytest.mark.servers
PARTY = "munich"


class Story:
    """One party's deployment, a keeper of a run, and the run's sessions."""

    def __init__(self, url: str, run: str) -> None:
        self.pool, self.run, self.now, self.said = Pool(url, f"keep-{run}"), run, 0.0, list[str]()
        self.party = f"{PARTY}-{run}"
        with self.pool.settings():
            flow = self.pool.client.create_flow_from_name("party-session")
            self.pool.client.create_deployment(flow, self.party, work_pool_name=self.pool.name)
        self.keeper = self.another()

    def another(self) -> SessionKeeper:
        member = Member(party_id=self.party, role="host")
        return SessionKeeper(self.run, [member], self.said.append, lambda: self.now)

    def sessions(self) -> list[FlowRun]:
        """The run's sessions, the newest last."""
        with self.pool.settings():
            found = self.pool.client.read_flow_runs()
        ours = [one for one in found if one.name == f"{self.run} · host-{self.party}"]
        return sorted(ours, key=lambda one: str(one.created))

    def becomes(self, state) -> None:
        """Let the newest session be in that state."""
        with self.pool.settings():
            self.pool.client.set_flow_run_state(self.sessions()[-1].id, state, force=True)

    def looks(self, after: float = 0.0) -> int:
        """Let the keeper look once more; how many sessions there are then."""
        self.now += after
        limit = time.monotonic() + 120
        while not self.keeper.look():  # a busy machine's Prefect may be late once
            assert time.monotonic() < limit
        return len(self.sessions())


@pytest.fixture
def story(prefect_server) -> Iterator[Story]:
    with temporary_settings({PREFECT_API_URL: prefect_server.url}):
        yield Story(prefect_server.url, f"r{uuid4().hex[:8]}")


def test_a_session_is_started_once_however_many_look(story):
    assert story.looks() == 1
    story.another().look()
    assert story.looks(100) == 1
    session = story.sessions()[0]
    assert session.parameters == {"run": story.run}
    assert {f"run:{story.run}", f"party:{story.party}"} <= set(session.tags)


@pytest.mark.parametrize("state", [Crashed(), Failed(message="KeptAtHome")])
def test_a_session_that_died_is_started_again_with_growing_pauses(story, state):
    assert story.looks() == 1
    story.becomes(Running())
    story.becomes(state)
    assert story.looks() == 2
    story.becomes(state)
    assert story.looks(1) == 2
    assert story.looks(11) == 3
    story.becomes(state)
    assert story.looks(11) == 3
    assert story.looks(11) == 4
    assert "started again" in story.said[0]


def test_a_session_that_a_person_cancelled_is_left_alone_and_that_is_said_once(story):
    story.looks()
    story.becomes(Cancelled(message="cancelled by a person"))
    assert story.looks() == story.looks(10_000) == 1
    assert len(story.said) == 1
    assert "a person cancelled its session" in story.said[0]
    assert f"start party-session/{story.party} with run {story.run}" in story.said[0]


def test_a_session_that_ended_with_an_earlier_attempt_of_the_training_is_started_again(story):
    story.looks()
    story.becomes(Cancelled(message=OVER))
    assert story.looks() == 2


def test_a_hospital_that_refused_is_not_asked_again(story):
    story.looks()
    story.becomes(Failed(name="Refused", message="max_rounds: too many"))
    assert story.looks() == story.looks(10_000) == 1
    assert "max_rounds: too many" in story.said[0]


def test_a_hospital_without_a_deployment_is_told_and_keeps_no_others_session_from_starting(story):
    absent = Member(party_id=f"a-{story.party}", role="guest")
    present = Member(party_id=story.party, role="host")
    keeper = SessionKeeper(story.run, [absent, present], story.said.append, lambda: story.now)
    assert keeper.look()
    assert len(story.sessions()) == 1
    assert "Prefect knows no deployment of it: run prefect deploy" in keeper.last_seen(
        absent.party_id
    )
    assert keeper.look()
    assert len(story.said) == 1
    assert f"register party-session/{absent.party_id}" in story.said[0]


def test_a_silent_worker_is_named_once_and_so_is_its_return(story, monkeypatch):
    story.looks()
    with story.pool.settings():
        story.pool.client.send_worker_heartbeat(story.pool.name, "machine", 10)
    monkeypatch.setattr(session_keeper, "SILENT", 120.0)
    assert story.looks(200) == 1
    assert story.said == []
    monkeypatch.setattr(session_keeper, "SILENT", 0.0)
    assert story.looks() == story.looks() == 1
    assert len(story.said) == 1
    assert f"host-{story.party}: silent: its worker was last heard" in story.said[0]
    monkeypatch.setattr(session_keeper, "SILENT", 120.0)
    story.looks()
    assert story.said[1:] == [f"host-{story.party}: its worker is heard again"]


def test_what_was_last_seen_is_a_sentence_also_while_prefect_is_away(story):
    assert story.keeper.last_seen(story.party) == ""
    story.looks()
    with story.pool.settings():
        story.pool.client.send_worker_heartbeat(story.pool.name, "machine", 10)
    story.becomes(Running())
    story.looks()
    assert "its session is Running, its worker was last heard " in story.keeper.last_seen(
        story.party
    )
    away = "http://127.0.0.1:9/api"
    with temporary_settings({PREFECT_API_URL: away}):
        story.keeper.look()
    assert "Prefect itself does not answer now" in story.keeper.last_seen(story.party)
    assert os.environ.get("PREFECT_API_URL") is None


def test_of_a_worker_that_was_heard_a_moment_ago_nothing_is_asked(story, monkeypatch):
    asked = []
    real = SyncPrefectClient.read_workers_for_work_pool

    def counted(self, pool):
        asked.append(pool)
        return real(self, pool)

    monkeypatch.setattr(SyncPrefectClient, "read_workers_for_work_pool", counted)
    story.looks()
    assert asked == [story.pool.name]  # nobody was heard of yet
    with story.pool.settings():
        story.pool.client.send_worker_heartbeat(story.pool.name, "machine", 10)
    story.looks()
    story.looks()
    assert len(asked) == 2
    monkeypatch.setattr(session_keeper, "FRESH", 0.0)
    story.looks()
    assert len(asked) == 3
