"""How a command ends when its input was wrong."""

import contextlib
from collections.abc import Iterator

import typer
from rich.console import Console
from rich.markup import escape


@contextlib.contextmanager
def said(*kinds: type[Exception]) -> Iterator[None]:
    """Errors of these kinds are told in a line, without a traceback; the exit code is 2."""
    known: tuple[type[Exception], ...] = (OSError, *kinds)
    try:
        yield
    except known as error:
        text = escape(str(error)) or type(error).__name__
        Console(stderr=True).print(f"[red]error:[/] {text}", highlight=False)
        raise typer.Exit(2) from None
