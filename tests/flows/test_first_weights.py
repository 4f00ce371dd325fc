"""What a training starts from, as typed: a file and public images, MLflow, the exchange."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from command_story import Site, write_files
from rounds_story import hospitals, task_file, write_pictures

from fedcore.config.pretrain import PretrainSection
from fedcore.config.task import TaskFile
from fedcore.exchange import codec
from fedcore.exchange.folder import FolderStore
from fedcore.models.catalogue import build
from fedcore.models.state import to_params
from fedcore.params import digest
from fedcore.simulation import World, simulate

pytestmark = pytest.mark.servers
TASK = task_file(epochs=1)


@dataclass(frozen=True)
class Place:
    """Two hospitals, a folder of public images, and foreign weights."""

    folder: Path
    data: Mapping[str, Path]
    public: Path
    weights: Path
    prefect_api: str

    def site(self, name: str, task: TaskFile, pretrain: str | None = None) -> Site:
        """The command in a folder of its own, with the weights beside the task file."""
        folder = self.folder / name
        guest = {"role": "guest", "party_id": "1", **({"pretrain": pretrain} if pretrain else {})}
        party_file = {"local": guest, "remote": {"role": "host", "party_id": "2"}}
        arguments = write_files(folder, task, party_file)
        arguments += ["--data", str(self.data["1"].parent)]
        (folder / "start.safetensors").write_bytes(self.weights.read_bytes())
        mlflow = f"sqlite:///{self.folder / 'mlflow.db'}"
        return Site(
            folder,
            arguments,
            {"PREFECT_API_URL": self.prefect_api, "MLFLOW_TRACKING_URI": mlflow},
        )

    def simulated(self, task: TaskFile, weights: Path, public: Path | None = None):
        """The digests of the same training in one process."""
        place = self.folder / f"simulated-{weights.parent.name}-{public is None}"
        made = simulate(task, self.data, World(place), weights=weights, public=public)
        return digest(made.best), digest(made.final)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, prefect_api: str) -> Place:
    folder = tmp_path_factory.mktemp("weights")
    weights = folder / "start.safetensors"
    weights.write_bytes(codec.encode(to_params(build(TASK.model, 77))))
    public = write_pictures(folder / "public", patients=8, seed=5)
    return Place(folder, hospitals(folder / "data"), public, weights, prefect_api)


def starting(weights: str, **changes: object) -> TaskFile:
    model = TASK.model.model_copy(update={"weights": weights})
    return TASK.model_copy(update={"model": model, **changes})


@pytest.fixture(scope="module")
def registered(place: Place) -> Site:
    """A training from a file, with a stage on public images that the party file names."""
    task = starting("start.safetensors", pretrain=PretrainSection(epochs=1))
    site = place.site("file", task, pretrain="../public")
    assert site.run() == 0, site.printed
    assert site.bits() == place.simulated(task, place.weights, place.public)
    return site


def test_a_file_and_then_public_images_are_what_the_first_round_starts_from(registered, place):
    plain = place.simulated(starting("start.safetensors"), place.weights)
    assert registered.bits() != plain
    ledger = next(registered.output.glob(".fedcore/runs/*/ledger/party-1.jsonl"))
    kinds = [json.loads(line)["kind"] for line in ledger.read_text().splitlines()]
    assert kinds.count("pretrained") == 1


@pytest.mark.long
def test_a_model_that_an_earlier_training_registered_is_what_the_next_one_starts_from(
    registered, place
):
    task = starting("models:/chest@challenger")
    site = place.site("registered", task)
    assert site.run() == 0, site.printed
    assert site.bits() == place.simulated(task, registered.output / "best.safetensors")


@pytest.mark.long
def test_an_object_of_the_exchange_is_what_the_first_round_starts_from(place):
    task = starting("exchange:coordinator/start.safetensors")
    site = place.site("exchange", task)
    store = FolderStore(site.output / ".fedcore" / "exchange")
    store.prepare()
    store.put_once("coordinator/start.safetensors", place.weights.read_bytes())
    assert site.run() == 0, site.printed
    assert site.bits() == place.simulated(starting("start.safetensors"), place.weights)
