"""Input errors end a command with one line and exit code 2."""

import contextlib
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from rich.markup import escape
from typer.core import TyperGroup

from ..files import descriptor_of
from ..progress import lasting_console
from .text import visible

# What typer raises for an invalid option; not every version exports its base class.
REFUSED: type[BaseException] = typer.BadParameter.__mro__[2]


class Commands(TyperGroup):
    """Commands that report any error of their arguments in one line."""

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run a command, and end the process."""
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")  # a terminal with few characters
        try:
            code = super().main(*args, **{**extra, "standalone_mode": False})
        except REFUSED as error:
            _tell("red", "error", getattr(error, "format_message", error.__str__)())
            code = 2
        except (OSError, MemoryError) as error:
            _tell("red", "error", _said(error))
            code = 2
        sys.exit(code if isinstance(code, int) else 0)


@contextlib.contextmanager
def exit_on(*kinds: type[Exception]) -> Iterator[None]:
    """Report errors of these kinds in one line, without a traceback, with exit code 2.

    Each warning is one line, too.
    """
    known: tuple[type[Exception], ...] = (OSError, MemoryError, *kinds)
    with warnings.catch_warnings():
        warnings.showwarning = _tell_warning
        try:
            yield
        except known as error:
            _tell("red", "error", _said(error))
            raise typer.Exit(2) from None


@contextlib.contextmanager
def until_unread(output: Path | None) -> Iterator[None]:
    """If the file is standard output, end quietly when its reader is gone."""
    try:
        yield
    except BrokenPipeError:
        if output is None or descriptor_of(output) != 1:
            raise
        raise typer.Exit(0) from None


def _said(error: Exception) -> str:
    """What an error says, without the number of the operating system."""
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error) or type(error).__name__


def _tell(color: str, what: str, text: str) -> None:
    line = escape(visible(" ".join(text.splitlines())))
    lasting_console(stderr=True).print(
        f"[{color}]{what}:[/] {line}", highlight=False, soft_wrap=True
    )


def _tell_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    _tell("yellow", "warning", str(message))
