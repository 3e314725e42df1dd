"""Center and scale of each column: what makes a fit equivariant to ``a * x + b``."""

import enum
from typing import Any, NamedTuple

from jax import Array, lax

from .blocks import Rows, Table, summed
from .executor import Compiled, executor_of
from .host_table import HostTable


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

    Attributes:
      volume: () the mean over the rows of the sum of the logarithms of the scales, if it is not
        the same for all rows.
    """

    shift: Array
    scale: Array
    variance: Array
    volume: Array | None = None


def column_scale(table: Table | HostTable, scaling: Scaling = Scaling.COLUMNS) -> Scale:
    """Weighted center, scale and variance of each column; see `column_moments`."""
    return scale_of(*column_moments(table), scaling)


def column_moments(table: Table | HostTable) -> tuple[Array, Array, Array]:
    """Weighted center and spread (D,) of each column, and whether it is constant.

    The spread is divided by the largest deviation before it is squared, so columns of
    1e-15 or 1e15 neither underflow nor overflow in float32. A column is constant
    if its extremes are equal, without a threshold: its center is that value and its spread is 1.
    """
    xp, dtype = table.on.xp, table.x.dtype
    zeros = xp.zeros(table.x.shape[1:], dtype)

    def extremes(carry: tuple[Array, ...], rows: Array, weights: Array) -> tuple[Array, ...]:
        low, high, total = carry
        present = weights[:, None] > 0
        low = xp.minimum(low, xp.min(xp.where(present, rows, xp.inf), axis=0))
        high = xp.maximum(high, xp.max(xp.where(present, rows, -xp.inf), axis=0))
        return low, high, total + xp.sum(weights)

    none = xp.zeros((), dtype)
    low, high, total = table.fold(extremes, (zeros + xp.inf, zeros - xp.inf, none))
    if table.axes:
        low, high = lax.pmin(low, table.axes), lax.pmax(high, table.axes)
        total = summed(total, table.axes)
    total = xp.where(total > 0, total, 1)
    low, high = xp.where(low > high, 0, low), xp.where(low > high, 0, high)
    constant = low == high
    # XLA rewrites low / 2 + high / 2 as (low + high) / 2, and a quotient as a product with
    # 1 / reach: neither may leave the range of floats.
    same_sign = (low > 0) == (high > 0)
    middle = xp.where(same_sign, low + 0.5 * (high - low), 0.5 * (low + high))
    middle = xp.where(constant, low, middle)
    largest = 0.125 * float(xp.finfo(dtype).max)
    reach = xp.where(constant, 1, xp.maximum(high - middle, middle - low))
    reach = xp.minimum(reach, largest)

    def moment(i: Any, carry: tuple[Array, Array]) -> tuple[Array, Array]:
        """The mean in the first round, the mean square about it in the second."""
        mean, _ = carry

        def add(total: Array, rows: Array, weights: Array) -> Array:
            unit = (rows - middle[None]) / reach[None]
            return total + table.on.matmul(weights, xp.where(i > 0, (unit - mean[None]) ** 2, unit))

        found = summed(table.fold(add, zeros), table.axes) / total
        return xp.where(i > 0, mean, found), xp.where(i > 0, found, 0)

    # A loop, so that it is compiled once.
    mean, square = table.on.fori_loop(0, 2, moment, (zeros, zeros))
    spread = reach * xp.sqrt(square)
    spread = xp.where(constant | (spread == 0), 1, xp.minimum(spread, largest))
    return xp.where(constant, low, middle + reach * mean), spread, constant


def scale_of(shift: Array, spread: Array, constant: Array, scaling: Scaling) -> Scale:
    """The scale of columns with these centers and spreads (D,); 1 for a constant column."""
    xp = executor_of(shift).xp
    match scaling:
        case Scaling.COLUMNS:
            return Scale(shift, spread, xp.ones_like(spread))
        case Scaling.SHARED:
            widest = xp.max(xp.where(constant, 0, spread))
            widest = xp.where(widest > 0, widest, 1)
            # A constant column gets the variance of the others: its own is zero.
            share = xp.where(constant, 1, spread / widest)
            return Scale(shift, xp.full_like(shift, widest), share**2)
        case Scaling.NONE:
            return Scale(xp.zeros_like(shift), xp.ones_like(shift), spread**2)


def standardized(
    table: Table | HostTable, scaling: Scaling, sort: bool = False
) -> tuple[Rows, Scale]:
    """The table in blocks of scaled rows, and how it was scaled.

    The scale is held constant in gradients: a fit to the scaled rows that is mapped back does
    not depend on it.
    """
    scale = column_scale(table, scaling)
    if table.on is Compiled:
        scale = lax.stop_gradient(scale)
    rows = table.standardized(scale.shift, scale.scale)
    return (rows.sorted(table.in_places()) if sort else rows), scale
