"""Tables from NumPy's files."""

import math
import os
from typing import BinaryIO

import numpy as np

from .columns import Column, Columns, column_of


def npy(file: BinaryIO, source: str) -> Columns:
    """The columns of one array; the file must hold as much as its header says."""
    try:
        _require_whole(file)
        table = np.load(file, allow_pickle=False)
    except (ValueError, EOFError, OSError, MemoryError) as error:
        raise ValueError(f"{source} is no NumPy file that can be read: {error}") from error
    return _of_array(table, source, {})


def npz(file: BinaryIO, source: str) -> Columns:
    """The columns of the one array of two axes; arrays of one axis stand beside it."""
    try:
        with np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except Exception as error:  # a broken zip raises many things, all meaning the same
        raise ValueError(f"{source} is no .npz file that can be read: {error}") from error
    tables = {name: value for name, value in arrays.items() if value.ndim == 2}
    if len(tables) != 1:
        shapes = {name: value.shape for name, value in arrays.items()}
        raise ValueError(f"{source} must hold one array of two axes, found {shapes}")
    (table,) = tables.values()
    beside = {
        name: column_of(value)
        for name, value in arrays.items()
        if value.ndim == 1 and len(value) == len(table)
    }
    return _of_array(table, source, beside)


def _of_array(table: np.ndarray, source: str, beside: dict[str, Column]) -> Columns:
    if table.dtype.names and table.ndim == 1:
        return Columns(source, {name: column_of(table[name]) for name in table.dtype.names}, beside)
    if table.ndim != 2:
        raise ValueError(f"{source} holds an array of shape {table.shape}, not a table")
    if table.dtype.kind not in "fiubUSmM":
        raise ValueError(f"{source} holds {table.dtype}, not numbers")
    return Columns(source, {str(i): column_of(table[:, i]) for i in range(table.shape[1])}, beside)


def _require_whole(file: BinaryIO) -> None:
    """Raise before memory is asked for that a header claims and the file does not hold."""
    version = np.lib.format.read_magic(file)
    read = {(1, 0): np.lib.format.read_array_header_1_0}.get(
        version, np.lib.format.read_array_header_2_0
    )
    shape, _, dtype = read(file)
    wanted, here = math.prod(shape) * dtype.itemsize, file.tell()
    there = file.seek(0, os.SEEK_END) - here
    file.seek(0)
    if wanted > there and not dtype.hasobject:
        raise ValueError(f"its header says {wanted:,} bytes, but there are {there:,}")
