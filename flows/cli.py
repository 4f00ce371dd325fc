"""`fedcore`: everything that a person types. Each command is a few lines; its room does the work.

Heavy libraries are imported by the commands that need them, so that help comes at once. Every
refusal is one sentence on standard error and the error's own exit code, never a traceback.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from typer.core import TyperGroup

import fedcore
from fedcore.errors import FedcoreError, InputError
from flows import cli_data, cli_ledger, demo, doctor, federated_train
from flows.cli_screen import Screen

STOPPED = 130
Command = TypeVar("Command", bound=Callable[..., None])


class Sentences(TyperGroup):
    """A group of commands whose errors end as one sentence and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was typed."""
        try:
            return super().invoke(ctx)
        except FedcoreError as error:
            raise _ended(str(error), error.exit_code) from None
        except KeyboardInterrupt:
            raise _ended("stopped", STOPPED) from None
        except OSError as error:
            if error.errno == errno.EPIPE:  # whoever read our output has seen enough
                raise
            where = f"{error.filename}: " if error.filename else ""
            raise _ended(f"{where}{error.strerror or error}", InputError.exit_code) from None


def _ended(sentence: str, code: int) -> typer.Exit:
    typer.echo(sentence, err=True)
    return typer.Exit(code)


def _with_examples(command: Command) -> Command:
    r"""Put click's mark for lines that stay as they are where a docstring says `\b`."""
    command.__doc__ = (command.__doc__ or "").replace(r"\b", "\b")
    return command


def _group(help_text: str, cls: type[TyperGroup] = TyperGroup) -> typer.Typer:
    return typer.Typer(
        cls=cls,
        help=help_text,
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )


app = _group(
    "Train one medical-imaging model in many hospitals while no image leaves any of them.\n\n"
    "Example, the whole of it on this machine with made-up radiographs:\n\n"
    "\b\n    fedcore demo",
    Sentences,
)
data_app = _group(
    "Look at a data folder before any training.\n\n\b\n    fedcore data check ./images"
)
ledger_app = _group("Read and verify what was written down.\n\n\b\n    fedcore ledger verify")
app.add_typer(data_app, name="data")
app.add_typer(ledger_app, name="ledger")

ConfigOption = Annotated[Path | None, typer.Option("--config", help="the task file")]
OutputOption = Annotated[Path, typer.Option("--output", help="the training's output folder")]
RunArgument = Annotated[
    str | None, typer.Argument(help="a run's name; not needed where there is one", metavar="[RUN]")
]


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


@app.command("demo")
@_with_examples
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
@_with_examples
def doctor_command(
    party_config: Annotated[
        Path | None,
        typer.Option("--party-config", "--party_config", help="try the exchange it names"),
    ] = None,
    config: ConfigOption = None,
    output: OutputOption = Path("model_weights"),
) -> None:
    r"""What is installed, reachable and missing; each line is ok or says what to do.

    \b
    Examples:
        fedcore doctor
        fedcore doctor --party-config party_config.json --config federated_task.yaml

    Ends with 0 if all is well, else with 1. The exchange is tried with a small object under
    doctor/, which stays there.
    """
    questions = doctor.Questions(party_config, config, output, os.environ)
    raise typer.Exit(doctor.run(questions, Screen()))


@data_app.command("check")
@_with_examples
def data_check(
    folder: Annotated[Path, typer.Argument(help="a party's data folder", metavar="DIR")],
    config: ConfigOption = None,
    state: Annotated[
        Path | None, typer.Option("--state", help="keep what was read, so the next look is quick")
    ] = None,
) -> None:
    r"""What would be used, what is quarantined and why, and whether the data contract holds.

    \b
    Examples:
        fedcore data check ./local_data
        fedcore data check ./local_data --config federated_task.yaml --state ./checked

    Ends with 0 if the contract holds, else with 2. File names stay on this screen.
    """
    raise typer.Exit(cli_data.check(folder, config, state, Screen()))


@ledger_app.command("verify")
@_with_examples
def ledger_verify(run: RunArgument = None, output: OutputOption = Path("model_weights")) -> None:
    r"""Check every ledger of a run on this machine, entry by entry.

    \b
    Examples:
        fedcore ledger verify
        fedcore ledger verify chest-xray-1a2b3c4d --output ./model_weights

    Ends with 0 if nothing was changed, dropped, swapped or cut off, else with 1.
    """
    raise typer.Exit(cli_ledger.verify_all(cli_ledger.find_run(output, run), Screen()))


@ledger_app.command("show")
@_with_examples
def ledger_show(run: RunArgument = None, output: OutputOption = Path("model_weights")) -> None:
    r"""Print the ledgers of a run on this machine, verified, one line an entry.

    \b
    Examples:
        fedcore ledger show
        fedcore ledger show chest-xray-1a2b3c4d --output ./model_weights
    """
    raise typer.Exit(cli_ledger.show_all(cli_ledger.find_run(output, run), Screen()))


if __name__ == "__main__":
    app()
