"""Tables from files: numbers, the names of their columns, and labels."""

import csv
from pathlib import Path
from typing import NamedTuple

import numpy as np


class LabelledTable(NamedTuple):
    """Rows (N, D), names of the D columns, and (N,) labels or None."""

    rows: np.ndarray
    columns: list[str]
    labels: np.ndarray | None


def read_table(path: Path, label: str | None = None, drop: tuple[str, ...] = ()) -> LabelledTable:
    """Read ``.npz``, ``.npy`` or ``.csv``.

    Args:
      path: the file. An ``.npz`` holds one array of two axes; a CSV may have a header.
      label: the label column, by name or by number (-1 is the last); in an ``.npz`` also
        the name of an array of one axis.
      drop: columns to leave out, by name or number.

    Returns:
      The table; labels are text, as written.

    Raises:
      ValueError: the file cannot be read as such a table; the text says what was found.
    """
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    labels = None
    match path.suffix.lower():
        case ".npy":
            table = _array(path)
            columns = [str(i) for i in range(table.shape[1])]
        case ".npz":
            table, labels = _archive(path, label)
            columns = [str(i) for i in range(table.shape[1])]
        case ".csv":
            table, columns = _csv(path)
        case other:
            raise ValueError(f"{path.name}: cannot read {other or 'a file without ending'}; "
                             "give .npz, .npy or .csv")  # fmt: skip
    out = {_position(name, columns, "--drop") for name in drop}
    if label is not None and labels is None:
        position = _position(label, columns, "--label")
        labels = np.array([_text(value) for value in table[:, position]])
        out.add(position)
    kept = [i for i in range(table.shape[1]) if i not in out]
    if not kept:
        raise ValueError(f"{path.name}: no column is left beside the label")
    names = [columns[i] for i in kept]
    return LabelledTable(_numbers(table[:, kept], names, path.name), names, labels)


def _array(path: Path) -> np.ndarray:
    try:
        with path.open("rb") as file:
            table = np.load(file, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise ValueError(f"{path.name} is no NumPy file that can be read: {error}") from error
    if table.ndim != 2:
        raise ValueError(f"{path.name} holds an array of shape {table.shape}, not a table")
    return table


def _archive(path: Path, label: str | None) -> tuple[np.ndarray, np.ndarray | None]:
    try:
        # Opened here: NumPy leaves open what turns out to be no archive.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except Exception as error:  # a broken zip raises many things, all meaning the same
        raise ValueError(f"{path.name} is no .npz file that can be read: {error}") from error
    tables = {name: value for name, value in arrays.items() if value.ndim == 2}
    shapes = {name: value.shape for name, value in arrays.items()}
    if len(tables) != 1:
        raise ValueError(f"{path.name} must hold one array of two axes, found {shapes}")
    (table,) = tables.values()
    if label is None or label not in arrays or arrays[label].ndim == 2:
        return table, None
    labels = arrays[label]
    if labels.shape != (table.shape[0],):
        raise ValueError(f"{path.name}: the label {label!r} does not fit the rows: {shapes}")
    return table, np.array([_text(value) for value in labels])


def _csv(path: Path) -> tuple[np.ndarray, list[str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = [line for line in csv.reader(file) if line]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path.name} is no CSV file that can be read: {error}") from error
    if not lines:
        raise ValueError(f"{path.name} is empty")
    # A header is a first line without any number in it.
    header = not any(_is_number(cell) for cell in lines[0])
    columns = lines[0] if header else [str(i) for i in range(len(lines[0]))]
    body = lines[1:] if header else lines
    if not body:
        raise ValueError(f"{path.name} has a header but no rows")
    for number, line in enumerate(body, start=2 if header else 1):
        if len(line) != len(columns):
            raise ValueError(
                f"{path.name}, line {number}: {len(line)} cells, expected {len(columns)}"
            )
    return np.array(body, dtype=object), columns


def _numbers(table: np.ndarray, names: list[str], file: str) -> np.ndarray:
    if table.dtype != object:
        if table.dtype.kind not in "fiub":
            raise ValueError(f"{file} holds {table.dtype}, not numbers")
        return table.astype(np.float64)
    numbers = np.empty(table.shape)
    for j, name in enumerate(names):
        for i, cell in enumerate(table[:, j]):
            if cell.strip() == "":
                numbers[i, j] = np.nan
            elif _is_number(cell):
                numbers[i, j] = float(cell)
            else:
                raise ValueError(
                    f"{file}: column {name!r} holds the text {cell!r} in row {i}: leave it out "
                    f"with --drop {name}, name it as --label, or turn it into numbers"
                )
    return numbers


def _position(name: str, columns: list[str], option: str) -> int:
    if name in columns:
        return columns.index(name)
    try:
        number = int(name)
    except ValueError:
        number = len(columns)
    if not -len(columns) <= number < len(columns):
        shown = ", ".join(columns[:12]) + (", ..." if len(columns) > 12 else "")
        raise ValueError(f"{option} {name}: there is no such column; there are {shown}")
    return number % len(columns)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _text(value: object) -> str:
    """A label as a person would write it: 0 for 0.0."""
    text = str(value).strip()
    if _is_number(text) and float(text).is_integer():
        return str(int(float(text)))
    return text
