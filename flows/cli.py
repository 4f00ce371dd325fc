"""`fedcore`: everything that a person types. Each command is a few lines; its room does the work.

Heavy libraries are imported by the commands that need them, so that help comes at once. Every
refusal is one sentence on standard error and the error's own exit code, never a traceback.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

import fedcore
from flows import cli_data, compare, compare_plan, demo, doctor, federated_train
from flows.cli_form import Sentences, group, with_examples
from flows.cli_ledger_app import ledger_app
from flows.cli_party import party_app
from flows.cli_screen import Screen
from flows.hub import cli as hub_cli

app = group(
    "Train one medical-imaging model in many hospitals while no image leaves any of them.\n\n"
    "Example, the whole of it on this machine with made-up radiographs:\n\n"
    "\b\n    fedcore demo",
    Sentences,
)
data_app = group(
    "Look at a data folder before any training.\n\n\b\n    fedcore data check ./images"
)
app.add_typer(data_app, name="data")
app.add_typer(ledger_app, name="ledger")
app.add_typer(party_app, name="party")
hub_cli.register(app)

ConfigOption = Annotated[Path | None, typer.Option("--config", help="the task file")]
OutputOption = Annotated[Path, typer.Option("--output", help="the training's output folder")]


@app.callback(invoke_without_command=True)
def root(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", is_eager=True)
    ] = False,
) -> None:
    """Say the version, or leave the word to the command."""
    if version:
        Screen().say(f"fedcore {fedcore.__version__}")
        raise typer.Exit


app.command(
    "train",
    help="Train one model together with the other parties of the party file.\n\n"
    "\b\nExamples, all parties on this machine (a sub-folder of ./local_data for each), or one:\n"
    "    fedcore train --config federated_task.yaml --party_config party_config.json \\\n"
    "        --data ./local_data --output ./model_weights\n"
    "    fedcore train --config federated_task.yaml --party_config party_config.json \\\n"
    "        --data ./hospital-10000 --output ./model_weights --reconnect_interval 5\n\n"
    "The same as python flows/federated_train.py. Interrupted? Run the same command again: it "
    "goes on where it was.",
)(federated_train.command)


@app.command("compare")
@with_examples
def compare_command(  # noqa: PLR0913, PLR0917 (all but one have a default)
    task: Annotated[Path, typer.Argument(help="the task file", metavar="TASK")],
    data: Annotated[
        Path, typer.Option("--data", help="a folder with one sub-folder per party")
    ] = Path("local_data"),
    strategies: Annotated[
        str | None,
        typer.Option("--strategies", help="names with commas between; by default the task file's"),
    ] = None,
    seeds: Annotated[
        int, typer.Option("--seeds", min=1, max=1000, help="how many, from the task file's on")
    ] = 1,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="FIELD=VALUE", help="a field of the task file, for all"),
    ] = None,
    baselines: Annotated[
        bool,
        typer.Option("--baselines/--no-baselines", help="each party alone, and pooled data"),
    ] = True,
    output: Annotated[Path, typer.Option("--output", help="where the results go")] = Path(
        "comparison"
    ),
    run: Annotated[
        str | None, typer.Option("--run", help="a name for a comparison of its own")
    ] = None,
    modalities: Annotated[
        list[str] | None,
        typer.Option("--modality", metavar="PARTY=NAME", help="what a party's images are"),
    ] = None,
    pretrain: Annotated[
        Path | None,
        typer.Option("--pretrain", help="public images, for a task file with pretrain"),
    ] = None,
) -> None:
    r"""Strategies side by side on this machine, with spread over seeds and two baselines.

    \b
    Examples (./local_data has a sub-folder for each party):
        fedcore compare federated_task.yaml --data ./local_data \
            --strategies fedavg,fedprox --seeds 5
        fedcore compare federated_task.yaml --data ./local_data \
            --strategies fedavg,fedprox:mu=0.1,fedprox:mu=1 --set federation.epochs=10

    Interrupted? Run the same command again: finished trainings are not run again.
    """
    wish = compare_plan.Wish(
        task=task,
        data=data,
        output=output,
        strategies=strategies,
        seeds=seeds,
        settings=tuple(settings or ()),
        baselines=baselines,
        run=run,
        modalities=tuple(modalities or ()),
        public=pretrain,
    )
    compare.run(wish, Screen(), os.environ)


@app.command("demo")
@with_examples
def demo_command(
    folder: Annotated[Path, typer.Option("--folder", help="where all of it goes")] = Path("demo"),
    rounds: Annotated[
        int | None, typer.Option("--rounds", min=1, max=1000, help="rounds in place of the file's")
    ] = None,
    seed: Annotated[
        int, typer.Option("--seed", min=0, max=2**31 - 1, help="of radiographs and training")
    ] = 0,
) -> None:
    r"""Three made-up hospitals on this machine, trained together for real.

    \b
    Examples:
        fedcore demo
        fedcore demo --folder /tmp/demo --rounds 10 --seed 7

    Interrupted? The same command goes on where it was. Finished? It starts afresh.
    """
    demo.run(demo.Wish(folder, rounds, seed), Screen().say, os.environ)


@app.command("doctor")
@with_examples
def doctor_command(
    party_config: Annotated[
        Path | None,
        typer.Option("--party-config", "--party_config", help="try the exchange it names"),
    ] = None,
    config: ConfigOption = None,
    output: OutputOption = Path("model_weights"),
    home: Annotated[
        Path | None, typer.Option("--home", help="a party's home: try each way out of the hospital")
    ] = None,
) -> None:
    r"""What is installed, reachable and missing; each line is ok or says what to do.

    \b
    Examples:
        fedcore doctor
        fedcore doctor --party-config party_config.json --config federated_task.yaml
        fedcore doctor --home ./hospital

    Ends with 0 if all is well, else with 1. The exchange is tried with a small object under
    doctor/, which stays there.
    """
    questions = doctor.Questions(party_config, config, output, os.environ, home)
    raise typer.Exit(doctor.run(questions, Screen()))


@data_app.command("check")
@with_examples
def data_check(
    folder: Annotated[Path, typer.Argument(help="a party's data folder", metavar="DIR")],
    config: ConfigOption = None,
    state: Annotated[
        Path | None, typer.Option("--state", help="keep what was read, so the next look is quick")
    ] = None,
    modality: Annotated[
        str | None,
        typer.Option("--modality", help="what the images are, where it matters"),
    ] = None,
) -> None:
    r"""What would be used, what is quarantined and why, and whether the data contract holds.

    \b
    Examples:
        fedcore data check ./local_data
        fedcore data check ./local_data --config federated_task.yaml --state ./checked

    Ends with 0 if the contract holds, else with 2. File names stay on this screen.
    """
    raise typer.Exit(cli_data.check(folder, config, state, Screen(), modality))


if __name__ == "__main__":
    app()
