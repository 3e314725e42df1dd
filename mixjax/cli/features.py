"""Which columns of a table are its numbers, which is its label, and what they are called."""

import difflib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from .tables import Columns, is_number, text_of

# A column of more words than this is no category.
MOST_WORDS = 1000


class LabelledTable(NamedTuple):
    """Rows (N, D), names of the D columns, (N,) labels or None, and the numbers of the rows."""

    rows: np.ndarray
    columns: list[str]
    labels: np.ndarray | None
    numbers: np.ndarray


def labelled(
    table: Columns,
    label: str | None = None,
    keep: Sequence[str] = (),
    drop: Sequence[str] = (),
    one_hot: bool = False,
) -> LabelledTable:
    """The numbers of a table, and its labels.

    Args:
      table: as it was read.
      label: the label column, by name or by number (-1 is the last).
      keep: the columns wanted, by name or number; none means all.
      drop: columns to leave out.
      one_hot: whether a column of words becomes one column for each word, named
        ``column=word``; else it is refused.

    Returns:
      The rows and their names; labels are text, as written.

    Raises:
      ValueError: a column that is not there, one of text, or none left.
    """
    values = table.values
    labels, out = None, {_position(name, list(values), "--drop") for name in drop}
    if label is not None and label in table.beside:
        labels = _texts(table.beside[label])
    elif label is not None:
        position = _position(label, list(values), "--label", table.beside)
        labels = _texts(list(values.values())[position])
        out.add(position)
    wanted = {_position(name, list(values), "--columns") for name in keep} or set(
        range(len(values))
    )
    if keep and wanted & out:
        name = list(values)[min(wanted & out)]
        raise ValueError(f"--columns {name}: that column is the label or dropped")
    kept = [name for i, name in enumerate(values) if i in wanted - out]
    if not kept:
        raise ValueError(f"{table.source}: no column is left beside the label")
    numbers: dict[str, np.ndarray] = {}
    for name in kept:
        if values[name].dtype != object:
            numbers[name] = values[name]
        elif one_hot:
            words = sorted(set(values[name]))
            if len(words) > MOST_WORDS:
                raise ValueError(
                    f"{table.source}: column {name!r} has {len(words)} different words, too many "
                    f"for a column each: leave it out with --drop {name!r}"
                )
            numbers |= {f"{name}={word}": _indicator(values[name], word) for word in words}
        else:
            raise ValueError(_refusal(table.source, name, values[name]))
    rows = np.stack(list(numbers.values()), axis=1)
    return LabelledTable(rows, list(numbers), labels, np.arange(len(rows)))


def aligned(table: Columns, names: Iterable[str], used: Iterable[int]) -> np.ndarray:
    """The rows (N, D) of the columns with these names; zeros for those that are not used.

    A table without any names (a NumPy array, a CSV without header) is taken by position,
    if it has as many columns as there are names.
    """
    names, used = list(names), set(used)
    values = table.values
    unnamed = list(values) == [str(i) for i in range(len(values))]
    if unnamed and len(values) == len(names):
        values = dict(zip(names, values.values(), strict=True))
    n = len(next(iter(values.values())))
    rows = np.zeros((n, len(names)))
    for i, name in enumerate(names):
        if i not in used:
            continue
        whole, _, word = name.rpartition("=")
        if name in values:
            found = values[name]
            if found.dtype == object:
                raise ValueError(_refusal(table.source, name, found))
            rows[:, i] = found
        elif whole in values:
            rows[:, i] = _indicator(_texts(values[whole]), word)
        else:
            raise ValueError(
                f"{table.source}: the model wants the column {name!r}, which is not there"
                f"{_nearest(name, list(values))}"
            )
    return rows


def _texts(values: np.ndarray) -> np.ndarray:
    return np.array([text_of(value) for value in values], object)


def _indicator(values: np.ndarray, word: str) -> np.ndarray:
    return (values == word).astype(np.float64)


def _refusal(source: str, name: str, values: np.ndarray) -> str:
    row = next(i for i, cell in enumerate(values) if not is_number(cell))
    return (
        f"{source}: column {name!r} holds the text {values[row]!r} in row {row}: leave it out with "
        f"--drop {name!r}, name it as --label, or make a column of each word with --text one-hot"
    )


def _position(name: str, columns: list[str], option: str, others: Iterable[str] = ()) -> int:
    """The place of a column that is told by name or number."""
    if name in columns:
        return columns.index(name)
    try:
        number = int(name)
    except ValueError:
        number = len(columns)
    if not -len(columns) <= number < len(columns):
        raise ValueError(
            f"{option} {name}: there is no such column{_nearest(name, [*columns, *others])}"
        )
    return number % len(columns)


def _nearest(name: str, columns: list[str]) -> str:
    """The column that may have been meant, or the first of them all."""
    lower = {column.lower(): column for column in columns}
    near = difflib.get_close_matches(name.lower(), lower, 1)
    if near:
        return f"; did you mean {lower[near[0]]!r}?"
    return f"; there are {', '.join(columns[:12])}{', ...' if len(columns) > 12 else ''}"
