"""Rows with missing or infinite values."""

import enum

import numpy as np

from .names import parted

# The mixtures are fitted in single precision, whose largest number is little more.
LARGEST = 1e38


class Missing(enum.StrEnum):
    """What to do with rows that have missing or infinite values."""

    refuse = "refuse"
    drop = "drop"


def row_numbers(kept: np.ndarray) -> np.ndarray:
    """The numbers of these rows (N,) of a table, as people count: from 1, without the header."""
    return np.flatnonzero(kept) + 1


def look_for_missing(
    rows: np.ndarray, names: list[str], missing: Missing
) -> tuple[np.ndarray, list[str]]:
    """Which rows (N,) are complete, and a problem if others may not be dropped."""
    finite = np.abs(rows) < LARGEST  # which NaN is not
    whole = finite.all(axis=1)
    n_absent = int((~whole).sum())
    if n_absent == 0:
        return whole, []
    worst = parted(names[int(np.argmax((~finite).sum(axis=0)))])[0]
    found = (
        f"{n_absent:,} of {len(whole):,} rows have a missing or infinite value (or one beyond "
        f"1e38) in {int((~finite).sum()):,} cells (most in the column {worst!r}; the first is row "
        f"{row_numbers(~whole)[0]})"
    )
    if missing is Missing.refuse:
        return whole, [f"{found}: --missing drop leaves these rows out, --drop a column"]
    if not whole.any():
        return whole, [f"{found}: no row is left"]
    return whole, []
