"""The last lines on the terminal: what was learned, where it lies, how to look at it."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from fedcore.errors import amount
from fedcore.metrics import Scores, pool_any, read_scores
from fedcore.rounds.messages import End
from flows.launch import Plan
from flows.terminal import Terminal


def farewell(terminal: Terminal, plan: Plan) -> None:
    """Print what the events of the run have told; nothing for a run that told no end."""
    told = terminal.told.get("end")
    if told is None:
        return
    end = End.model_validate(told["end"])
    lines = [
        "",
        _learned(end, _unit(plan)),
        *_lies(plan),
        *_tracking(terminal),
        *_prefect(terminal),
    ]
    for text in lines:
        terminal.say(text)


def _unit(plan: Plan) -> str:
    """What the parties here learn from, one of it."""
    return "row" if any(seat.task.data.table for seat in plan.parties) else "image"


def _learned(end: End, unit: str) -> str:
    pooled = pool_any(read_scores(one) for one in end.scores["best"].values() if one)
    rounds = f"{end.rounds} rounds ({end.reason}), best after round {end.best_round}"
    if pooled is None:
        return f"Trained {rounds}; test scores withheld: too few patients at every party"
    if not isinstance(pooled, Scores):
        return (
            f"Trained {rounds}: concordance index {pooled.concordance:.3f} "
            f"on {pooled.events} events of {pooled.patients} held-out patients"
        )
    return (
        f"Trained {rounds}: AUROC {pooled.auroc:.3f}, accuracy {pooled.accuracy:.1%} "
        f"on {amount(pooled.images, f'held-out {unit}')} of {amount(pooled.patients, 'patient')}"
    )


def _lies(plan: Plan) -> list[str]:
    output = next((seat.output for seat in plan.parties if seat.output), None)
    if output is None:
        return []
    folder = Path(output)
    return [
        f"  model      {short(folder / 'best.safetensors')} (and final.safetensors)",
        f"  report     {short(folder / 'report.html')}",
        f"  metrics    {short(folder / 'metrics.csv')} (and metrics.parquet)",
    ]


def _tracking(terminal: Terminal) -> list[str]:
    told = terminal.told.get("registered")
    if told is None:
        return []
    ui = looking_at_mlflow(told["uri"])
    return [f"  registered {told['model']} in MLflow", f"  MLflow UI  {ui}"]


def _prefect(terminal: Terminal) -> list[str]:
    told = terminal.told.get("prefect", {})
    return [f"  Prefect UI {looking_at_prefect(str(told.get('url', '')), told.get('home'))}"]


def looking_at_mlflow(uri: str) -> str:
    """The address of MLflow's pages, or the command that shows a database."""
    if uri.startswith("http"):
        return uri
    return f"{program('mlflow')} ui --backend-store-uri {shlex.quote(uri)}"


def looking_at_prefect(url: str, home: str | None) -> str:
    """The address of Prefect's pages, or the command that shows a temporary server's `home`."""
    if home:
        return f"PREFECT_HOME={short(Path(home))} {program('prefect')} server start"
    return url.removesuffix("/api")


def program(name: str) -> str:
    """How to type a program: beside this Python if it lies there, else by its plain name."""
    beside = Path(sys.executable).parent / name
    return short(beside) if beside.exists() else name


def short(path: Path) -> str:
    """A path as one types it, relative to the current folder where that is shorter."""
    try:
        return shlex.quote(str(path.relative_to(Path.cwd())))
    except ValueError:
        return shlex.quote(str(path))
