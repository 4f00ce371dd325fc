"""A hospital's home: its policy is asked, a person approves by command, and a seat comes of it."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from policy_story import COORDINATOR, agreement, home
from rounds_story import RUN, task_file
from typer.testing import CliRunner

from fedcore.audit.ledger import Ledger
from fedcore.config.policy import Leaving
from fedcore.errors import InputError, JobRefused, PolicyError
from fedcore.exchange import keys
from fedcore.exchange.folder import FolderStore
from flows.cli import app
from flows.party import approving
from flows.party.approving import Word
from tasks.party import admission
from tasks.party.doorstep import Doorstep
from tasks.seat import Seat
from tasks.voices import Voice, attach


def typed(*words: object, answer: str = "") -> tuple[int, str]:
    done = CliRunner().invoke(app, list(map(str, words)), input=answer)
    return done.exit_code, done.output


def ledger(place: Path) -> list[tuple[str, dict]]:
    return Doorstep.of(str(place), RUN).ledger().story()


class Listener(Voice):
    """Hears what a waiting session says, and says so itself."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.spoke = threading.Event()

    def say(self, message: str) -> None:
        self.said.append(message)
        self.spoke.set()


class Waiting:
    """A session that waits for approval in a thread of its own."""

    def __init__(self, place: Path) -> None:
        self.voice, self.ended = Listener(), []
        attach(admission.seat_path(str(place), RUN), self.voice)
        assert admission.policy.fn(str(place), RUN, "host-2") == "ask"
        self.thread = threading.Thread(target=self._wait, args=(str(place),), daemon=True)
        self.thread.start()
        assert self.voice.spoke.wait(30)

    def _wait(self, place: str) -> None:
        try:
            self.ended.append(admission.approval.fn(place, RUN, "host-2"))
        except JobRefused as refused:
            self.ended.append(refused.reason)

    def outcome(self) -> str:
        self.thread.join(30)
        return self.ended[0]


def test_a_waiting_session_goes_on_when_somebody_approves_by_command(tmp_path):
    place = home(tmp_path)
    session = Waiting(place)
    assert session.voice.said == [
        f"run {RUN} waits for approval: fedcore party approve --home {place} {RUN}"
    ]
    code, shown = typed("party", "approve", RUN, "--home", place, answer="y\n")
    assert code == 0
    assert "Will leave:" in shown
    assert "a cnn network learns to tell 2 classes apart" in shown
    assert session.outcome() == approving.person()
    seat = Seat.load(admission.take_seat(str(place), RUN))
    assert seat.task == task_file()
    assert seat.coordinator_key == COORDINATOR.public
    assert (seat.owner, seat.data) == ("2", str(place / "images"))
    assert seat.policy.leaving == Leaving()
    assert [kind for kind, _ in ledger(place)] == ["left", "job_approved"]


def test_a_no_leaves_the_training_waiting_and_writes_nothing(tmp_path):
    place = home(tmp_path)
    session = Waiting(place)
    before = ledger(place)
    code, shown = typed("party", "approve", RUN, "--home", place, answer="n\n")
    assert (code, ledger(place)) == (0, before)
    assert "goes on waiting" in shown
    typed("party", "approve", RUN, "--home", place, "--yes")
    session.outcome()


def test_a_refusal_by_command_ends_the_session_and_tells_the_reason(tmp_path):
    place = home(tmp_path)
    session = Waiting(place)
    code, shown = typed(
        "party", "approve", RUN, "--home", place, "--refuse", "--reason", "no\x1b vote", "--yes"
    )
    assert code == 0
    assert "The coordinator will be told: no vote" in shown
    assert session.outcome() == "by_a_person"
    body = FolderStore(tmp_path / "exchange").get(keys.refusal("2", RUN))
    assert b'"sentence":"no vote"' in body
    code, shown = typed("party", "approve", RUN, "--home", place, "--yes")
    assert code == 2
    assert "ask for a training with a new name" in shown


def test_pending_lists_what_waits_and_nothing_that_is_decided(tmp_path):
    place = home(tmp_path)
    assert "no training waits" in typed("party", "pending", "--home", place)[1]
    session = Waiting(place)
    shown = typed("party", "pending", "--home", place)[1]
    assert f"fedcore party approve {RUN} --home {place}" in shown
    assert agreement().task_hash in shown
    typed("party", "approve", RUN, "--home", place, "--yes")
    session.outcome()
    assert "no training waits" in typed("party", "pending", "--home", place)[1]


@pytest.mark.parametrize("run", ["another", "../../secrets", "a b"])
def test_a_training_that_does_not_wait_cannot_be_approved(run, tmp_path):
    place = home(tmp_path)
    with pytest.raises(InputError, match="does not wait for an approval here"):
        approving.decide(place, run, Word(sure=True), print, bool, "meyer")


def test_a_notice_with_another_task_inside_is_not_approved(tmp_path):
    place = home(tmp_path)
    session = Waiting(place)
    notice = place / "approvals" / f"{RUN}.json"
    kept = notice.read_text()
    notice.write_text(kept.replace('"lr":0.01', '"lr":0.02').replace('"lr": 0.01', '"lr": 0.02'))
    assert notice.read_text() != kept
    code, shown = typed("party", "approve", RUN, "--home", place, "--yes")
    assert code == 2
    assert "does not hash to what is to be approved" in shown
    notice.write_text("{")
    assert "is no request for approval" in typed("party", "approve", RUN, "--home", place)[1]
    notice.write_text(kept)
    typed("party", "approve", RUN, "--home", place, "--yes")
    session.outcome()


def test_a_policy_that_accepts_needs_nobody(tmp_path):
    place = home(tmp_path, policy="decide: accept\n")
    assert admission.policy.fn(str(place), RUN, "host-2") == "accept"
    assert ledger(place)[0][1]["by"] == "policy"
    assert not (place / "approvals").exists()


def test_by_default_only_the_coordinator_and_the_data_of_the_party_file_are_allowed(tmp_path):
    place = home(tmp_path)
    policy = Doorstep.of(str(place), RUN).policy()
    assert policy.coordinators == (COORDINATOR.public,)
    assert policy.data == (str(place / "images"),)


def test_data_elsewhere_than_the_policy_allows_are_refused_without_being_named(tmp_path):
    place = home(tmp_path, policy="decide: accept\ndata: [other]\n")
    with pytest.raises(JobRefused, match="data_folder"):
        admission.policy.fn(str(place), RUN, "host-2")
    left = FolderStore(tmp_path / "exchange").get(keys.refusal("2", RUN))
    assert b"images" not in left
    assert b"other" not in left


def test_a_policy_that_cannot_be_read_lets_nothing_in(tmp_path):
    place = home(tmp_path, policy="decide: whatever\n")
    with pytest.raises(PolicyError, match=r"policy\.yaml: decide is 'whatever'"):
        admission.policy.fn(str(place), RUN, "host-2")
    (place / "policy.yaml").unlink()
    with pytest.raises(PolicyError, match="no such policy file"):
        admission.policy.fn(str(place), RUN, "host-2")
    assert FolderStore(tmp_path / "exchange").keys("parties/") == []


def test_a_small_cohort_is_refused_by_the_policy_of_the_seat(tmp_path):
    place = home(tmp_path, policy="decide: accept\nmin_cohort: 30\n")
    admission.policy.fn(str(place), RUN, "host-2")
    seat = admission.take_seat(str(place), RUN)
    admission.require_cohort(seat, 30)
    with pytest.raises(JobRefused, match="small_cohort"):
        admission.require_cohort(seat, 29)


def test_the_seat_has_what_the_party_file_of_the_home_says(tmp_path):
    place = home(tmp_path, policy="decide: accept\n")
    file = place / "party_config.json"
    content = json.loads(file.read_text())
    content["local"] |= {"modality": "ct", "pretrain": "public"}
    file.write_text(json.dumps(content))
    admission.policy.fn(str(place), RUN, "host-2")
    seat = Seat.load(admission.take_seat(str(place), RUN))
    assert (seat.modality, seat.pretrain) == ("ct", str(place / "public"))


def test_the_ledger_of_the_seat_is_the_one_that_the_approval_stands_in(tmp_path):
    place = home(tmp_path, policy="decide: accept\n")
    admission.policy.fn(str(place), RUN, "host-2")
    seat = Seat.load(admission.take_seat(str(place), RUN))
    assert isinstance(seat.ledger(), Ledger)
    assert [kind for kind, _ in seat.ledger().story()] == ["job_approved"]


@pytest.mark.parametrize("run", ["../x", "", "a/b"])
def test_a_run_that_is_no_name_opens_no_door(run, tmp_path):
    with pytest.raises(InputError, match="63 letters"):
        Doorstep.of(str(home(tmp_path)), run)
