"""Tables from Parquet files."""

from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa

from ...rows.frames import values_of
from .columns import Column, Columns


def parquet(file: BinaryIO, source: str) -> Columns:
    """The columns of a Parquet file; an index of pandas only numbers the rows."""
    from pyarrow import parquet

    try:
        table = parquet.read_table(file)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{source} is not a readable Parquet file: {error}") from error
    names = [str(name) for name in table.column_names]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(f"{source}: several columns have the name {repeated[0]!r}")
    values = {name: _column(cells) for name, cells in zip(names, table.columns, strict=True)}
    index = frozenset(name for name in names if name.startswith("__index_level_"))
    days = [n for n, c in zip(names, table.columns, strict=True) if pa.types.is_temporal(c.type)]
    notes = (f"{', '.join(map(repr, days[:5]))}: dates and durations, in days",) if days else ()
    return Columns(source, values, {}, index if len(index) < len(names) else frozenset(), notes)


def _column(cells: Any) -> Column:
    if pa.types.is_dictionary(cells.type):
        cells = cells.cast(cells.type.value_type)
    if pa.types.is_time(cells.type):
        unit = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[cells.type.unit]
        whole = pa.int32() if cells.type.bit_width == 32 else pa.int64()
        return Column(values_of(cells.cast(whole), "time") / (86400.0 * unit), cells)
    try:
        return Column(np.asarray(values_of(cells, "column"), np.float64), cells)
    except TypeError:  # text, or lists
        return Column(None, cells)
