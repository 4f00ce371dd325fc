"""What the hub offers in Prefect: `deployments/prefect.yaml`, made from its parties, and the pools.

The file is for `prefect --no-prompt deploy --prefect-file HOME/deployments/prefect.yaml --all`.
Flows are named by module, so that the command works from any folder; the workers know their flows
by name alone and take nothing else of a deployment. One training at a time is the pools' limit:
that of a deployment is a lease, and a flow run whose lease cannot be renewed is ended.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from fedcore.audit.durable import replace_with
from flows.hub.pools import COORDINATOR_POOL, party_pool

WEEKLY = "0 3 * * 0"
# The deployments that people set parameters and schedules of, by Prefect's names.
CHOOSABLE = {"federated-training/train": "train", "retraining/weekly": "weekly"}
PREFECT = "3.8.8"  # what the file was tried with
HEAD = """\
# Made by fedcore from the hub's parties; it is written anew when one is invited or revoked, with
# the parameters and schedules that Prefect has by then. To register all of it:
#     prefect --no-prompt deploy --prefect-file {path} --all
# or one new hospital alone:
#     prefect --no-prompt deploy --prefect-file {path} --name HOSPITAL
"""


Chosen = Mapping[str, Mapping[str, Any]]


def content(
    parties: Sequence[str], directory: str = ".", chosen: Chosen = MappingProxyType({})
) -> dict[str, Any]:
    """The file's content for parties of these ids; runs begin in `directory`.

    `chosen` holds, by deployment, the `parameters` and `schedules` that people have set.
    """
    step = {"prefect.deployments.steps.set_working_directory": {"directory": directory}}
    return {
        "name": "fedcore",
        "prefect-version": PREFECT,
        "build": None,
        "push": None,
        "pull": [step],
        "deployments": [
            *({**one, **chosen.get(one["name"], {})} for one in (_training(), _retraining())),
            *map(_session, sorted(parties)),
        ],
    }


def text(
    parties: Sequence[str],
    path: str,
    directory: str = ".",
    chosen: Chosen = MappingProxyType({}),
) -> str:
    """The whole file as it is to lie at `path`."""
    body = yaml.safe_dump(content(parties, directory, chosen), sort_keys=False, width=95)
    return HEAD.format(path=path) + body


def write(home: Path, parties: Sequence[str], chosen: Chosen | None = None) -> Path:
    """Write the file of the hub in `home`; where it is.

    What people have set stays: as `chosen` says, or else as the file has it that stands there.
    """
    path = home / "deployments" / "prefect.yaml"
    known = _chosen_in(path) if chosen is None else chosen
    replace_with(path, [text(parties, str(path), str(home), known).encode()])
    return path


def _chosen_in(path: Path) -> Chosen:
    if not path.exists():
        return {}
    held = yaml.safe_load(path.read_text("utf-8"))["deployments"]
    return {
        one["name"]: {name: one[name] for name in ("parameters", "schedules") if name in one}
        for one in held
        if one["name"] in CHOOSABLE.values()
    }


def _training() -> dict[str, Any]:
    return _deployment(
        "train",
        "flows.deployed_training.federated_training",
        "Train one model in all hospitals that joined. task_file: a file on the coordinator's "
        "machine, or its content; run: a name for a training of its own; parties: some of them.",
        COORDINATOR_POOL,
        ["fedcore"],
    )


def _retraining() -> dict[str, Any]:
    weekly = {"cron": WEEKLY, "timezone": "UTC", "slug": "weekly", "active": False}
    return {
        **_deployment(
            "weekly",
            "flows.retraining.retraining",
            "Train anew every Sunday night. The schedule is made paused: set the parameter "
            "task_file, then switch it on.",
            COORDINATOR_POOL,
            ["fedcore", "recurring"],
        ),
        "schedules": [weekly],
    }


def _session(party_id: str) -> dict[str, Any]:
    return _deployment(
        party_id,
        "flows.deployed_session.party_session",
        f"Hospital {party_id}: answer the invitations of one training until it ends. Started "
        "by the training, run by the hospital's own worker, which takes the run's name alone.",
        party_pool(party_id),
        ["fedcore", f"party:{party_id}"],
    )


def _deployment(
    name: str, entrypoint: str, description: str, pool: str, tags: list[str]
) -> dict[str, Any]:
    return {
        "name": name,
        "entrypoint": entrypoint,
        "description": description,
        "tags": tags,
        "parameters": {},
        "work_pool": {"name": pool},
    }
