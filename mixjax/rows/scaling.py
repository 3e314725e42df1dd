"""Center and scale of each column: what makes a fit equivariant to ``a * x + b``."""

import enum
from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from ..linalg import matmul
from .blocks import Rows, Table, summed


class Scaling(enum.Enum):
    """The affine maps ``scale * x + shift`` under which a family is closed.

    Example:
      >>> import mixjax
      >>> mixjax.SphericalGaussian.scaling
      <Scaling.SHARED: 'shared'>
    """

    COLUMNS = "columns"  # a scale for each column
    SHARED = "shared"  # one scale for all columns
    NONE = "none"  # the data must not be scaled


class Scale(NamedTuple):
    """Center (D,) and scale (D,) of the columns, and the variances (D,) of the scaled ones.

    The square of a scale is never formed: 1e-60 is not a float32.
    """

    shift: Array
    scale: Array
    variance: Array


def column_scale(table: Table, scaling: Scaling = Scaling.COLUMNS) -> Scale:
    """Weighted center, scale and variance of each column.

    The spread is divided by the largest deviation before it is squared, so columns of
    1e-15 or 1e15 neither underflow nor overflow in float32. A column is constant
    if its extremes are equal, without a threshold: its center is that value and both its
    scale and its variance are 1.
    """
    zeros = jnp.zeros(table.x.shape[1:], table.x.dtype)

    def extremes(carry: tuple[Array, ...], rows: Array, weights: Array) -> tuple[Array, ...]:
        low, high, total = carry
        present = weights[:, None] > 0
        low = jnp.minimum(low, jnp.min(jnp.where(present, rows, jnp.inf), axis=0))
        high = jnp.maximum(high, jnp.max(jnp.where(present, rows, -jnp.inf), axis=0))
        return low, high, total + jnp.sum(weights)

    none = jnp.zeros((), table.x.dtype)
    low, high, total = table.fold(extremes, (zeros + jnp.inf, zeros - jnp.inf, none))
    if table.axes:
        low, high = lax.pmin(low, table.axes), lax.pmax(high, table.axes)
        total = summed(total, table.axes)
    total = jnp.where(total > 0, total, 1)
    low, high = jnp.where(low > high, 0, low), jnp.where(low > high, 0, high)
    constant = low == high
    # XLA rewrites low / 2 + high / 2 as (low + high) / 2, and a quotient as a product with
    # 1 / reach: neither may leave the range of floats.
    same_sign = (low > 0) == (high > 0)
    middle = jnp.where(same_sign, low + 0.5 * (high - low), 0.5 * (low + high))
    middle = jnp.where(constant, low, middle)
    largest = 0.125 * float(jnp.finfo(zeros.dtype).max)
    reach = jnp.where(constant, 1, jnp.maximum(high - middle, middle - low))
    reach = jnp.minimum(reach, largest)

    def mean_of(f: Callable[[Array], Array]) -> Array:
        def add(carry: Array, rows: Array, weights: Array) -> Array:
            return carry + matmul(weights, f((rows - middle[None]) / reach[None]))

        return summed(table.fold(add, zeros), table.axes) / total

    mean = mean_of(lambda unit: unit)
    spread = reach * jnp.sqrt(mean_of(lambda unit: (unit - mean[None]) ** 2))
    spread = jnp.where(constant | (spread == 0), 1, jnp.minimum(spread, largest))
    shift = jnp.where(constant, low, middle + reach * mean)
    return scale_of(shift, spread, constant, scaling)


def scale_of(shift: Array, spread: Array, constant: Array, scaling: Scaling) -> Scale:
    """The scale of columns with these centers and spreads (D,); 1 for a constant column."""
    match scaling:
        case Scaling.COLUMNS:
            return Scale(shift, spread, jnp.ones_like(spread))
        case Scaling.SHARED:
            widest = jnp.max(jnp.where(constant, 0, spread))
            widest = jnp.where(widest > 0, widest, 1)
            # A constant column gets the variance of the others: its own is zero.
            share = jnp.where(constant, 1, spread / widest)
            return Scale(shift, jnp.full_like(shift, widest), share**2)
        case Scaling.NONE:
            return Scale(jnp.zeros_like(shift), jnp.ones_like(shift), spread**2)


def standardized(table: Table, scaling: Scaling, sort: bool = False) -> tuple[Rows, Scale]:
    """The table in blocks of scaled rows, and how it was scaled.

    The scale is held constant in gradients: a fit to the scaled rows that is mapped back does
    not depend on it.
    """
    scale = lax.stop_gradient(column_scale(table, scaling))
    rows = table.standardized(scale.shift, scale.scale)
    return (rows.sorted(table.x) if sort else rows), scale
