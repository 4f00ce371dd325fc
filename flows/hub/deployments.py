"""What the hub offers in Prefect: `deployments/prefect.yaml`, made from its parties, and the pools.

The file is for `prefect --no-prompt deploy --prefect-file HOME/deployments/prefect.yaml --all`.
Flows are named by module, so that the command works from any folder; the workers know their flows
by name alone and take nothing else of a deployment. One training at a time is the pools' limit:
that of a deployment is a lease, and a flow run whose lease cannot be renewed is ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from fedcore.audit.durable import replace_with
from flows.hub.pools import COORDINATOR_POOL, party_pool

WEEKLY = "0 3 * * 0"
PREFECT = "3.8.8"  # what the file was tried with
HEAD = """\
# Made by fedcore from the hub's parties; it is written anew when one is invited or revoked.
# To register all of it:
#     prefect --no-prompt deploy --prefect-file {path} --all
"""


def content(parties: Sequence[str], directory: str = ".") -> dict[str, Any]:
    """The file's content for parties of these ids; runs begin in `directory`."""
    step = {"prefect.deployments.steps.set_working_directory": {"directory": directory}}
    return {
        "name": "fedcore",
        "prefect-version": PREFECT,
        "build": None,
        "push": None,
        "pull": [step],
        "deployments": [_training(), _retraining(), *map(_session, sorted(parties))],
    }


def text(parties: Sequence[str], path: str, directory: str = ".") -> str:
    """The whole file as it is to lie at `path`."""
    body = yaml.safe_dump(content(parties, directory), sort_keys=False, width=95)
    return HEAD.format(path=path) + body


def write(home: Path, parties: Sequence[str]) -> Path:
    """Write the file of the hub in `home`; where it is."""
    path = home / "deployments" / "prefect.yaml"
    replace_with(path, [text(parties, str(path), str(home)).encode()])
    return path


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
