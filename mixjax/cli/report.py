"""The output of the commands: sentences for people who have not read the documentation."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from ..describing.words import counted
from ..files import descriptor_of, printable
from ..progress import lasting_console
from .tables import Columns
from .text import visible

console = lasting_console()
MOST_SHOWN = 12


def beside(*outputs: Path | None) -> None:
    """Print to standard error if a file is written to standard output."""
    console.stderr = any(path is not None and descriptor_of(path) == 1 for path in outputs)


def found_out(table: Columns) -> None:
    """Print the guesses about the format of a table."""
    for note in table.notes:
        console.print(f"[dim]{_safe(note)}[/]", highlight=False, soft_wrap=True)


def what_was_read(figures: dict[str, Any]) -> None:
    """Print what was read, and what was left out and why."""
    n_columns = len(figures["columns_used"])
    _section(
        "Read",
        f"{_safe(figures['data'])}: {counted(figures['rows'], 'row')}, "
        f"{counted(n_columns, 'column')} used ({_listed(figures['columns_used'])}).",
    )
    gone = [f"'{_safe(one['column'])}' ({one['why']})" for one in figures["columns_left_out"]]
    left_out(figures["rows_left_out"], figures["rows"], gone)
    if kinds := figures["categories"]:
        _section("Categories", f"{_listed(kinds)}: each word is a category.")
    unknown(figures["unknown"])
    if constant := figures["constant_columns"]:
        one = len(constant) == 1
        _section(
            "Constant",
            f"{_listed(constant)} {'has' if one else 'have'} one value in all fitted rows; any "
            "other value is strange.",
        )


def left_out(n: int, of: int, more: Sequence[str] = ()) -> None:
    """Print the number of dropped rows, and what else was left out."""
    gone = list(more)
    if n:
        gone.append(f"[yellow]{n:,} of {of:,} rows[/] with a missing or infinite value")
    if gone:
        _section("Left out", f"{'; '.join(gone)}.")


def unknown(holes: dict[str, Any]) -> None:
    """Print how many values are unknown."""
    if n := holes["cells"]:
        _section(
            "Unknown",
            f"{counted(n, 'value')} in {counted(holes['rows'], 'row')}, most in the column "
            f"'{_safe(holes['most_in'])}'. A row is judged by what is known of it.",
        )


def columns_kept(names: list[str], of: int) -> None:
    """Print the columns that --columns auto chose."""
    _section("Kept", f"{len(names)} of {of} columns: {_listed(names)}.")


def what_was_learned(figures: dict[str, Any], rule: str) -> None:
    """Print what the rows were judged by, the promise, and what happened."""
    fitted, trained = figures["fitted_rows"], figures["train_rows"]
    known = "anomalies" in figures
    part = "" if fitted == trained else f"{fitted:,} of "
    kind = "normal " if known else ""
    _section("Learned", f"what is normal, from {part}{trained:,} {kind}rows.")
    judges = [
        f"{member['components']} {member['family']}"
        + (f" ({member['appearance']})" if member["appearance"] else "")
        for member in figures["members"]
    ]
    _section(
        "Judges",
        f"mixtures of {', '.join(judges)}; the best description of the rows first, of "
        f"{figures['candidates']} that were compared. A row is strange if one of them finds it so.",
    )
    promised = figures["promised"]
    _section("Threshold" if promised is None else "Promised", f"{rule}.")
    beside = ""
    if promised is not None:
        rate, by_chance = 100 * promised["rate"], 100 * promised["deviation"]
        beside = f", promised {rate:g} ± {by_chance:.2g} %"
    if not known:
        n, flagged = figures["test_rows"], figures["flagged"]
        _section(
            "Happened",
            f"{_share(flagged, n)} rows were flagged{beside}. Which of them are right cannot be "
            "said without labels: name their column by --label.",
        )
        return
    normal, flagged = figures["normal_rows"], figures["normal_flagged"]
    caught = figures["flagged"] - flagged
    _section(
        "Happened",
        f"{_share(flagged, normal)} normal rows that were not fitted were flagged{beside}; "
        f"{_share(caught, figures['anomalies'])} anomalous rows were found.",
    )
    areas = (
        "" if figures["roc_auc"] is None
        else f", ROC AUC {figures['roc_auc']:.4f}, average precision "
        f"{figures['average_precision']:.4f}"
    )  # fmt: skip
    _section(
        "Quality",
        f"precision {figures['precision']:.4f}, recall {figures['recall']:.4f}, "
        f"F1 {figures['f1']:.4f}{areas}.",
    )


def strangest(rows: list[dict[str, Any]]) -> None:
    """Print the strangest rows and what is strange in them."""
    if not rows:
        return
    shown = Table(
        title="The strangest rows, counted from 1 without the header, and how many normal rows "
        "are as strange", title_justify="left",
        title_style="bold", box=None, padding=(0, 2, 0, 0),
    )  # fmt: skip
    known = rows[0]["label"] is not None
    for name in ["row", "as strange"] + (["label"] if known else []) + ["flagged"]:
        shown.add_column(name, justify="right")
    shown.add_column("because (its share of the surprise)", overflow="fold")
    for row in rows:
        cells = [str(row["row"]), f"{row['as_strange']:,} of {row['of_normal']:,}"]
        if known:
            cells.append(_safe(row["label"]))
        cells.append("yes" if row["flagged"] else "no")
        shown.add_row(*cells, _safe("; ".join(reason["text"] for reason in row["reasons"])))
    console.print(shown)


def next_steps(saved: Path | None, page: Path | None, output: Path | None) -> None:
    """Print what can be done now: with the files that were written, or how to write them."""
    if page is not None:
        console.print(f"wrote the page to {_path(page)}: open it in a browser", highlight=False)
    if saved is not None:
        name = _path(saved)
        console.print(f"wrote the detector to {name}: mixjax score {name} DATA", highlight=False)
    steps = []
    if page is None:
        steps.append("--report page.html writes a page to explore and to share")
    if saved is None:
        steps.append("--save detector.npz keeps the detector for new data (mixjax score)")
    if output is None:
        steps.append("--output findings.json writes all of this for a program")
    if steps:
        _section("Next", f"the same command with {'; '.join(steps)}.")


def scored(n: int, n_flagged: int, threshold: float, out: Path | None) -> None:
    """Print the result of `mixjax score`."""
    wrote = "" if out is None else f"; wrote {_path(out)}"
    console.print(
        f"{n_flagged:,} of {n:,} rows above the threshold {threshold:.4f}{wrote}", highlight=False
    )


def _section(title: str, text: str) -> None:
    console.print(f"[bold]{title}:[/] {text}", highlight=False)


def _share(n: int, of: int) -> str:
    """A number of rows with its percentage."""
    return f"{n:,} of {of:,}" + (f" ({100 * n / of:.1f} %)" if of else "")


def _listed(names: Sequence[str]) -> str:
    more = f", ... ({len(names):,} in all)" if len(names) > MOST_SHOWN else ""
    return _safe(", ".join(names[:MOST_SHOWN])) + more


def _path(path: Path) -> str:
    return escape(printable(path))


def _safe(text: Any) -> str:
    """Text from data, safe to print."""
    return escape(visible(str(text)))
