"""Any table as numbers: arrays, lists, and the frames of pandas, polars and Arrow."""

import datetime
import numbers
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .observed import Observed

# Tables of these libraries are read through narwhals.
LIBRARIES = {"pandas", "polars", "pyarrow", "modin", "cudf", "dask", "duckdb", "ibis", "pyspark"}
EPOCH = datetime.datetime(1970, 1, 1)
DAY = datetime.timedelta(days=1)
# Types of cells that NumPy converts directly; None is a missing value.
PLAIN = {float, int, bool, type(None), np.float64, np.float32, np.int64, np.bool_, Decimal}


def rows_of(x: Any, name: str = "x") -> tuple[Any, tuple[str, ...] | None]:
    """A table as an array of numbers, and its column names if it has any.

    Arrays of floats are unchanged, also traced ones. Whole numbers and booleans become
    floats, dates the days since 1970 (UTC), durations days. In a frame a missing value is NaN.

    Args:
      x: an array, lists of numbers, a mapping of columns by name, or a frame of pandas, polars or
        pyarrow (extra ``frames``).
      name: what to call it in messages.

    Returns:
      The array, of any shape, and the names as text or None.

    Raises:
      TypeError: text, complex numbers, or a sparse matrix.
      ValueError: a masked array with masked cells, columns of different lengths, or a repeated
        column name.
      ImportError: x is a frame and narwhals is not installed.

    Example:
      >>> from mixjax.rows.frames import rows_of
      >>> rows_of({"a": [1, 2], "b": [True, False]})
      (array([[1., 1.],
             [2., 0.]]), ('a', 'b'))
    """
    if isinstance(x, Observed):
        raise TypeError(
            f"{name} is mixjax.Observed, which this function does not take: pass a table, for "
            "example mixjax.impute(mixture, rows)"
        )
    x = _of_jax(x)
    if isinstance(x, jax.Array):
        whole = jnp.issubdtype(x.dtype, np.integer) or x.dtype == bool
        return (x.astype(float) if whole else x), None
    if not isinstance(x, np.ndarray):
        columns = columns_of(x, name)
        if columns is not None:
            names = tuple(map(str, columns))
            floats = [_column(v, f"{name}, column {n!r}") for n, v in columns.items()]
            return _stacked(floats, name), names
    elif x.dtype.names:
        return rows_of({n: x[n] for n in x.dtype.names}, name)
    return _floats(array_of(x, name), name), None


def values_of(x: Any, name: str) -> Any:
    """One number for each row, such as weights or labels; whole numbers stay whole.

    Args:
      x: an array, a list, or a series of pandas, polars or pyarrow.
      name: what to call it in messages.

    Returns:
      The array, of any shape.

    Raises:
      TypeError, ValueError, ImportError: as `rows_of`.

    Example:
      >>> from mixjax.rows.frames import values_of
      >>> values_of([0, 1, 1], "labels")
      array([0, 1, 1])
    """
    x = _of_jax(x)
    if isinstance(x, jax.Array):
        return x
    values = array_of(x, name)
    return values if values.dtype.kind in "iub" else _floats(values, name)


def keys_of(x: Any, name: str) -> np.ndarray:
    """One key for each row: a number, a string or a date. Different keys stay different.

    Args:
      x: an array, a list, or a series of pandas, polars or pyarrow.
      name: what to call it in messages.

    Returns:
      The array; its dtype is object if the keys have several types.

    Raises:
      TypeError, ValueError, ImportError: as `rows_of`.

    Example:
      >>> from mixjax.rows.frames import keys_of
      >>> keys_of(["pump", "fan"], "groups").tolist(), keys_of(["pump", 1], "groups").tolist()
      (['pump', 'fan'], ['pump', 1])
    """
    keys = np.asarray(x) if isinstance(x, jax.Array) else array_of(x, name)
    words = keys.dtype == object and all(isinstance(key, str) for key in keys.ravel())
    return keys.astype(str) if words and keys.size else keys


def is_frame(x: Any) -> bool:
    """Whether this is a table with named columns, such as one of pandas, polars or pyarrow."""
    return _is_foreign(x) and hasattr(type(x), "columns")


def in_order(x: Any, wanted: Sequence[str], name: str = "x") -> Any:
    """A table as from `rows_of`, with its columns in the order of these names.

    Columns are taken by position if the table has no names, or none of these names.

    Raises:
      ValueError: a column is missing; otherwise as `rows_of`.
    """
    return ordered(*rows_of(x, name), wanted, name)


def ordered(rows: Any, names: Sequence[str] | None, wanted: Sequence[str], name: str = "x") -> Any:
    """Rows (N, D) with the columns of these names, in the order of the wanted ones."""
    if names is None or names == tuple(wanted) or not set(names) & set(wanted):
        return rows
    absent = [repr(column) for column in wanted if column not in names]
    if absent:
        raise ValueError(
            f"{name} has no column {', '.join(absent[:5])}; it has {', '.join(names[:12])}"
        )
    return rows[:, [names.index(column) for column in wanted]]


def _of_jax(x: Any) -> Any:
    """The array behind a wrapper, such as a parameter of a network."""
    if isinstance(x, jax.Array) or not hasattr(x, "__jax_array__"):
        return x
    return x.__jax_array__()


def columns_of(x: Any, name: str) -> dict[Any, Any] | None:
    """The columns of a frame or a mapping, by name."""
    if isinstance(x, Mapping):
        return dict(x)
    frame = _through_narwhals(x, name)
    if not hasattr(frame, "columns"):
        return None
    return dict(zip(frame.columns, frame.iter_columns(), strict=True))


def _is_foreign(x: Any) -> bool:
    return bool(LIBRARIES & {kind.__module__.partition(".")[0] for kind in type(x).__mro__})


def _through_narwhals(x: Any, name: str) -> Any:
    """A frame or series of a known library through narwhals; anything else unchanged."""
    if not _is_foreign(x):
        return x
    try:
        import narwhals
    except ImportError as error:
        raise ImportError(
            f"{name} is a {type(x).__name__} of {type(x).__module__.partition('.')[0]}, which "
            "needs narwhals: pip install 'mixjax[frames]', or pass x.to_numpy()"
        ) from error
    if type(x).__name__ == "RecordBatch":
        x = type(x.schema.empty_table()).from_batches([x])
    try:
        frame = narwhals.from_native(x, pass_through=True, allow_series=True)
    except narwhals.exceptions.DuplicateError as error:
        repeated = " ".join(str(error).split())
        raise ValueError(f"{name} has several columns with the same name: {repeated}") from error
    return frame.collect() if isinstance(frame, narwhals.LazyFrame) else frame


def array_of(x: Any, name: str) -> np.ndarray:
    """A NumPy array of anything that is not a frame; its cells are not checked yet."""
    if isinstance(x, np.ma.MaskedArray):
        n_masked = int(np.ma.count_masked(x))
        if n_masked:
            raise ValueError(
                f"{name} is a masked array with {n_masked} masked cells: drop their rows, or "
                f"fill them, for example {name}.filled(0)"
            )
        return x.data
    if isinstance(x, np.ndarray):
        return x
    if hasattr(x, "toarray") and hasattr(x, "nnz"):
        raise TypeError(f"{name} is a sparse matrix: pass a dense one, {name}.toarray()")
    if isinstance(x, list | tuple):
        if any(isinstance(row, np.ma.MaskedArray) for row in x):
            return array_of(np.ma.stack(x), name)
        try:
            values = np.asarray(x)
        except ValueError as error:
            raise ValueError(f"{name} must have rows of equal length") from error
        # NumPy turns all cells into text if one is text; the message names that cell.
        return np.asarray(x, object) if values.dtype.kind in "US" else values
    series = _through_narwhals(x, name)
    if type(getattr(series, "dtype", None)).__name__ in ("Categorical", "Enum"):
        return np.array(series.to_list(), object)
    return np.asarray(series.to_numpy() if series is not x else x)


def _column(values: Any, where: str) -> np.ndarray:
    floats = _floats(array_of(values, where), where)
    if floats.ndim != 1:
        raise TypeError(f"{where} must hold one number for each row, got shape {floats.shape}")
    return floats


def _stacked(columns: list[np.ndarray], name: str) -> np.ndarray:
    lengths = sorted({len(column) for column in columns})
    if len(lengths) > 1:
        raise ValueError(f"{name} has columns of {' and '.join(map(str, lengths))} rows")
    if not columns:
        return np.empty((0, 0))
    single = all(column.dtype == np.float32 for column in columns)
    return np.stack(columns, axis=1, dtype=np.float32 if single else np.float64, casting="unsafe")


def _floats(values: np.ndarray, where: str) -> np.ndarray:
    """Floats from numbers, dates or durations; an error names a cell that is text."""
    kind = values.dtype.kind
    if kind == "f" or jnp.issubdtype(values.dtype, np.floating):
        return values
    if kind in "iub":
        return values.astype(np.float64)
    if kind in "mM":
        since = values if kind == "m" else values - np.datetime64("1970-01-01")
        days = since / np.timedelta64(1, "D")
        return np.where(np.isnat(since), np.nan, days)
    if kind in "OUS":
        return _objects(values.astype(object), where)
    raise TypeError(f"{where} must hold real numbers, got {values.dtype}")


def _objects(values: np.ndarray, where: str) -> np.ndarray:
    cells = values.ravel()
    if not set(map(type, cells)) <= PLAIN:
        cells = np.array([_number(cell, i, values.shape, where) for i, cell in enumerate(cells)])
    try:
        return cells.astype(np.float64).reshape(values.shape)
    except OverflowError as error:
        raise ValueError(f"{where} holds a number too large for a float") from error


def _number(cell: Any, place: int, shape: tuple[int, ...], where: str) -> Any:
    """A cell of an object array as a float; NaN if the value is missing."""
    if cell is None or cell is np.ma.masked or type(cell).__name__ in ("NAType", "NaTType"):
        return np.nan
    if isinstance(cell, numbers.Real | Decimal):
        return float(cell)
    if isinstance(cell, datetime.datetime):
        return (cell.replace(tzinfo=None) - (cell.utcoffset() or 0 * DAY) - EPOCH) / DAY
    if isinstance(cell, datetime.date):
        return float(cell.toordinal() - EPOCH.toordinal())
    if isinstance(cell, datetime.timedelta):
        return cell / DAY
    if isinstance(cell, np.datetime64 | np.timedelta64):
        return float(_floats(np.asarray(cell), where))
    if isinstance(cell, np.ndarray | jax.Array | np.generic) and np.ndim(cell) == 0:
        return _number(cell.item(), place, shape, where)
    at = np.unravel_index(place, shape) if shape else ()
    column = f", column {at[1]}" if len(at) == 2 else ""
    row = f" in row {at[0]}" if at else ""
    raise TypeError(
        f"{where}{column} must hold numbers, got {cell!r}{row}: drop the column, or "
        "convert it to numbers first"
    )
