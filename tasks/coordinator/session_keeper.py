"""Keeps one session per party going, by what Prefect says of it: never a new way to fail."""

from __future__ import annotations

import datetime
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
)
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import ObjectNotFound, PrefectException

from fedcore.rounds.messages import Member
from fedcore.rounds.waiting import in_words
from tasks.quick_line import QuickLine

FLOW = "party-session"
PATIENCE = 10.0  # seconds for one answer
STEADY = 300.0  # a session that lasted so long may be started again at once
FIRST_PAUSE, LONGEST_PAUSE = 10.0, 600.0
SILENT = 10.0  # seconds without a word of a worker, which sends one every four
FRESH = 9.0  # seconds for which a word is believed: no silence is noticed later for it
# What the coordinator's worker says when it ends sessions whose training is over.
OVER = "the training has ended"
FINAL_WORDS = {"Refused"}
TOGETHER = 20  # parties whose flow runs are asked for in one question
RECENT = 3  # flow runs for each of them, in the mean, that are looked through; a few more in all


@dataclass
class Seen:
    """What is known of one party's session."""

    state: str = ""
    ended: bool = False
    message: str = ""
    heard: datetime.datetime | None = None
    tries: int = 0
    begun_at: float | None = None
    due: float = 0.0
    told: str = ""
    registered: bool = True
    silent: bool = False


@dataclass(frozen=True)
class Place:
    """A party's deployment: its id, and its work pool."""

    deployment: UUID
    pool: str | None


class SessionKeeper:
    """Looks at the sessions of one run when it is asked to; may be asked from several threads."""

    def __init__(
        self,
        run: str,
        members: Sequence[Member],
        say: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing is asked yet."""
        self._run, self._members, self._say, self._clock = run, members, say, clock
        self._seen = {member.party_id: Seen() for member in members}
        self._places: dict[str, Place] = {}
        self._line = QuickLine(PATIENCE)
        self._guard = threading.Lock()
        self._away, self._answers_since = False, clock()

    def look(self) -> bool:
        """See how the sessions are, and start those that are missing; whether Prefect answered."""
        with self._guard:
            try:
                with self._line.open() as api:
                    self._look_at_all(api)
                self._answers_since = self._clock() if self._away else self._answers_since
                self._away = False
            except (httpx.HTTPError, PrefectException, OSError, ValueError, RuntimeError):
                self._away = True
            return not self._away

    def last_seen(self, party: str) -> str:
        """A sentence on the party's session and its worker."""
        seen = self._seen.get(party)
        if seen is None or not (seen.state or self._away or not seen.registered):
            return ""
        words = [f"its session is {seen.state}" if seen.state else "its session is not started"]
        silent = _since(seen.heard)
        if silent is not None:
            words.append(f"its worker was last heard {in_words(silent)} ago")
        else:
            words.append("no worker of it has been heard of")
        if not seen.registered:
            words.append("Prefect knows no deployment of it: run prefect deploy")
        if self._away:
            words.append("Prefect itself does not answer now")
        return ", ".join(words)

    def _look_at_all(self, api: SyncPrefectClient) -> None:
        """One question for the flow runs of many parties, and one for each party's worker."""
        there = [one for one in self._members if self._is_registered(api, one)]
        for start in range(0, len(there), TOGETHER):
            chunk = there[start : start + TOGETHER]
            runs = self._runs_of(api, chunk)
            for member in chunk:
                self._look_at(api, member, runs[self._places[member.party_id].deployment])

    def _is_registered(self, api: SyncPrefectClient, member: Member) -> bool:
        """One party without a deployment keeps no other's session from being started."""
        seen, party = self._seen[member.party_id], member.party_id
        try:
            if party not in self._places:
                found = api.read_deployment_by_name(f"{FLOW}/{party}")
                self._places[party] = Place(found.id, found.work_pool_name)
            seen.registered = True
        except ObjectNotFound:
            self._miss(member, seen)
        return seen.registered

    def _miss(self, member: Member, seen: Seen) -> None:
        """Say once that a party's session cannot be started."""
        seen.registered = False
        self._places.pop(member.party_id, None)
        why = "its session cannot be started, as Prefect knows no deployment of it"
        self._leave(member, seen, f"{why}: register {FLOW}/{member.party_id} with prefect deploy")

    def _runs_of(
        self, api: SyncPrefectClient, members: Sequence[Member]
    ) -> dict[UUID, list[FlowRun]]:
        """The sessions of this training, the newest first, by deployment."""
        wanted = [self._places[one.party_id].deployment for one in members]
        found: dict[UUID, list[FlowRun]] = {one: [] for one in wanted}
        for run in api.read_flow_runs(
            deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=wanted)),
            sort=FlowRunSort.EXPECTED_START_TIME_DESC,
            limit=10 + RECENT * len(wanted),
        ):
            if run.deployment_id is not None and run.parameters.get("run") == self._run:
                found[run.deployment_id].append(run)
        return found

    def _look_at(self, api: SyncPrefectClient, member: Member, ours: list[FlowRun]) -> None:
        seen, place = self._seen[member.party_id], self._places[member.party_id]
        if ours:
            _note(seen, ours[0])
        try:
            if not ours or self._again(member, seen):
                last = ours[0].id if ours else None
                self._start(api, member, seen, place.deployment, last)
            if (_since(seen.heard) or SILENT) > FRESH:
                seen.heard = _last_heartbeat(api, place.pool)
        except ObjectNotFound:  # it was taken back since it was looked up
            self._miss(member, seen)
        self._note_silence(member, seen)

    def _note_silence(self, member: Member, seen: Seen) -> None:
        """Say when a worker falls silent, and when it is heard again.

        Not soon after Prefect was away: then nobody could be heard.
        """
        silent = _since(seen.heard)
        if silent is None or seen.ended or self._clock() - self._answers_since < SILENT:
            return
        if silent > SILENT and not seen.silent:
            self._say(
                f"{member.label}: silent: its worker was last heard {in_words(silent)} ago; its "
                "machine, its line or its worker is down, and the training waits for it"
            )
        elif seen.silent and silent <= SILENT:
            self._say(f"{member.label}: its worker is heard again")
        seen.silent = silent > SILENT

    def _again(self, member: Member, seen: Seen) -> bool:
        """Whether a session that ended is to be started again now."""
        if not seen.ended:
            if seen.begun_at is not None and self._clock() - seen.begun_at > STEADY:
                seen.tries = 0
            return False
        if seen.state == "Completed":
            return False  # it has seen the end of the training
        if seen.state in FINAL_WORDS:
            return self._leave(member, seen, f"its session was refused ({seen.message})")
        if seen.state == "Cancelled" and seen.message != OVER:
            said = (
                "a person cancelled its session, so it is not started again; to let it take part, "
            )
            return self._leave(
                member, seen, f"{said}start {FLOW}/{member.party_id} with run {self._run}"
            )
        return self._clock() >= seen.due

    def _leave(self, member: Member, seen: Seen, why: str) -> bool:
        if seen.told != why:
            seen.told = why
            self._say(f"{member.label}: {why}")
        return False

    def _start(
        self,
        api: SyncPrefectClient,
        member: Member,
        seen: Seen,
        deployment: UUID,
        last: UUID | None,
    ) -> None:
        """Start the run's next session; two that try at once start one."""
        if seen.ended:
            self._say(f"{member.label}: its session ended as {seen.state}, started again")
        created = api.create_flow_run_from_deployment(
            deployment,
            parameters={"run": self._run},
            name=f"{self._run} · {member.label}",
            tags=[f"run:{self._run}", f"party:{member.party_id}"],
            idempotency_key=f"{self._run}-{member.party_id}-after-{last or 'none'}",
        )
        pause = 0.0 if seen.tries == 0 else FIRST_PAUSE * 2.0 ** (seen.tries - 1)
        seen.tries, seen.begun_at = seen.tries + 1, self._clock()
        seen.due = self._clock() + min(pause, LONGEST_PAUSE)
        _note(seen, created)


def _note(seen: Seen, run: FlowRun) -> None:
    seen.state = run.state_name or ""
    seen.ended = bool(run.state and run.state.is_final())
    seen.message = (run.state.message if run.state else None) or ""


def _since(moment: datetime.datetime | None) -> float | None:
    """Seconds since then."""
    if moment is None:
        return None
    return (datetime.datetime.now(datetime.UTC) - moment).total_seconds()


def _last_heartbeat(api: SyncPrefectClient, pool: str | None) -> datetime.datetime | None:
    known = api.read_workers_for_work_pool(pool) if pool else []
    beats = [one.last_heartbeat_time for one in known if one.last_heartbeat_time]
    return max(beats, default=None)
