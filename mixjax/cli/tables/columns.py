"""A table from a file: its columns by name, with their original text."""

import functools
from collections.abc import Mapping
from numbers import Real
from typing import Any, NamedTuple

import numpy as np

from ...rows.frames import values_of
from .cells import is_missing, is_value, plain_numbers


class Column:
    """One column of a table.

    Attributes:
      numbers: (N,) float64, NaN for missing values; None if a cell is a word.
      n: the number of cells.
    """

    def __init__(self, numbers: np.ndarray | None, written: Any) -> None:
        self.numbers = numbers
        self.n = len(written)
        self._written = written

    @functools.cached_property
    def words(self) -> np.ndarray:
        """(N,) the original text of the cells."""
        written = self._written
        cells = written.to_pylist() if hasattr(written, "to_pylist") else written
        return np.array([text_of(value) for value in cells], object)

    @functools.cached_property
    def absent(self) -> np.ndarray:
        """(N,) whether the value is missing."""
        if self.numbers is not None:
            return np.isnan(self.numbers)
        return np.array([is_missing(word, among_words=True) for word in self.words])

    @functools.cached_property
    def strange(self) -> list[int]:
        """The rows whose cells are words."""
        if self.numbers is not None:
            return []
        rows = [i for i, word in enumerate(self.words) if not (is_missing(word) or is_value(word))]
        return rows or np.flatnonzero(~self.absent).tolist()


class Columns(NamedTuple):
    """A table from a file.

    Attributes:
      source: its name in messages.
      values: the columns by name.
      beside: further columns that may be labels, such as other arrays of an ``.npz``.
      counting: the names of columns that only number or name the rows.
      notes: guesses about the format, which may be wrong.
    """

    source: str
    values: Mapping[str, Column]
    beside: Mapping[str, Column]
    counting: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()

    @property
    def n_rows(self) -> int:
        """N."""
        return next(iter(self.values.values())).n


def column_of(values: np.ndarray) -> Column:
    """A column of an array: numbers, dates (days since 1970), durations (days), or text."""
    if values.dtype.kind in "fiubmM":
        return Column(np.asarray(values_of(values, "column"), np.float64), values)
    cells = [text_of(value) for value in values.tolist()]
    if all(isinstance(value, Real | np.bool_ | None) for value in values.tolist()):
        return Column(np.asarray(values_of(values, "column"), np.float64), cells)
    return Column(plain_numbers(cells), cells)


def text_of(value: Any) -> str:
    """A cell as a person writes it: 0 for the number 0.0, nothing for a missing value."""
    if value is None:
        return ""
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value).strip()
