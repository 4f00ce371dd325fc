"""What every task has in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from prefect import Task, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun

from fedcore.errors import FedcoreError

P = ParamSpec("P")
R = TypeVar("R")


def step(run_name: str) -> Callable[[Callable[P, R]], Task[P, R]]:
    """A task named `run_name` (a template over its arguments), tried three times.

    Arguments and results are names and small records: nothing is stored and nothing is hashed.
    Repeating is safe, because every step writes once; repeating what was refused is pointless.
    """
    return task(
        task_run_name=run_name,
        retries=2,
        retry_delay_seconds=[1, 5],
        retry_condition_fn=_worth_repeating,
        persist_result=False,
        cache_policy=NO_CACHE,
    )


def once(run_name: str) -> Callable[[Callable[P, R]], Task[P, R]]:
    """As `step`, for what takes long and says for itself why it failed: tried a single time."""
    return task(task_run_name=run_name, persist_result=False, cache_policy=NO_CACHE)


def _worth_repeating(_: Task[..., Any], __: TaskRun, state: State[Any]) -> bool:
    """Not what fedcore refused on purpose: that stays refused."""
    outcome = state.result(raise_on_failure=False)
    return not isinstance(outcome, FedcoreError)
