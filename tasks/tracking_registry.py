"""The model registry: the best model of a training goes in once, and its weights come out again.

A version is recognised by the tag of its training, so a repeated registration finds the first one.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import mlflow.artifacts
from mlflow import MlflowClient
from mlflow.entities import LoggedModel
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from fedcore.config.task import TaskFile
from fedcore.errors import ModelError, problem
from fedcore.rounds.messages import End
from tasks.tracking_client import DEFAULT_URI, connect, reaching
from tasks.tracking_notes import description, version_tags
from tasks.tracking_package import save_model
from tasks.tracking_runs import RUN

CHALLENGER, CHAMPION = "challenger", "champion"
ABSENT = frozenset({"RESOURCE_DOES_NOT_EXIST", "NOT_FOUND", "INVALID_PARAMETER_VALUE"})


@dataclass(frozen=True)
class Origin:
    """Where a model comes from: the training's id, and MLflow's ids of experiment and run."""

    training: str
    experiment: str
    run: str


def register(client: MlflowClient, task: TaskFile, origin: Origin, end: End, weights: Path) -> str:
    """Log and register the model of `weights`, or find it registered; answer `name/version`.

    The version becomes `challenger` unless a later one is; `champion` only where there is none.
    """
    version = _registered(client, task.name, origin)
    if version is None:
        logged = _logged_model(client, task, origin, end, weights)
        notes = description(task, origin.training, end, weights)
        tags = version_tags(task, origin.training, end)
        version = _new_version(client, task.name, origin, logged, tags, notes)
    _set_aliases(client, task.name, int(version.version))
    return f"{task.name}/{version.version}"


def fetch_weights(uri: str, tracking_uri: str | None, folder: Path) -> Path:
    """Bring the safetensors file inside a registered model to `folder`; its path there.

    `uri` is `models:/name@alias` or `models:/name/3`. Raises `ModelError` for a name, version or
    alias that does not exist and for a model without such a file, `TrackingAway` when MLflow is.
    """
    name, version, alias = _parse(uri)
    place = tracking_uri or DEFAULT_URI
    client = connect(place)
    with reaching(place):
        found = _find_version(client, uri, name, version, alias)
        stored = client.get_model_version_download_uri(name, found.version) + "/artifacts"
        listed = mlflow.artifacts.list_artifacts(stored, tracking_uri=place) or ()
        inner = [Path(one.path).name for one in listed if one.path.endswith(".safetensors")]
        if len(inner) != 1:
            remedy = "name a model that fedcore registered"
            raise ModelError(problem(uri, "number of safetensors files", len(inner), remedy))
        target = folder / f"{name}-{found.version}.safetensors"
        return _download(f"{stored}/{inner[0]}", place, target)


def champion(name: str, tracking_uri: str | None) -> str | None:
    """The champion of that name as `models:/NAME/VERSION`; `None` where there is none yet.

    Raises `TrackingAway` when MLflow is away.
    """
    place = tracking_uri or DEFAULT_URI
    client = connect(place)
    with reaching(place):
        try:
            found = client.get_model_version_by_alias(name, CHAMPION)
        except MlflowException as refused:
            if refused.error_code not in ABSENT:
                raise
            return None
    return f"models:/{name}/{found.version}"


def _registered(client: MlflowClient, name: str, origin: Origin) -> ModelVersion | None:
    versions = client.search_model_versions(f"name = '{name}'")
    ours = [one for one in versions if one.tags.get(RUN) == origin.training]
    return min(ours, key=lambda one: int(one.version), default=None)


def _logged_model(
    client: MlflowClient, task: TaskFile, origin: Origin, end: End, weights: Path
) -> LoggedModel:
    """The model as logged by this training: found, finished where a crash left it, or new."""
    found = client.search_logged_models(
        [origin.experiment], filter_string=f"tags.`{RUN}` = '{origin.training}'"
    )
    model = found[0] if found else _create_logged_model(client, task, origin, end)
    if model.status == "READY":
        return model
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "model"
        save_model(folder, task, end.classes, weights, Path(scratch))
        client.log_model_artifacts(model.model_id, str(folder))
    return client.finalize_logged_model(model.model_id, "READY")


def _create_logged_model(
    client: MlflowClient, task: TaskFile, origin: Origin, end: End
) -> LoggedModel:
    tags = {RUN: origin.training, "fedcore.model": end.best.sha256}
    params = {"network": task.model.name, "round": str(end.best_round)}
    return client.create_logged_model(
        origin.experiment,
        name=task.name,
        source_run_id=origin.run,
        tags=tags,
        params=params,
        model_type="classifier",
    )


def _new_version(
    client: MlflowClient,
    name: str,
    origin: Origin,
    model: LoggedModel,
    tags: dict[str, str],
    notes: str,
) -> ModelVersion:
    try:
        client.create_registered_model(name)
    except MlflowException as refused:
        if refused.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    return client.create_model_version(
        name,
        source=f"models:/{model.model_id}",
        run_id=origin.run,
        model_id=model.model_id,
        tags=tags,
        description=notes,
    )


def _set_aliases(client: MlflowClient, name: str, version: int) -> None:
    held = client.get_registered_model(name).aliases
    if int(held.get(CHALLENGER, 0)) < version:
        client.set_registered_model_alias(name, CHALLENGER, str(version))
    if CHAMPION not in held:
        client.set_registered_model_alias(name, CHAMPION, str(version))


def _parse(uri: str) -> tuple[str, str | None, str | None]:
    """Name, version and alias of a `models:/` address; one of the last two is None."""
    body = uri.removeprefix("models:/")
    name, at, alias = body.partition("@")
    stem, slash, version = body.rpartition("/")
    if body != uri and at and name and alias and not slash:
        return name, None, alias
    if body != uri and stem and version.isdigit():
        return stem, version, None
    raise ModelError(
        problem("model.weights", "the model", uri, "write models:/name@alias or models:/name/3")
    )


def _find_version(
    client: MlflowClient, uri: str, name: str, version: str | None, alias: str | None
) -> ModelVersion:
    try:
        if alias is not None:
            return client.get_model_version_by_alias(name, alias)
        return client.get_model_version(name, str(version))
    except MlflowException as refused:
        if refused.error_code not in ABSENT:
            raise
    remedy = "no such name, version or alias in the registry; choose one that its Models page shows"
    raise ModelError(problem("model.weights", "the model", uri, remedy))


def _download(source: str, place: str, target: Path) -> Path:
    """Bring a file here and give it its name only once it is whole."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".part-") as scratch:
        local = mlflow.artifacts.download_artifacts(
            artifact_uri=source, dst_path=scratch, tracking_uri=place
        )
        Path(local).replace(target)
    return target
