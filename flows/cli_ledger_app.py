"""`fedcore ledger verify`, `show` and `export`: the commands over what was written down."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows import cli_ledger, ledger_export
from flows.cli_form import group, with_examples
from flows.cli_screen import Screen
from flows.ledger_place import RunFolder, place_at

ledger_app = group("Read and verify what was written down.\n\n\b\n    fedcore ledger verify")

OutputOption = Annotated[Path, typer.Option("--output", help="the training's output folder")]
HomeOption = Annotated[
    Path | None, typer.Option("--home", help="a party's or the coordinator's home, in its place")
]
RunArgument = Annotated[
    str | None, typer.Argument(help="a run's name; not needed where there is one", metavar="[RUN]")
]
RESULTS = Path("model_weights")


@ledger_app.command("verify")
@with_examples
def ledger_verify(
    run: RunArgument = None, output: OutputOption = RESULTS, home: HomeOption = None
) -> None:
    r"""Check every ledger of a run on this machine, entry by entry.

    \b
    Examples:
        fedcore ledger verify
        fedcore ledger verify chest-xray-1a2b3c4d --output ./model_weights
        fedcore ledger verify chest-xray-1a2b3c4d --home ./hospital

    Where the exchange can be reached, it is also compared with what others hold: the heads in the
    coordinator's signed records, and the objects that have left. Ends with 0 if nothing was
    changed, dropped, swapped or cut off, else with 1.
    """
    raise typer.Exit(cli_ledger.verify_all(_run(run, output, home), Screen()))


@ledger_app.command("show")
@with_examples
def ledger_show(
    run: RunArgument = None, output: OutputOption = RESULTS, home: HomeOption = None
) -> None:
    r"""Print the ledgers of a run on this machine, verified, one line an entry.

    \b
    Examples:
        fedcore ledger show
        fedcore ledger show chest-xray-1a2b3c4d --output ./model_weights
        fedcore ledger show chest-xray-1a2b3c4d --home ./hospital
    """
    raise typer.Exit(cli_ledger.show_all(_run(run, output, home), Screen()))


@ledger_app.command("export")
@with_examples
def ledger_export_command(
    run: RunArgument = None,
    party: Annotated[
        str | None, typer.Option("--party", help="whose; not needed where there is one")
    ] = None,
    output: OutputOption = RESULTS,
    home: HomeOption = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="the file to write, .html or .csv")
    ] = None,
) -> None:
    r"""One page for the data-protection officer: all that left a party in a training.

    \b
    Examples:
        fedcore ledger export chest-xray-1a2b3c4d --party 10000
        fedcore ledger export chest-xray-1a2b3c4d --home ./hospital --out left.html
        fedcore ledger export chest-xray-1a2b3c4d --home ./hospital --out left.csv

    Verified first; of a broken ledger nothing is written, and the command ends with 1.
    """
    ledger_export.export(_run(run, output, home), party, out, Screen().say)


def _run(run: str | None, output: Path, home: Path | None) -> RunFolder:
    return place_at(output, home).run(run)
