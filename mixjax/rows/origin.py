"""Rows far from zero: an origin is subtracted in double precision, before rounding to single."""

import dataclasses
import warnings
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ..programs import jit, taken
from .scaling import Scaling

M = TypeVar("M")
# How many rows are examined, and the largest distance from zero in units of their range: single
# precision then keeps five digits of the differences between rows.
LOOKED_AT = 64
FAR = 100
# The share of its range by which rounding may move a column without a warning.
LOST = 1e-3
LARGEST = float(np.finfo(np.float32).max)


class Origin(NamedTuple):
    """A point among the rows, high + low, (D,) each: a double split into two singles."""

    high: np.ndarray
    low: np.ndarray


def near(x: Any, scaling: Scaling = Scaling.COLUMNS) -> tuple[Array, Origin | None]:
    """A table as a JAX array relative to an origin, and the origin; None if it needs none.

    Digits are lost only when NumPy's double precision becomes JAX's single precision.

    Args:
      x: (N, D) rows, NumPy's or JAX's.
      scaling: of the family; with `Scaling.NONE` there is no origin.

    Returns:
      (N, D) the rows, relative to the origin.
    """
    origin = None if scaling is Scaling.NONE else origin_of(x)
    if origin is None:
        return taken(x), None
    return taken(relative_rows(x, origin)), origin


def near_on_host(x: Any, scaling: Scaling = Scaling.COLUMNS) -> tuple[Any, Origin | None]:
    """The same as a NumPy array of a dtype that JAX has."""
    origin = None if scaling is Scaling.NONE else origin_of(x)
    if origin is not None:
        return relative_rows(x, origin), origin
    with np.errstate(over="ignore"):
        return np.asarray(x, jax.dtypes.canonicalize_dtype(x.dtype)), None


def rounded(x: Any) -> Array:
    """A table as a JAX array; warns where rounding loses the differences between rows."""
    if origin_of(x) is not None:
        some = x[:: max(1, len(x) // LOOKED_AT)]
        moved = np.abs(some.astype(np.float32) - some).max(axis=0)
        lost = moved > LOST * (some.max(axis=0) - some.min(axis=0))
        if lost.any():
            columns = ", ".join(map(str, np.flatnonzero(lost)[:10]))
            warnings.warn(
                f"the columns {columns} of x are so far from zero that float32 loses the digits "
                "that tell rows apart: subtract a constant from them, or set jax_enable_x64",
                stacklevel=4,
            )
    return jnp.asarray(x)


def relative_rows(x: np.ndarray, origin: Origin) -> np.ndarray:
    """The rows x (N, D) less the origin (D,), rounded after the difference."""
    place = origin.high.astype(np.float64) + origin.low
    return np.subtract(x, place, out=np.empty(x.shape, np.float32), casting="same_kind")


def placed(mixture: M, origin: Origin | None) -> M:
    """A mixture of rows relative to the origin, mapped to the rows themselves.

    If the origin has leading axes (..., D), so does the mixture.
    """
    return mixture if origin is None else _moved(mixture, origin.low, origin.high)


def relative(mixture: M, origin: Origin | None) -> M:
    """The inverse of `placed`."""
    return mixture if origin is None else _moved(mixture, -origin.high, -origin.low)


def together(mixture: Any, x: Any) -> tuple[Any, Array]:
    """A mixture and a table (N, D), both relative to the origin of the table."""
    rows, origin = near(x, mixture.components.scaling)
    return relative(mixture, origin), rows


def origin_of(x: Any) -> Origin | None:
    """The origin (..., D) of tables (..., N, D), 0 where not needed; None if no table needs one."""
    single = jax.dtypes.canonicalize_dtype(np.float64) == np.float32
    if not (single and isinstance(x, np.ndarray) and x.dtype == np.float64 and x.size):
        return None
    n, d = x.shape[-2:]
    tables = x.reshape(-1, n, d)
    # Three different rows are enough to see that zero is not far.
    few = tables[:, [0, n // 2, n - 1]]
    with np.errstate(invalid="ignore", over="ignore"):
        reach = few.max(axis=1) - few.min(axis=1)
        unclear = ~(np.abs(few[:, 1]) <= FAR * reach).all(axis=1)
    places = np.zeros((len(tables), d))
    for i in np.flatnonzero(unclear):
        places[i] = _place_in(tables[i])
    if not places.any():
        return None
    places = places.reshape(*x.shape[:-2], d)
    high = places.astype(np.float32)
    return Origin(high, (places - high).astype(np.float32))


def _place_in(table: np.ndarray) -> np.ndarray:
    """The middle (D,) of the columns that are far from zero, and 0 for the others."""
    some = table[:: max(1, len(table) // LOOKED_AT)]
    some = np.sort(np.where(np.isfinite(some), some, np.nan), axis=0)  # NaN comes last
    last = np.maximum(np.isfinite(some).sum(axis=0) - 1, 0)
    columns = np.arange(table.shape[1])
    middle, reach = some[last // 2, columns], some[last, columns] - some[0]
    for d in np.flatnonzero((reach == 0) & (middle != 0)):
        whole = table[np.isfinite(table[:, d]), d]
        reach[d] = whole.max() - whole.min()
    far = (reach > 0) & (np.abs(middle) > FAR * reach)
    return np.where(far, np.clip(middle, -LARGEST, LARGEST), 0)


@jit
def _moved(mixture: Any, first: Array, second: Array) -> Any:
    if first.ndim > 1:
        return jax.vmap(_moved)(mixture, first, second)
    same = jnp.ones_like(first)
    components = mixture.components.affine(same, first).affine(same, second)
    return dataclasses.replace(mixture, components=components)
