"""The form of all commands: help texts that keep their lines, errors that end as one sentence."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any, TypeVar

import typer
from typer.core import TyperGroup

from fedcore.errors import FedcoreError, InputError

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


def with_examples(command: Command) -> Command:
    r"""Put click's mark for lines that stay as they are where a docstring says `\b`."""
    command.__doc__ = (command.__doc__ or "").replace(r"\b", "\b")
    return command


def group(help_text: str, cls: type[TyperGroup] = TyperGroup) -> typer.Typer:
    """A group of commands; without one, it shows its help."""
    return typer.Typer(
        cls=cls,
        help=help_text,
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
