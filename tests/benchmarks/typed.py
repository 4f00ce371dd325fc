"""What is typed after a benchmark's name: whole numbers by their defaults, and `--quick`."""

from __future__ import annotations

import argparse

WORDS = {
    "size": "side of the network's input",
    "images": "training images at A and at B",
    "seeds": "how many, counted up from 0",
}


def options(doc: str | None, **numbers: int) -> argparse.ArgumentParser:
    """A parser that says the first line of `doc` and takes `numbers` with these defaults."""
    parser = argparse.ArgumentParser(description=(doc or "").partition("\n")[0])
    for name, default in numbers.items():
        said = f"{WORDS.get(name, name)} (default: {default})"
        parser.add_argument(f"--{name}", type=int, default=default, help=said)
    return parser


def typed(parser: argparse.ArgumentParser, **quick: int) -> argparse.Namespace:
    """What was typed; with `--quick` these numbers whatever else was said."""
    parser.add_argument("--quick", action="store_true", help="tiny, to see that all of it runs")
    args = parser.parse_args()
    if args.quick:
        vars(args).update(quick)
    return args
