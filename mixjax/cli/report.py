"""The output of the commands."""

from pathlib import Path
from typing import Any

import numpy as np
from rich.markup import escape
from rich.table import Table

from ..detect.detector import Detector
from ..files import descriptor_of, printable
from ..progress import lasting_console
from .features import LabeledTable
from .tables import Columns
from .text import visible

console = lasting_console()
MOST_SHOWN = 12
REASONS = 3


def beside(*outputs: Path | None) -> None:
    """Print to standard error if a file is written to standard output."""
    console.stderr = any(path is not None and descriptor_of(path) == 1 for path in outputs)


def found_out(table: Columns) -> None:
    """Print the guesses about the format of a table."""
    for note in table.notes:
        console.print(f"[dim]{_safe(note)}[/]", highlight=False, soft_wrap=True)


def index_left_out(names: list[str]) -> None:
    """Print the columns that are left out because they number the rows."""
    if names:
        shown = ", ".join(map(repr, names))
        console.print(
            f"[dim]left out {_safe(shown)}: the numbers or names of the rows (--columns uses "
            "them)[/]",
            highlight=False,
        )


def left_out(n: int, of: int) -> None:
    """Print the number of dropped rows."""
    if n:
        console.print(f"[yellow]left out {n:,} of {of:,} rows[/] with a missing or infinite value")


def columns_kept(names: list[str], of: int) -> None:
    """Print the columns that --columns auto chose."""
    shown = ", ".join(names[:MOST_SHOWN])
    rest = ", ..." if len(names) > MOST_SHOWN else ""
    console.print(f"kept {len(names)} of {of} columns: {_safe(shown)}{rest}", highlight=False)


def candidates(detector: Detector) -> None:
    """Print the best candidates of each family, with a star for those that are used."""
    n = len(detector.candidates)
    shown = Table(title=f"the best two of each family, of {n} candidates", title_justify="left")
    for name in ("family", "components", "ridge", "held-out energy", "judges"):
        shown.add_column(name, justify="left" if name == "family" else "right")
    judges = {type(member.mixtures.components) for member in detector.members}
    energies = np.asarray(detector.held_out)
    seen: dict[Any, int] = {}
    for i in np.argsort(energies, kind="stable"):
        family, k, ridge = detector.candidates[i]
        place = seen.get(family, 0)
        seen[family] = place + 1
        if place < 2:
            star = "*" if place == 0 and family in judges else ""
            shown.add_row(family.word, str(k), f"{ridge:g}", f"{energies[i]:.4g}", star)
    console.print(shown)


def verdict(figures: dict[str, Any], rule: str) -> None:
    """Print the rows, the threshold with its promise, and the quality on test rows."""
    known = "anomalies" in figures
    kind = "normal " if known else ""
    fitted = figures["fitted_rows"]
    part = "" if fitted == figures["train_rows"] else f"{fitted:,} of "
    console.print(f"[bold]{_safe(figures['data'])}[/]", highlight=False)
    families = ", ".join(member["family"] for member in figures["members"])
    console.print(
        f"{families}: fitted to {part}{figures['train_rows']:,} "
        f"{kind}rows of {figures['columns']} columns"
    )
    console.print(
        f"threshold {figures['threshold']:.4f}, {rule}: {figures['flagged']:,} of "
        f"{figures['test_rows']:,} {'test ' if known else ''}rows flagged"
    )
    if not known:
        return
    areas = (
        "" if figures["roc_auc"] is None
        else f"  ROC AUC {figures['roc_auc']:.4f}  average precision "
        f"{figures['average_precision']:.4f}"
    )  # fmt: skip
    console.print(
        f"of {figures['anomalies']:,} anomalies: precision {figures['precision']:.4f}  recall "
        f"{figures['recall']:.4f}  F1 {figures['f1']:.4f}{areas}"
    )


def confusion(matrix: np.ndarray) -> None:
    """Print how many rows of each kind were flagged."""
    shown = Table(title="test rows", title_justify="left")
    shown.add_column("")
    for name in ("not flagged", "flagged"):
        shown.add_column(name, justify="right")
    for name, counts in zip(("normal", "anomalous"), matrix, strict=True):
        shown.add_row(name, *(f"{count:,}" for count in counts))
    console.print(shown)


def strangest(
    detector: Detector, table: LabeledTable, tested: np.ndarray, scores: np.ndarray, top: int
) -> None:
    """Print the rows with the highest scores and their most surprising columns."""
    order = np.argsort(-np.where(np.isnan(scores), np.inf, scores), kind="stable")[:top]
    if len(order) == 0:
        return
    shown = Table(title="the strangest rows", title_justify="left")
    known = table.labels is not None
    for name in ["row", "score", "p-value", "flagged"] + (["label"] if known else []):
        shown.add_column(name, justify="right")
    shown.add_column("most surprising (nats more than in normal rows)", overflow="fold")
    rows = tested[order]
    p_values = np.asarray(detector.p_values(table.rows[rows]))
    flagged = np.asarray(detector.flags(scores[order]))
    why = reasons(detector, table.rows[rows])
    for i, row, p, is_flagged, reason in zip(order, rows, p_values, flagged, why, strict=True):
        cells = [str(table.numbers[row]), f"{scores[i]:.4g}", f"{p:.2g}"]
        cells.append("yes" if is_flagged else "no")
        if table.labels is not None:
            cells.append(_safe(table.labels[row]))
        shown.add_row(*cells, _safe(reason))
    console.print(shown)


def reasons(detector: Detector, rows: np.ndarray) -> list[str]:
    """For each row, its three most surprising columns, with their values."""
    used = [detector.feature_names[i] for i in detector.columns]
    texts = []
    for row, extra in zip(rows[:, list(detector.columns)], detector.explain(rows), strict=True):
        extra = np.asarray(extra)
        first = [i for i in np.argsort(-extra, kind="stable")[:REASONS] if extra[i] > 0]
        texts.append("; ".join(f"{used[i]} = {row[i]:.4g} ({extra[i]:+.3g})" for i in first))
    return texts


def _safe(text: str) -> str:
    """Text from data, safe to print."""
    return escape(visible(text))


def scored(n: int, n_flagged: int, threshold: float, out: Path) -> None:
    """Print the result of `mixjax score`."""
    console.print(
        f"{n_flagged:,} of {n:,} rows above the threshold {threshold:.4f}; wrote "
        f"{escape(printable(out))}",
        highlight=False,
    )


def saved(path: Path) -> None:
    """Print the file of the detector."""
    name = escape(printable(path))
    console.print(f"wrote the detector to {name}: mixjax score {name} DATA", highlight=False)


def explored(path: Path) -> None:
    """Print the file of the page."""
    console.print(
        f"wrote the page to {escape(printable(path))}: open it in a browser", highlight=False
    )
