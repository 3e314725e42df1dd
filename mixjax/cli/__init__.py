"""The `mixjax` command: find the strange rows of a table, and judge more of them later."""

import os
import sys

try:
    import rich  # noqa: F401 - asked for here, so that what is missing is told at once
    import sklearn  # noqa: F401
    import typer
except ImportError as error:
    raise SystemExit(
        f"the mixjax command needs its extra ({error.name} is missing): pip install 'mixjax[cli]'"
    ) from error

from .detect import detect
from .score import score

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
app.command()(detect)
app.command()(score)


@app.callback()
def about() -> None:
    """Mixture models in JAX: find the strange rows of a table."""


def main() -> None:
    """Run the command."""
    app(prog_name=os.path.basename(sys.argv[0]) if sys.argv[0].endswith("mixjax") else "mixjax")
