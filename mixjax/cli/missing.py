"""Rows in which a value is missing or infinite."""

import enum

import numpy as np

from . import report
from .features import LabelledTable

# Single precision, in which the mixtures are fitted, holds little more.
LARGEST = 1e38


class Missing(enum.StrEnum):
    """What to do with such rows."""

    refuse = "refuse"
    drop = "drop"


def present(rows: np.ndarray, names: list[str], missing: Missing) -> np.ndarray:
    """Which rows (N,) are whole; `ValueError` if some are not and may not be dropped."""
    finite = np.abs(rows) < LARGEST  # which NaN is not
    whole = finite.all(axis=1)
    n_absent = int((~whole).sum())
    if n_absent == 0:
        return whole
    worst = names[int(np.argmax((~finite).sum(axis=0)))]
    found = (
        f"{n_absent:,} of {len(whole):,} rows have a missing or infinite value (or one beyond "
        f"1e38) in {int((~finite).sum()):,} cells (most in the column {worst!r}; the first is row "
        f"{int(np.argmin(whole))})"
    )
    if missing is Missing.refuse:
        raise ValueError(f"{found}: --missing drop leaves these rows out, --drop a column")
    if not whole.any():
        raise ValueError(f"{found}: none is left")
    report.left_out(n_absent, len(whole))
    return whole


def without_missing(table: LabelledTable, missing: Missing) -> LabelledTable:
    """The table of the whole rows, each with the number it had."""
    whole = present(table.rows, table.columns, missing)
    if whole.all():
        return table
    labels = None if table.labels is None else table.labels[whole]
    return LabelledTable(table.rows[whole], table.columns, labels, table.numbers[whole])
