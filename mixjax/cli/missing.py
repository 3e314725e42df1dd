"""Rows with missing or infinite values."""

import enum
from typing import Any, NamedTuple

import numpy as np

from ..describing.words import counted
from ..rows.observed import Observed
from .names import parted

# The mixtures are fitted in single precision, whose largest number is little more.
LARGEST = 1e38


class Missing(enum.StrEnum):
    """What to do with rows that have missing values."""

    unknown = "unknown"
    refuse = "refuse"
    drop = "drop"


class Found(NamedTuple):
    """What was looked for in the rows of a table.

    Attributes:
      kept: (N,) which rows are used.
      problems: why the table cannot be used.
    """

    kept: np.ndarray
    problems: list[str]


def row_numbers(kept: np.ndarray) -> np.ndarray:
    """The numbers of these rows (N,) of a table, as people count: from 1, without the header."""
    return np.flatnonzero(kept) + 1


def look_for_missing(rows: np.ndarray, names: list[str], missing: Missing) -> Found:
    """Which rows are used, and a problem if some cannot be used.

    Missing values are unknown, by default, but not infinite ones: something was measured.
    """
    finite = np.abs(rows) < LARGEST  # which NaN is not
    usable = finite | np.isnan(rows) if missing is Missing.unknown else finite
    whole = usable.all(axis=1)
    n_absent = int((~whole).sum())
    if n_absent == 0:
        return Found(whole, _of_columns(rows, names) if len(rows) else [])
    worst = parted(names[int(np.argmax((~usable).sum(axis=0)))])[0]
    what = "an infinite value" if missing is Missing.unknown else "a missing or infinite value"
    found = (
        f"{n_absent:,} of {len(whole):,} rows have {what} (or one beyond 1e38) in "
        f"{counted(int((~usable).sum()), 'cell')} (most in the column {worst!r}; the first is row "
        f"{row_numbers(~whole)[0]})"
    )
    if missing is not Missing.drop:
        more = "" if missing is Missing.unknown else ", --missing unknown takes them as unknown"
        return Found(
            whole, [f"{found}: --missing drop leaves these rows out, --drop a column{more}"]
        )
    if not whole.any():
        return Found(whole, [f"{found}: no row is left"])
    return Found(whole, [])


def known(rows: np.ndarray) -> Any:
    """The rows as the library takes them: `mixjax.Observed` if a value is missing."""
    return Observed(rows) if np.isnan(rows).any() else rows


def holes(rows: np.ndarray, names: list[str]) -> dict[str, Any]:
    """How many values (N, D) are unknown, in how many rows, and in which column most."""
    missing = np.isnan(rows)
    of_column = missing.sum(axis=0)
    return {
        "cells": int(missing.sum()),
        "rows": int(missing.any(axis=1).sum()),
        "most_in": names[int(of_column.argmax())] if missing.any() else None,
    }


def _of_columns(rows: np.ndarray, names: list[str]) -> list[str]:
    """A problem if columns have no value at all."""
    never = np.flatnonzero(np.isnan(rows).all(axis=0))
    if len(never) == 0:
        return []
    shown = ", ".join(repr(names[i]) for i in never[:5])
    one = len(never) == 1
    return [
        f"the column{'' if one else 's'} {shown} {'has' if one else 'have'} no value: leave "
        f"{'it' if one else 'them'} out with --drop"
    ]
