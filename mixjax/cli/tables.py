"""Tables from files: columns by name, of numbers or of text."""

import csv
import io
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from ..files import read_npy, read_npz

# How other programs write that there is no value.
MISSING = {"", "na", "n/a", "nan", "null", "none", "<na>", "?"}
READ = ".csv, .parquet, .npz and .npy"


class Columns(NamedTuple):
    """A table as it was read.

    Attributes:
      source: what to call it in messages.
      values: the columns (N,) by name; float64 (NaN where a value is missing), or text.
      beside: arrays of one axis that an ``.npz`` holds beside its table.
    """

    source: str
    values: dict[str, np.ndarray]
    beside: dict[str, np.ndarray]


def read_columns(path: Path) -> Columns:
    """Read ``.csv``, ``.parquet``, ``.npz`` or ``.npy``.

    Args:
      path: the file. An ``.npz`` holds one array of two axes; a CSV may have a header.

    Returns:
      Its columns. Those of an array are named 0, 1, ...

    Raises:
      ValueError: the file cannot be read as such a table; the text says what was found.
    """
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise ValueError(
            f"{path.name}: cannot read {path.suffix or 'a file without ending'}; give {READ}"
        )
    with path.open("rb") as file:
        return reader(file, path.name)


def read_stream(stream: BinaryIO, source: str) -> Columns:
    """Read a table of any of these kinds, told by its first bytes."""
    content = stream.read()
    known = {b"PK\x03\x04": ".npz", b"\x93NUMPY": ".npy", b"PAR1": ".parquet"}
    kind = next((end for start, end in known.items() if content.startswith(start)), ".csv")
    return READERS[kind](io.BytesIO(content), source)


def _npy(file: BinaryIO, source: str) -> Columns:
    try:
        table = read_npy(file)
    except ValueError as error:
        raise ValueError(f"{source} is no NumPy file that can be read: {error}") from error
    if table.ndim != 2:
        raise ValueError(f"{source} holds an array of shape {table.shape}, not a table")
    return _of_array(table, source, {})


def _npz(file: BinaryIO, source: str) -> Columns:
    try:
        arrays = read_npz(file)
    except ValueError as error:
        raise ValueError(f"{source} is no .npz file that can be read: {error}") from error
    tables = {name: value for name, value in arrays.items() if value.ndim == 2}
    if len(tables) != 1:
        shapes = {name: value.shape for name, value in arrays.items()}
        raise ValueError(f"{source} must hold one array of two axes, found {shapes}")
    (table,) = tables.values()
    beside = {
        name: value
        for name, value in arrays.items()
        if value.ndim == 1 and len(value) == len(table)
    }
    return _of_array(table, source, beside)


def _of_array(table: np.ndarray, source: str, beside: dict[str, np.ndarray]) -> Columns:
    if table.dtype.kind not in "fiubUS":
        raise ValueError(f"{source} holds {table.dtype}, not numbers")
    values = {str(i): column(table[:, i]) for i in range(table.shape[1])}
    return _some(Columns(source, values, beside))


def _csv(file: BinaryIO, source: str) -> Columns:
    try:
        with io.TextIOWrapper(file, encoding="utf-8-sig", newline="") as text:
            lines = [line for line in csv.reader(text) if line]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{source} is no CSV file that can be read: {error}") from error
    if not lines:
        raise ValueError(f"{source} is empty")
    # A header is a first line without any number in it.
    header = not any(is_number(cell) for cell in lines[0])
    names = [name.strip() for name in lines[0]] if header else list(map(str, range(len(lines[0]))))
    body = lines[1:] if header else lines
    if not body:
        raise ValueError(f"{source} has a header but no rows")
    for number, line in enumerate(body, start=2 if header else 1):
        if len(line) != len(names):
            raise ValueError(f"{source}, line {number}: {len(line)} cells, expected {len(names)}")
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(f"{source}: several columns have the name {repeated[0]!r}")
    cells = zip(*body, strict=True)
    values = {n: column(np.array(c, object)) for n, c in zip(names, cells, strict=True)}
    return Columns(source, values, {})


def _parquet(file: BinaryIO, source: str) -> Columns:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise ValueError(
            "Parquet needs an extra (pyarrow is missing): pip install 'mixjax[stream]'"
        ) from error
    try:
        table = parquet.read_table(file)
    except (pyarrow.ArrowException, OSError) as error:
        raise ValueError(f"{source} is no Parquet file that can be read: {error}") from error
    repeated = sorted({n for n in table.column_names if table.column_names.count(n) > 1})
    if repeated:
        raise ValueError(f"{source}: several columns have the name {repeated[0]!r}")
    values = {}
    for name, chunks in zip(table.column_names, table.columns, strict=True):
        if pyarrow.types.is_decimal(chunks.type):
            chunks = chunks.cast("float64")
        values[name] = column(chunks.to_numpy())
    return _some(Columns(source, values, {}))


READERS = {".csv": _csv, ".parquet": _parquet, ".npz": _npz, ".npy": _npy}


def _some(table: Columns) -> Columns:
    lengths = {len(values) for values in table.values.values()}
    if lengths in (set(), {0}):
        raise ValueError(f"{table.source} is empty: it has no {'rows' if lengths else 'columns'}")
    return table


def column(values: np.ndarray) -> np.ndarray:
    """Float64 with NaN where a value is missing; if there are words among them, text."""
    if values.dtype.kind in "fiub":
        return values.astype(np.float64)
    if values.dtype.kind == "M":
        # Seconds; a date that is missing is NaN.
        seconds = values.astype("datetime64[ns]").astype(np.int64) / 1e9
        return np.where(np.isnat(values), np.nan, seconds)
    try:
        return values.astype(np.float64)
    except (ValueError, TypeError):
        text = np.array([text_of(value) for value in values], object)
    absent = np.array([cell.lower() in MISSING for cell in text])
    try:
        return np.where(absent, "nan", text).astype(np.float64)
    except ValueError:
        return text


def text_of(value: Any) -> str:
    """A cell as a person would write it: 0 for 0.0, nothing for a value that is missing."""
    if value is None:
        return ""
    text = (value.decode(errors="replace") if isinstance(value, bytes) else str(value)).strip()
    if is_number(text) and float(text).is_integer():
        return str(int(float(text)))
    return text


def is_number(cell: str) -> bool:
    """Whether a cell is written as a number."""
    try:
        float(cell)
    except ValueError:
        return False
    return True
