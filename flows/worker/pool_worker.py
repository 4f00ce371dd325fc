"""The worker: takes the flow runs of its pool, one process each, and sees each to a verdict.

Nothing that Prefect says or leaves unsaid ends it. A flow run whose process dies is started again;
one that an earlier worker left behind is taken over; one that a person cancels is ended.
"""

from __future__ import annotations

import datetime
import threading
from collections.abc import Callable
from typing import Any
from uuid import UUID

from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.states import Cancelled, Crashed, Failed, Pending, Running

from fedcore.errors import InputError
from flows.worker.attempts import Attempts
from flows.worker.children import Child
from flows.worker.job import Job, Post, is_fresh, owner_of
from flows.worker.line import Away, Line
from flows.worker.serving import choose

TICK = 0.5
QUERY, LOOK, HEARTBEAT, ORPHANS, AWAY = 1.5, 5.0, 4.0, 30.0, 2.0  # seconds between two of each
SILENT = 35.0  # after that long without a heartbeat a worker counts as gone
PATIENCE = 5.0  # seconds without an answer that are nothing to speak of
GRACE = 8.0  # seconds that a process has to come to an end after it was asked to
VERDICTS = {StateType.COMPLETED, StateType.FAILED, StateType.CANCELLED}
BY_A_PERSON = "cancelled by a person"
Say = Callable[[str], None]


class PoolWorker:
    """Works until `stopped` is set, then ends its processes in order."""

    def __init__(
        self, post: Post, say: Say, stopped: threading.Event, clock: Callable[[], float]
    ) -> None:
        """Nothing is reached or started yet; `clock` is monotonic."""
        self._post, self._say, self._stopped, self._clock = post, say, stopped, clock
        self._line = Line(post.pool, post.name, post.url)
        self._jobs: dict[UUID, Job] = {}
        self._next: dict[str, float] = {}
        self._away_since: float | None = None
        self._complain_at, self._try_at, self._complained = 0.0, 0.0, False

    def work(self) -> None:
        """Serve the pool until it is time to stop."""
        self._say(f"worker {self._post.name} serves pool {self._post.pool} at {self._post.url}")
        while not self._stopped.is_set():
            self._tick()
            self._stopped.wait(TICK)
        self._leave()

    def _tick(self) -> None:
        """One look at everything; what needs Prefect is left for later while it is away."""
        for job in list(self._jobs.values()):
            self._end_in_time(job)
        if self._clock() < self._try_at:
            return
        try:
            for every, duty in (
                (HEARTBEAT, self._heartbeat),
                (LOOK, self._look_after),
                (ORPHANS, self._take_over),
                (QUERY, self._take_due),
            ):
                self._on_time(every, duty)
            for job in list(self._jobs.values()):
                self._attend(job)
        except Away as away:
            self._try_at = self._clock() + AWAY
            self._complain(str(away))
        else:
            self._back()

    def _on_time(self, every: float, duty: Callable[[], None]) -> None:
        name = duty.__name__
        if self._clock() >= self._next.get(name, 0.0):
            duty()
            self._next[name] = self._clock() + every

    def _heartbeat(self) -> None:
        self._line.heartbeat(HEARTBEAT)

    def _take_due(self) -> None:
        """Begin what is scheduled, as far as the limit goes."""
        if len(self._jobs) >= self._post.limit:
            return
        for flow_run in self._line.due(_now()):
            if len(self._jobs) < self._post.limit and flow_run.id not in self._jobs:
                self._take(flow_run)

    def _take(self, flow_run: FlowRun) -> None:
        if self._refused(flow_run):
            return
        taken: State[Any] = Pending(message=f"taken by worker {self._post.name}")
        if self._line.state(flow_run, taken, force=False):
            self._jobs[flow_run.id] = Job(flow_run, Attempts(self._post.in_a_row))
            self._say(f"{flow_run.name}: begins")

    def _refused(self, flow_run: FlowRun) -> bool:
        """Fail a flow run that is not served here or not fit, with the reason."""
        try:
            choose(self._post.services, self._line.flow_name(flow_run)).accept(flow_run.parameters)
        except InputError as refused:
            self._line.state(flow_run, Failed(name="Refused", message=str(refused)))
            self._say(f"{flow_run.name}: refused: {refused}")
            return True
        return False

    def _take_over(self) -> None:
        """Continue what this worker, or one that is gone, has left behind."""
        left = [one for one in self._line.begun() if one.id not in self._jobs]
        if not left:
            return
        others = self._line.alive(_now(), SILENT)
        for flow_run in left:
            if owner_of(flow_run) in others or is_fresh(flow_run, _now(), SILENT):
                continue
            if flow_run.state_type == StateType.CANCELLING:
                self._settle(
                    Job(flow_run, Attempts(self._post.in_a_row)),
                    Cancelled(message="nobody was working on it"),
                )
            elif len(self._jobs) < self._post.limit and not self._refused(flow_run):
                self._jobs[flow_run.id] = Job(flow_run, Attempts(self._post.in_a_row))
                self._say(f"{flow_run.name}: goes on with what an earlier worker left")

    def _look_after(self) -> None:
        """See what Prefect's page says of the runs in hand: a person may have ended one."""
        if not self._jobs:
            return
        found = {one.id: one for one in self._line.these(self._jobs)}
        for job in list(self._jobs.values()):
            if job.stop_by is None:
                self._obey(job, found.get(job.flow_run.id))

    def _obey(self, job: Job, seen: FlowRun | None) -> None:
        state = seen.state_type if seen is not None else StateType.CANCELLED
        if state in {StateType.CANCELLING, StateType.CANCELLED}:
            said = (seen.state.message if seen and seen.state else None) or BY_A_PERSON
            self._say(f"{job.flow_run.name}: cancelled ({said}), its process ends")
            self._stop(job, Cancelled(message=said))
        elif state == StateType.CRASHED and job.child is not None and job.child.ended() is None:
            alive: State[Any] = Running(message=f"worker {self._post.name}: its process is alive")
            self._line.state(job.flow_run, alive)

    def _stop(self, job: Job, verdict: State[Any]) -> None:
        job.verdict, job.stop_by = verdict, self._clock() + GRACE
        if job.child is not None:
            job.child.ask_to_stop()
        else:
            self._settle(job, verdict)

    def _attend(self, job: Job) -> None:
        """Start a process where one is due; see to one that has ended."""
        if job.child is None:
            if self._clock() >= job.due:
                self._start(job)
            return
        code = job.child.ended()
        if code is not None:
            self._judge(job, code)
        elif not job.noted:
            self._line.note_owner(job.flow_run, job.child.pid)
            job.noted = True

    def _end_in_time(self, job: Job) -> None:
        """End what was asked to come to an end and does not."""
        if job.child is not None and job.stop_by is not None and self._clock() >= job.stop_by:
            job.child.kill()

    def _start(self, job: Job) -> None:
        flow_run, post = job.flow_run, self._post
        job.child = Child(
            [*post.command, str(flow_run.id)],
            post.environ,
            post.folder,
            post.logs / f"{flow_run.name[:80].replace('/', '-')}-{str(flow_run.id)[:8]}.log",
            job.attempts.progressed,
        )
        job.noted = False

    def _judge(self, job: Job, code: int) -> None:
        """After a process's end: a verdict, another attempt, or the end of all attempts."""
        found = self._line.these([job.flow_run.id])
        if job.verdict is not None:
            self._settle(job, job.verdict)
        elif not found or found[0].state_type in VERDICTS:
            self._settle(job, None, found[0].state_name if found else "deleted")
        elif found[0].state_type == StateType.CANCELLING:
            self._settle(job, Cancelled(message=BY_A_PERSON))
        elif self._is_anothers(found[0]):
            self._settle(job, None, f"in the hands of worker {owner_of(found[0])}")
        else:
            self._try_again(job, code)

    def _is_anothers(self, flow_run: FlowRun) -> bool:
        """Whether another worker took it over, while this one was cut off, and lives."""
        owner = owner_of(flow_run)
        return owner not in {"", self._post.name} and owner in self._line.alive(_now(), SILENT)

    def _try_again(self, job: Job, code: int) -> None:
        pause = job.attempts.died()
        died = f"its process died ({_shown(code)})"
        if pause is None:
            remedy = f"see {self._post.logs} at worker {self._post.name}"
            said = f"{died} {job.attempts.deaths} times in a row without getting further: {remedy}"
            self._settle(job, Crashed(message=said))
            return
        again: State[Any] = Pending(
            name="Restarting", message=f"{died}; started again in {pause:.0f} s"
        )
        self._line.state(job.flow_run, again)
        self._say(f"{job.flow_run.name}: {again.message}")
        job.child, job.due = None, self._clock() + pause

    def _settle(self, job: Job, state: State[Any] | None, name: str | None = None) -> None:
        """The end of a flow run here; its state is set where its process could not."""
        if state is not None:
            self._line.state(job.flow_run, state)
        ended = str(state.name if state is not None else name)
        self._post.afterwards(job.flow_run, ended)
        self._say(f"{job.flow_run.name}: {ended}")
        self._jobs.pop(job.flow_run.id, None)

    def _leave(self) -> None:
        """End all processes; their flow runs go on when a worker of this pool starts again."""
        for job in self._jobs.values():
            if job.child is not None:
                job.child.kill()
        name = self._post.name
        stopped: State[Any] = Pending(
            name="WorkerStopped", message=f"worker {name} was stopped; goes on when it starts again"
        )
        try:
            for job in self._jobs.values():
                self._line.state(job.flow_run, stopped)
        except Away as away:
            self._say(str(away))
        self._say(f"worker {name} has stopped")

    def _complain(self, reason: str) -> None:
        """Say that Prefect is away: after some seconds, and then ever more rarely."""
        now = self._clock()
        if self._away_since is None:
            self._away_since, self._complain_at, self._complained = now, now + PATIENCE, False
        if now >= self._complain_at:
            away = now - self._away_since
            self._complain_at = now + max(2 * away, 10.0)
            self._complained = True
            self._say(f"{reason}; away for {away:.0f} s, trying again; what runs goes on")

    def _back(self) -> None:
        if self._away_since is not None and self._complained:
            self._say("Prefect answers again")
        self._away_since = None


def _shown(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
