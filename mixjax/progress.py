"""A progress bar for long work on the host."""

import contextlib
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def progress_bar(
    what: str, unit: str, total: int | None, done: int, shown: bool, note: str = ""
) -> Iterator[Callable[[int, str], None]]:
    """A bar that is told how many units are done, and a word about the last."""
    if not shown:
        yield lambda done, note: None
        return
    try:
        from rich import progress
    except ImportError as error:
        raise ImportError(
            "a progress bar needs rich: pip install rich, or pass progress=False"
        ) from error
    of = "{task.completed:.0f}" if total is None else "{task.completed:.0f} of {task.total:.0f}"
    columns = (
        progress.TextColumn(what), progress.BarColumn(),
        progress.TextColumn(f"{unit} {of}"), progress.TextColumn("{task.fields[note]}"),
        progress.TimeElapsedColumn(), progress.TimeRemainingColumn(),
    )  # fmt: skip
    with progress.Progress(*columns) as bar:
        task = bar.add_task(what, total=total, completed=done, note=note)
        yield lambda done, note: bar.update(task, completed=done, note=note)
