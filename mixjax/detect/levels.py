"""The levels of columns of categories, and values as the numbers of their levels."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from ..families.kinds import MOST_LEVELS

Levels = tuple[float | str, ...]
Asked = Literal["auto"] | Sequence[int] | Mapping[int, Sequence[str]] | None


def levels_of(kinds: Asked, columns: np.ndarray, rows: np.ndarray) -> tuple[Levels, ...]:
    """The levels of each of these columns (C,), from their values (N, C); () for numbers.

    Args:
      kinds: "auto" finds columns of few different whole numbers; or the numbers of the columns
        that hold categories; or a mapping from these to the names of their levels, which the
        table then numbers from 0.
      columns: the numbers of the columns.
      rows: their values, NaN where missing.
    """
    if kinds is None:
        return ((),) * len(columns)
    if isinstance(kinds, str):
        if kinds != "auto":
            raise ValueError(
                'kinds must be "auto", the numbers of the columns that hold categories, or a '
                f"mapping from them to the names of their levels; got {kinds!r}"
            )
        return tuple(_few_levels(values) for values in rows.T)
    named = kinds if isinstance(kinds, Mapping) else dict.fromkeys(kinds)
    if unknown := [name for name in named if name not in columns]:
        raise ValueError(
            f"kinds names the column {unknown[0]!r}, but the columns used are {columns.tolist()}"
        )
    each = zip(columns.tolist(), rows.T, strict=True)
    return tuple(_levels(named[i], i, values) if i in named else () for i, values in each)


def coded(values: Any, levels: Levels, xp: Any) -> Any:
    """The number of the level of each value (N,); NaN stays NaN.

    A value that is no level gets the number after the last one: a level that was never seen.
    """
    if isinstance(levels[0], str):
        valid = (values >= 0) & (values < len(levels)) & (values == xp.round(values))
        return xp.where(valid | xp.isnan(values), values, len(levels))
    same = values[:, None] == xp.asarray(levels, values.dtype)[None]
    numbers = xp.arange(len(levels)).astype(values.dtype)
    number = xp.sum(xp.where(same, numbers[None], 0), axis=1)
    number = xp.where(xp.any(same, axis=1), number, len(levels))
    return xp.where(xp.isnan(values), values, number)


def with_codes(z: Any, x: Any, columns: Sequence[int], levels: Any, xp: Any) -> Any:
    """Standardized columns (N, C) of rows x (N, D), with those of categories as numbers."""
    if levels is None:
        return z
    each = [
        coded(x[:, column], own, xp).astype(z.dtype) if own else z[:, i]
        for i, (column, own) in enumerate(zip(columns, levels, strict=True))
    ]
    return xp.stack(each, axis=1)


def _few_levels(values: np.ndarray) -> Levels:
    found = np.unique(values[~np.isnan(values)])
    few = 2 <= len(found) <= MOST_LEVELS and (found == np.round(found)).all()
    return tuple(found.tolist()) if few else ()


def _levels(names: Sequence[str] | None, column: int, values: np.ndarray) -> Levels:
    known = values[~np.isnan(values)]
    if names is None:
        return tuple(np.unique(known).tolist())
    wrong = (known < 0) | (known >= len(names)) | (known != np.round(known))
    if wrong.any():
        raise ValueError(
            f"column {column} must hold numbers of its {len(names)} levels, from 0, got "
            f"{known[wrong][0]:g}"
        )
    return tuple(map(str, names))
