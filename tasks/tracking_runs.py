"""Experiment, parent run and nested runs of a training: found by their tags, or created."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Experiment, Param, Run, RunTag
from mlflow.exceptions import MlflowException

from fedcore.config.task import TaskFile
from fedcore.rounds.messages import Agreement, Hello, Member

RUN = "fedcore.run_id"
ROLE = "fedcore.role"
PARTY = "fedcore.party_id"
PARENT = "mlflow.parentRunId"
REASON = "fedcore.reason"
BATCH_NORM = "fedcore.batch_norm"
KIND = "mlflow.experimentKind"  # what MLflow's pages show of an experiment
TRAINING = "custom_model_development"
FEDERATION = "federation"
SQLITE = "sqlite:///"
VALUE_LIMIT = 5000  # characters; MLflow refuses parameters above 6000 and tags above 8000
PARAMS_LIMIT = 100  # per request


@dataclass(frozen=True)
class Runs:
    """The ids that MLflow gave: of the experiment, the parent run, and the run of each party."""

    experiment: str
    parent: str
    parties: Mapping[str, str]

    def of(self, party: str | None) -> str:
        """The run of a party; None: the parent."""
        return self.parent if party is None else self.parties[party]


def find_or_create_runs(
    client: MlflowClient, task: TaskFile, agreement: Agreement, hellos: Mapping[str, Hello]
) -> Runs:
    """All runs of a training, created where missing, set running again where not finished."""
    experiment = experiment_of(client, task.name)
    parent = _parent(client, experiment, agreement)
    fill_params(client, parent, task.flat())
    fill_tags(client, parent, _parent_tags(task, agreement))
    nested = _nested(client, experiment, parent.info.run_id, agreement)
    for member in agreement.parties:
        if member.party_id in hellos:
            fill_tags(client, nested[member.party_id], _hello_tags(hellos[member.party_id]))
    wake(client, (parent, *nested.values()))
    ids = {party: run.info.run_id for party, run in nested.items()}
    return Runs(experiment, parent.info.run_id, ids)


def experiment_of(client: MlflowClient, name: str) -> str:
    """The id of the experiment of that name: found, brought back, or created."""
    found: Experiment | None = client.get_experiment_by_name(name)
    if found is None:
        return _create_experiment(client, name)
    if found.lifecycle_stage != "active":
        client.restore_experiment(found.experiment_id)  # recurring training goes on
    if KIND not in found.tags:
        client.set_experiment_tag(found.experiment_id, KIND, TRAINING)
    return str(found.experiment_id)


def _create_experiment(client: MlflowClient, name: str) -> str:
    try:
        place = _artifacts_of(client.tracking_uri)
        return str(client.create_experiment(name, place, {KIND: TRAINING}))
    except MlflowException as refused:
        if refused.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        faster = client.get_experiment_by_name(name)
        if faster is None:
            raise
        return str(faster.experiment_id)


def _artifacts_of(uri: str) -> str | None:
    """Beside a database in a file, wherever the command is typed; else where the server says."""
    if not uri.startswith(SQLITE):
        return None
    return str(Path(uri.removeprefix(SQLITE)).resolve().parent / "mlruns")


def _parent(client: MlflowClient, experiment: str, agreement: Agreement) -> Run:
    wanted = f"tags.`{RUN}` = '{agreement.run}' and tags.`{ROLE}` = '{FEDERATION}'"
    found = client.search_runs([experiment], wanted, order_by=["attributes.start_time ASC"])
    if found:
        return found[0]
    tags = {RUN: agreement.run, ROLE: FEDERATION}
    return client.create_run(experiment, tags=tags, run_name=agreement.run)


def _nested(
    client: MlflowClient, experiment: str, parent: str, agreement: Agreement
) -> dict[str, Run]:
    found = client.search_runs([experiment], f"tags.`{PARENT}` = '{parent}'")
    known = {run.data.tags.get(PARTY): run for run in found}
    return {
        member.party_id: known.get(member.party_id)
        or _create_nested(client, experiment, parent, agreement.run, member)
        for member in agreement.parties
    }


def _create_nested(
    client: MlflowClient, experiment: str, parent: str, run: str, member: Member
) -> Run:
    tags = {PARENT: parent, RUN: run, ROLE: member.role, PARTY: member.party_id}
    return client.create_run(experiment, tags=tags, run_name=f"{run} · {member.label}")


def fill_params(client: MlflowClient, run: Run, fields: Mapping[str, Any]) -> None:
    """Parameters can be written only once, so only those that are missing are."""
    params = [
        Param(name, _text(value)) for name, value in fields.items() if name not in run.data.params
    ]
    for start in range(0, len(params), PARAMS_LIMIT):
        client.log_batch(run.info.run_id, params=params[start : start + PARAMS_LIMIT])


def fill_tags(client: MlflowClient, run: Run, tags: Mapping[str, str]) -> None:
    """Write the tags that `run` does not have or has with other values."""
    changed = [
        RunTag(name, value) for name, value in tags.items() if run.data.tags.get(name) != value
    ]
    if changed:
        client.log_batch(run.info.run_id, tags=changed)


def _parent_tags(task: TaskFile, agreement: Agreement) -> dict[str, str]:
    return {
        "fedcore.strategy": task.federation.strategy,
        BATCH_NORM: task.federation.batch_norm,
        "fedcore.task_hash": agreement.task_hash,
        "fedcore.code_version": agreement.code_version,
        "fedcore.parties": _text(" ".join(member.label for member in agreement.parties)),
        "mlflow.source.name": "fedcore",
    }


def _hello_tags(hello: Hello) -> dict[str, str]:
    return {
        "fedcore.contract_hash": hello.contract_hash,
        "fedcore.code_version": hello.code_version,
        "fedcore.patients": str(hello.patients),
        "fedcore.images": str(hello.images),
        "fedcore.quarantined": str(sum(hello.quarantine.values())),
    }


def wake(client: MlflowClient, runs: Iterable[Run]) -> None:
    """A training that failed and goes on is running again; a finished one stays finished."""
    for run in runs:
        if run.info.status in ("FAILED", "KILLED"):
            client.update_run(run.info.run_id, status="RUNNING")
            if REASON in run.data.tags:
                client.delete_tag(run.info.run_id, REASON)


def _text(value: object) -> str:
    """A value as MLflow stores it, within its limits."""
    return "none" if value is None else str(value)[:VALUE_LIMIT]
