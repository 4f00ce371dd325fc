"""From what was typed after `fedcore compare` to a comparison: task file, arms, parties, seeds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fedcore.comparison.plan import Comparison, arms_of
from fedcore.comparison.table import AVERAGE, TOGETHER
from fedcore.config.base import validate
from fedcore.config.overriding import assignment, overridden
from fedcore.config.party import require_plain_id
from fedcore.config.reading import parse_yaml, read_text
from fedcore.config.task import TaskFile
from fedcore.errors import DataError, InputError, TaskFileError, amount, problem
from fedcore.rounds.identity import run_id
from flows import launch
from flows.weights import IN_EXCHANGE, resolve

MODALITY, PRETRAIN = "--modality", "--pretrain"
NO_STAGE = "leave it out: the task file has no pretrain section"
MOST_SEED = 2**31 - 1


@dataclass(frozen=True)
class Wish:
    """What the command line asks for; `strategies` None: the task file's own.

    `modalities` are words such as `9999=ct`; `public` is the guest's folder of public images.
    """

    task: Path
    data: Path
    output: Path
    strategies: str | None = None
    seeds: int = 1
    settings: tuple[str, ...] = ()
    baselines: bool = True
    run: str | None = None
    public: Path | None = None
    modalities: tuple[str, ...] = ()


def plan(wish: Wish, environ: Mapping[str, str]) -> Comparison:
    """The comparison that the wish describes; raises `InputError` where it cannot be."""
    content = parse_yaml(read_text(wish.task, "task file", TaskFileError), wish.task, TaskFileError)
    validate(TaskFile, content, wish.task, TaskFileError)
    for text in wish.settings:
        content = overridden(content, *assignment(text, "--set"))
    where = f"{wish.task} with {' '.join(wish.settings)}" if wish.settings else wish.task
    task = validate(TaskFile, content, where, TaskFileError)
    parties = parties_of(wish.data)
    arms = arms_of(content, wish.strategies or task.federation.strategy)
    if task.seed + wish.seeds - 1 > MOST_SEED:
        remedy = f"fewer: the task file's seed is {task.seed}, the largest one {MOST_SEED}"
        raise InputError(problem("command line", "--seeds", wish.seeds, remedy))
    if (task.model.weights or "").startswith(IN_EXCHANGE):
        remedy = "a comparison has no exchange to find it in: name a file, or models:/..."
        raise InputError(problem(where, "model.weights", task.model.weights, remedy))
    modalities = modalities_of(task, parties, wish.modalities)
    _require_public(task, wish.public)
    uri = environ.get("MLFLOW_TRACKING_URI")
    weights = resolve(task, wish.task, uri, wish.output / launch.STATE / "weights")
    return Comparison(
        run=run_id(task, parties, wish.run or _name(run_id(task, parties))),
        task=task,
        arms=arms,
        seeds=tuple(range(task.seed, task.seed + wish.seeds)),
        baselines=wish.baselines,
        parties={party: str(folder.resolve()) for party, folder in sorted(parties.items())},
        guest=min(parties),
        weights=str(weights.resolve()) if weights else None,
        tracking_uri=uri,
        public=str(wish.public.resolve()) if wish.public else None,
        modalities=modalities,
    )


def parties_of(data: Path) -> dict[str, Path]:
    """Party id -> data folder: the sub-folders of `data` by their names, hidden ones left out."""
    if not data.is_dir():
        raise DataError(f"{data}: there is no such folder: name one with the parties' data")
    places = [one for one in sorted(data.iterdir()) if one.is_dir() and one.name[0] != "."]
    if len(places) < 2:
        raise DataError(
            f"{data}: it has {amount(len(places), 'sub-folder')}: a comparison needs one for each "
            "of two parties or more, named by party id"
        )
    for folder in places:
        _require_fit(folder.name, folder)
    return {folder.name: folder for folder in places}


def modalities_of(task: TaskFile, parties: Iterable[str], words: Sequence[str]) -> dict[str, str]:
    """Party id -> modality from `PARTY=MODALITY`; raises `InputError` unless each has one it needs.

    A task file without `model.modalities` wants none.
    """
    known, wanted = sorted(parties), sorted(task.model.modalities or {})
    given: dict[str, str] = {}
    for word in words:
        party, _, modality = word.partition("=")
        if party not in known or modality not in wanted or party in given:
            remedy = f"write PARTY=MODALITY once for each of {', '.join(known)}, with one of "
            remedy += f"{', '.join(wanted)}" if wanted else "model.modalities: it names none"
            raise InputError(problem("command line", MODALITY, word, remedy))
        given[party] = modality
    for party in known if wanted else ():
        if party not in given:
            raise InputError(
                f"command line: {MODALITY} is missing for party {party}: the task file names "
                f"modalities, so write {MODALITY} {party}=... with one of {', '.join(wanted)}"
            )
    return given


def _require_public(task: TaskFile, public: Path | None) -> None:
    """Raise `InputError` unless the folder of public images is there where it is asked for."""
    if task.pretrain is not None and public is None:
        raise InputError(
            f"command line: {PRETRAIN} is missing: the task file has a pretrain section, so name "
            "the folder of public images"
        )
    if public is not None and (task.pretrain is None or not public.is_dir()):
        remedy = "name a folder that exists" if task.pretrain else NO_STAGE
        raise InputError(problem("command line", PRETRAIN, public, remedy))


def _require_fit(party: str, folder: Path) -> None:
    try:
        require_plain_id(party)
    except ValueError as unfit:
        raise DataError(f"{folder}: its name is no party id: {unfit}") from None
    if party in (AVERAGE, TOGETHER):
        raise DataError(f"{folder}: {party} names a column of the table: give the party another id")


def _name(run: str) -> str:
    return f"compare-{run}"[:63]
