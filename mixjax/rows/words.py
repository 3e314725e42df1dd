"""Frames with columns of text: each different word becomes a number."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .frames import array_of, columns_of, rows_of

Words = dict[str, tuple[str, ...]]


def coded_rows(
    x: Any, known: Mapping[str, Sequence[str]] | None = None, name: str = "x"
) -> tuple[Any, tuple[str, ...] | None, Words]:
    """A table as from `rows_of`, in which words have numbers; and the words, by column.

    A missing value is NaN. A word that is not known gets the number after the last one.

    Args:
      x: as for `rows_of`; columns of text need names, so x is then a frame or a mapping.
      known: the words of the columns of text; None for those of x, in alphabetical order.
      name: what to call x in messages.

    Returns:
      The array (N, D), the names of the columns or None, and the words of those of text.

    Raises:
      TypeError: a column holds something else than numbers, dates or text.
      ValueError, ImportError: as `rows_of`.

    Example:
      >>> from mixjax.rows.words import coded_rows
      >>> coded_rows({"size": [1.5, 2.0], "color": ["red", "blue"]})
      (array([[1.5, 1. ],
             [2. , 0. ]]), ('size', 'color'), {'color': ('blue', 'red')})
    """
    columns = columns_of(x, name)
    if columns is None:
        return *rows_of(x, name), {}
    words: Words = {}
    numbers: dict[Any, Any] = {}
    for column, values in columns.items():
        cells = array_of(values, f"{name}, column {column!r}")
        own = None if known is None else known.get(str(column))
        if own is None and not (known is None and _is_text(cells)):
            numbers[column] = values
            continue
        absent = np.array([_is_absent(cell) for cell in cells], bool)
        texts = np.array(
            ["" if gone else str(cell) for cell, gone in zip(cells, absent, strict=True)]
        )
        found = np.unique(texts[~absent]).tolist() if own is None else own
        words[str(column)] = tuple(found)
        places = {word: i for i, word in enumerate(found)}
        codes = [places.get(word, len(places)) for word in texts.tolist()]
        numbers[column] = np.where(absent, np.nan, codes)
    rows, names = rows_of(numbers, name)
    return rows, names, words


def _is_text(cells: np.ndarray) -> bool:
    """Whether all cells that are not missing are text."""
    if cells.dtype.kind in "US":
        return True
    if cells.dtype != object:
        return False
    known = [cell for cell in cells if not _is_absent(cell)]
    return bool(known) and all(isinstance(cell, str) for cell in known)


def _is_absent(cell: Any) -> bool:
    missing = cell is None or type(cell).__name__ in ("NAType", "NaTType")
    return missing or (isinstance(cell, float) and cell != cell)
