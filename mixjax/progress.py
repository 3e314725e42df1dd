"""A progress bar for long work on the host; it survives a closed pipe."""

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Any

from .programs import watched


@contextlib.contextmanager
def progress_bar(
    what: str, unit: str, total: int | None, done: int, shown: bool
) -> Iterator[Callable[[int, str], None]]:
    """A bar, and a function that sets how many units are done and a note on the last one.

    While a program is compiled the note says so.
    """
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
    with progress.Progress(*columns, console=lasting_console(stderr=True)) as bar:
        task = bar.add_task(what, total=total, completed=done, note="")
        last = ""

        def show(done: int, note: str) -> None:
            nonlocal last
            last = note
            bar.update(task, completed=done, note=note)

        def compiling(n_now: int, n_begun: int) -> None:
            bar.update(task, note=f"compiling program {n_begun}" if n_now else last)

        with watched(compiling):
            yield show


def lasting_console(**options: Any) -> Any:
    """A rich console that goes silent when its pipe is closed.

    Rich itself would end the process, and with it the work.
    """
    from rich.console import Console

    class Lasting(Console):
        def on_broken_pipe(self) -> None:
            self.quiet = True
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.file.fileno())  # buffered text goes there at exit
            os.close(nowhere)

    return Lasting(**options)
