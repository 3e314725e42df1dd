"""The feature columns and the label column of a table."""

import enum
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from .missing import Missing, look_for_missing, row_numbers
from .names import joined, parted
from .positions import nearest, positions
from .tables import Column, Columns

# A column of more different words than this is not a category.
MOST_WORDS = 1000
# The largest number of columns that a message names.
MOST_NAMED = 5


class Text(enum.StrEnum):
    """What to do with text columns."""

    categories = "categories"
    one_hot = "one-hot"
    refuse = "refuse"


class LabeledTable(NamedTuple):
    """A table for a detector.

    Attributes:
      rows: (N, D), NaN where missing.
      columns: the names of the D columns.
      labels: (N,) or None.
      numbers: (N,) row numbers from 1.
      left_out: the columns that were left out, and why.
      words: the words of columns of categories, by the number of the column; rows hold their
        places in this list.
    """

    rows: np.ndarray
    columns: list[str]
    labels: np.ndarray | None
    numbers: np.ndarray
    left_out: dict[str, str]
    words: dict[int, tuple[str, ...]]


def labeled(
    table: Columns,
    label: str | None = None,
    keep: Sequence[str] = (),
    drop: Sequence[str] = (),
    text: Text = Text.categories,
    missing: Missing = Missing.unknown,
) -> LabeledTable:
    """The numbers of a table, and its labels.

    Args:
      table: the table from a file.
      label: the label column, by name or by number (-1 is the last).
      keep: the columns to use, by name or number; if empty, all but those that number the rows.
      drop: columns to leave out.
      text: whether a text column holds categories, becomes one column for each word (see
        `names`), or is refused. A column of numbers with some words among them is always refused.
      missing: what to do with rows that have missing values.

    Returns:
      The rows and their names; labels are unchanged text.

    Raises:
      ValueError: columns are missing, hold text or missing values, or none is left. The message
        names all problems.
    """
    values, problems = table.values, []
    names = list(values)
    out, wrong = positions(drop, names, "--drop")
    problems += wrong
    labels, labeling = None, set[int]()
    if label is not None and label in table.beside:
        labels = table.beside[label].words
    elif label is not None:
        labeling, wrong = positions([label], names, "--label", table.beside)
        problems += wrong
        labels = next((values[names[i]].words for i in labeling), None)
        out |= labeling
    wanted, wrong = positions(keep, names, "--columns")
    problems += wrong
    if wanted & out:
        name = names[min(wanted & out)]
        problems.append(f"--columns {name}: that column is the label or dropped")
    counted = set() if keep else {names.index(name) for name in table.counting}
    everything = wanted if keep else set(range(len(names))) - counted
    kept = [names[i] for i in sorted(everything - out)]
    if not kept and not problems:
        problems.append("no column is left besides the label")
    numbers: dict[str, np.ndarray] = {}
    refused, words_of = [], {}
    for name in kept:
        column = values[name]
        if column.numbers is not None:
            numbers[joined(name)] = column.numbers
            continue
        if text is Text.refuse or (text is Text.categories and not _is_text(column)):
            refused.append(name)
            continue
        words = sorted(set(column.words[~column.absent]))
        if len(words) > MOST_WORDS:
            problems.append(
                f"column {name!r} has {len(words):,} different words, too many for categories: "
                f"leave it out with --drop {name!r}"
            )
        elif text is Text.one_hot:
            numbers |= {joined(name, word): _indicator(column, word) for word in words}
        else:
            words_of[len(numbers)] = tuple(words)
            numbers[joined(name)] = coded(column, words)
    problems += _refusal(values, refused)
    rows = np.stack(list(numbers.values()), axis=1) if numbers else np.zeros((0, 0))
    whole, wrong = look_for_missing(rows, list(numbers), missing)
    problems += wrong
    if problems:
        raise ValueError(f"{table.source}: {'; '.join(problems)}")
    if labels is not None:
        labels = labels[whole]
    left_out = {}
    for i, name in enumerate(names):
        if i in out:
            left_out[name] = "the label" if i in labeling else "--drop"
        elif i in counted:
            left_out[name] = "it numbers or names the rows; --columns uses it"
    return LabeledTable(rows[whole], list(numbers), labels, row_numbers(whole), left_out, words_of)


def aligned(
    table: Columns,
    names: Sequence[str],
    used: Iterable[int],
    missing: Missing,
    words: Mapping[int, Sequence[str]],
) -> tuple[np.ndarray, np.ndarray]:
    """The rows (n, D) of the columns with these names, and their numbers (n,) from 1.

    A column of categories holds the places of its cells among its ``words``. Unused columns are
    zero. The columns of a table without names (a NumPy array, a CSV without a header) are used by
    position, if there are as many as names.

    Raises:
      ValueError: columns are missing, hold text or missing values. The message names all problems.
    """
    used, values = sorted(used), dict(table.values)
    unnamed = list(values) == [str(i) for i in range(len(values))]
    if unnamed and len(values) == len(names):
        values = dict(zip(names, values.values(), strict=True))
    rows = np.zeros((table.n_rows, len(names)))
    absent, refused = [], []
    for i in used:
        column, word = parted(names[i])
        if names[i] in values and (column not in values or column in names):
            column, word = names[i], None  # names from the library are not split
        if column not in values:
            absent.append(column)
        elif word is not None:
            rows[:, i] = _indicator(values[column], word)
        elif i in words:
            rows[:, i] = coded(values[column], words[i])
        else:
            found = values[column].numbers
            if found is None:
                refused.append(column)
            else:
                rows[:, i] = found
    problems = []
    if absent:
        absent = list(dict.fromkeys(absent))
        shown = ", ".join(map(repr, absent[:MOST_NAMED]))
        rest = f" and {len(absent) - MOST_NAMED} more" if len(absent) > MOST_NAMED else ""
        one = len(absent) == 1
        problems.append(
            f"the model needs the column{'' if one else 's'} {shown}{rest}, which "
            f"{'is' if one else 'are'} missing{nearest(absent[0], list(values))}"
        )
    problems += _refusal(values, list(dict.fromkeys(refused)), learned=True)
    present, wrong = look_for_missing(rows[:, used], [names[i] for i in used], missing)
    problems += wrong
    if problems:
        raise ValueError(f"{table.source}: {'; '.join(problems)}")
    return rows[present], row_numbers(present)


def coded(column: Column, words: Sequence[str]) -> np.ndarray:
    """The place (N,) of each cell among these words, the number after the last for another one."""
    places = {word: i for i, word in enumerate(words)}
    found = [places.get(word, len(places)) for word in column.words]
    return np.where(column.absent, np.nan, found)


def _is_text(column: Column) -> bool:
    """Whether the cells are words, not numbers with some words among them."""
    return 2 * len(column.strange) > column.n - int(column.absent.sum())


def _indicator(column: Column, word: str) -> np.ndarray:
    """1 for cells with the word, 0 for others, NaN for missing ones."""
    return np.where(column.absent, np.nan, column.words == word)


def _refusal(values: Mapping[str, Column], names: list[str], learned: bool = False) -> list[str]:
    """Problems of text columns, as messages."""
    if not names:
        return []
    texts = []
    for name in names[:MOST_NAMED]:
        column = values[name]
        first, n = column.strange[0], len(column.strange)
        some = f" and {n - 1:,} more" if 1 < n < column.n - int(column.absent.sum()) else ""
        holes = int(column.absent.sum())
        cells = "cell is" if holes == 1 else "cells are"
        also = f" ({holes:,} {cells} missing)" if holes else ""
        texts.append(
            f"column {name!r} holds the text {column.words[first]!r} in row {first + 1}{some}{also}"
        )
    rest = f", and {len(names) - MOST_NAMED} more columns" if len(names) > MOST_NAMED else ""
    if learned:
        return [f"{', '.join(texts)}{rest}, but the model needs numbers there"]
    drops = " ".join(f"--drop {name!r}" for name in names[:MOST_NAMED])
    this = "it" if len(names) == 1 else "them"
    return [
        f"{', '.join(texts)}{rest}: leave {this} out with {drops}, name one as --label, or make a "
        "column for each word with --text one-hot"
    ]
