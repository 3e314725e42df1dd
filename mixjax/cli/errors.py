"""How a command ends when its input was wrong."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import typer
from rich.markup import escape

from ..files import descriptor_of
from ..progress import lasting_console


@contextlib.contextmanager
def said(*kinds: type[Exception]) -> Iterator[None]:
    """Errors of these kinds are told in a line, without a traceback; the exit code is 2."""
    known: tuple[type[Exception], ...] = (OSError, *kinds)
    try:
        yield
    except known as error:
        text = escape(str(error)) or type(error).__name__
        lasting_console(stderr=True).print(
            f"[red]error:[/] {text}", highlight=False, soft_wrap=True
        )
        raise typer.Exit(2) from None


@contextlib.contextmanager
def until_unread(output: Path | None) -> Iterator[None]:
    """Where a file goes to standard output, end quietly once nobody reads it."""
    try:
        yield
    except BrokenPipeError:
        if output is None or descriptor_of(output) != 1:
            raise
        raise typer.Exit(0) from None
