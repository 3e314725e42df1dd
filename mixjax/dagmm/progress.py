"""A progress bar over epochs."""

import contextlib
from collections.abc import Callable, Iterator

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


@contextlib.contextmanager
def epochs_bar(epochs: int, done: int, shown: bool) -> Iterator[Callable[[int, float], None]]:
    """A bar that is told how many epochs are done, and the loss of the last."""
    columns = (
        TextColumn("training"), BarColumn(),
        TextColumn("epoch {task.completed:.0f} of {task.total:.0f}"),
        TextColumn("{task.fields[loss]}"), TimeElapsedColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, disable=not shown) as bar:
        task = bar.add_task("training", total=epochs, completed=done, loss="compiling")
        yield lambda done, loss: bar.update(task, completed=done, loss=f"loss {loss:.4f}")
