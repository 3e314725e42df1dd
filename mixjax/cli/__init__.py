"""The `mixjax` command: find the strange rows of a table, and score other tables later."""

import importlib.util
import os
import sys
from typing import Annotated

try:
    import pyarrow  # noqa: F401 - imported here, so that a missing extra is reported at once
    import rich  # noqa: F401
    import typer

    # Importing it takes a second; it is done where it is used.
    if importlib.util.find_spec("sklearn") is None:
        raise ImportError(name="sklearn")
except ImportError as error:
    raise SystemExit(
        f"the mixjax command needs its extra ({error.name} is missing): pip install 'mixjax[cli]'"
    ) from error

from .. import __version__
from .detect import detect
from .errors import Commands
from .score import score

app = typer.Typer(cls=Commands, add_completion=False, pretty_exceptions_enable=False)
app.command()(detect)
app.command()(score)


def _say_version(wanted: bool) -> None:
    if wanted:
        print(f"mixjax {__version__}")
        raise typer.Exit()


@app.callback(invoke_without_command=True)
def about(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_say_version, is_eager=True, help="print the version"),
    ] = False,
) -> None:
    """Mixture models in JAX: find the strange rows of a table."""
    if context.invoked_subcommand is None:
        print(context.get_help())
        raise typer.Exit(2)


def main() -> None:
    """Run the command."""
    app(prog_name=os.path.basename(sys.argv[0]) if sys.argv[0].endswith("mixjax") else "mixjax")
