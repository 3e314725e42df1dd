"""Tables from NumPy files."""

from typing import BinaryIO

import numpy as np

from ...files import read_npy, read_npz
from .columns import Column, Columns, column_of


def npy(file: BinaryIO, source: str) -> Columns:
    """The columns of one array."""
    try:
        table = read_npy(file)
    except ValueError as error:
        raise ValueError(f"{source} is not a readable NumPy file: {error}") from error
    return _of_array(table, source, {})


def npz(file: BinaryIO, source: str) -> Columns:
    """The columns of the single array of two axes; arrays of one axis are possible labels."""
    try:
        arrays = read_npz(file)
    except ValueError as error:
        raise ValueError(f"{source} is not a readable .npz file: {error}") from error
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
