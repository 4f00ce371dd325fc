"""What is compared: the arms, the seeds, the parties, and the cells that follow from them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from fedcore.audit.durable import replace_with
from fedcore.config.base import Section, validate
from fedcore.config.overriding import assignment, overridden, without
from fedcore.config.strategy_fields import left_aside
from fedcore.config.task import TaskFile
from fedcore.errors import InputError, TaskFileError, problem

LOCAL_ONLY, POOLED = "local-only", "pooled"
OPTION = "--strategies"
FILE = "comparison.json"
Kind = Literal["federated", "local-only", "pooled"]


class Arm(Section):
    """A strategy with its settings: `name` as a person typed it, such as `fedprox:mu=0.1`.

    Its task file is that of the comparison but for these settings.
    """

    name: str
    task: TaskFile

    @property
    def rows(self) -> tuple[str, ...]:
        """The arm's lines in every table: the global model's, and that of personal models."""
        personal = (personal_row(self.name),) if self.task.federation.personal else ()
        return (self.name, *personal)


class Cell(Section):
    """One training. `arm` is a strategy's name or a baseline's, `party` who trains alone."""

    arm: str
    kind: Kind
    seed: int
    party: str | None = None

    @property
    def name(self) -> str:
        """The cell's name in files and in Prefect: `fedavg-0`, `local-only@9999-0`."""
        alone = f"@{self.party}" if self.party else ""
        return f"{re.sub(r'[^A-Za-z0-9_.=-]', '-', self.arm)}{alone}-{self.seed}"

    @property
    def label(self) -> str:
        """The cell for a person: `local-only at 9999, seed 0`."""
        where = f" at {self.party}" if self.party else ""
        return f"{self.arm}{where}, seed {self.seed}"


class Comparison(Section):
    """The whole of it. `parties` maps party ids to data folders, `guest` is one of them.

    `task` is the task file with the settings that hold for every arm; the baselines train by it.
    All cells start from the file `weights` if it is given, else from their seed's own weights.
    `public` is the guest's folder of public images, for a task with `pretrain`; `modalities` says
    of each party what its images are, for a task that names modalities.
    """

    run: str
    task: TaskFile
    arms: tuple[Arm, ...]
    seeds: tuple[int, ...]
    baselines: bool
    parties: dict[str, str]
    guest: str
    weights: str | None = None
    tracking_uri: str | None = None
    public: str | None = None
    modalities: dict[str, str] = Field(default_factory=dict)

    def cells(self) -> list[Cell]:
        """Every training, seed by seed, so that what is finished early can be compared."""
        return [cell for seed in self.seeds for cell in self._cells(seed)]

    def cell(self, name: str) -> Cell:
        """The cell of that name."""
        return next(cell for cell in self.cells() if cell.name == name)

    def task_of(self, cell: Cell) -> TaskFile:
        """The task file that the cell trains by: its arm's, at its seed."""
        tasks = {arm.name: arm.task for arm in self.arms}
        return tasks.get(cell.arm, self.task).model_copy(update={"seed": cell.seed})

    @property
    def rows(self) -> tuple[str, ...]:
        """The lines in the order of every table: arms as they were typed, then the baselines."""
        return (*(row for arm in self.arms for row in arm.rows), *self._baselines)

    @property
    def trained(self) -> tuple[str, ...]:
        """What is trained: the arms as they were typed, then the baselines."""
        return (*(arm.name for arm in self.arms), *self._baselines)

    @property
    def unit(self) -> Literal["image", "row"]:
        """What the task's data is counted in."""
        return "image" if self.task.data.table is None else "row"

    def seen_task(self, party: str) -> TaskFile:
        """The task file as a party of its modality reads its data by it."""
        return self.task.seen_by(self.modalities.get(party))

    @property
    def _baselines(self) -> tuple[str, ...]:
        """Images of several modalities differ in size, so nobody can pool them."""
        if not self.baselines:
            return ()
        return (LOCAL_ONLY,) if self.task.model.modalities else (LOCAL_ONLY, POOLED)

    def save(self, folder: Path) -> Path:
        """Write it into `folder`, without defaults, so that it reads as it was written."""
        path = folder / FILE
        replace_with(path, [self.model_dump_json(indent=1, exclude_unset=True).encode()])
        return path

    @classmethod
    def load(cls, folder: Path) -> Comparison:
        """Read what `save` wrote."""
        return cls.model_validate_json((folder / FILE).read_bytes())

    def _cells(self, seed: int) -> list[Cell]:
        cells = [Cell(arm=arm.name, kind="federated", seed=seed) for arm in self.arms]
        if self.baselines:
            cells += [
                Cell(arm=LOCAL_ONLY, kind="local-only", seed=seed, party=party)
                for party in sorted(self.parties)
            ]
        if POOLED in self._baselines:
            cells.append(Cell(arm=POOLED, kind="pooled", seed=seed))
        return cells


def personal_row(arm: str) -> str:
    """How the line of an arm's personal models is called."""
    return f"{arm} (personal)"


def arms_of(content: Mapping[str, Any], strategies: str) -> tuple[Arm, ...]:
    """`fedavg,fedprox:mu=0.1` as arms over the task file's plain `content`.

    A name may be followed by `:FIELD=VALUE`, fields of `federation`, as often as needed. What the
    task file says for another strategy alone is left out of an arm. Raises `InputError` for names
    that stand twice, `TaskFileError` where the schema refuses an arm.
    """
    names = [name.strip() for name in strategies.split(",") if name.strip()]
    if not names or len(set(names)) < len(names):
        remedy = "name one strategy or more, each once, with commas between them"
        raise InputError(problem("command line", OPTION, strategies, remedy))
    return tuple(_arm(content, name) for name in names)


def _arm(content: Mapping[str, Any], name: str) -> Arm:
    strategy, *settings = name.split(":")
    changed = overridden(content, "federation.strategy", strategy)
    section = changed.get("federation")
    unused = [field for field, _ in left_aside(section)] if isinstance(section, dict) else []
    changed = without(changed, "federation", unused)
    for text in settings:
        field, value = assignment(text, f"{OPTION} {name}")
        changed = overridden(changed, f"federation.{field}", value)
    return Arm(name=name, task=validate(TaskFile, changed, f"{OPTION} {name}", TaskFileError))
