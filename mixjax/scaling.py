"""Centre and scale of each column: what makes a fit equivariant to ``a * x + b``."""

import dataclasses
import enum
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from .rows import Rows


class Scaling(enum.Enum):
    """Which maps ``scale * x + shift`` take a family's members to members of it.

    Example:
      >>> import mixjax
      >>> mixjax.SphericalGaussian.scaling
      <Scaling.SHARED: 'shared'>
    """

    COLUMNS = "columns"  # a scale for each column
    SHARED = "shared"  # one scale for all of them
    NONE = "none"  # none: the data must be left as they are


class Scale(NamedTuple):
    """Centre (D,) and scale (D,) of the columns, and their variances (D,)."""

    shift: Array
    scale: Array
    variance: Array


def column_scale(rows: Rows, scaling: Scaling = Scaling.COLUMNS) -> Scale:
    """Weighted centre, scale and variance of each column.

    The spread is divided by the largest deviation before it is squared, so columns of
    1e-15 or 1e15 neither underflow nor overflow in float32. A column of one value is
    told by its extremes, not by a threshold: its centre is that value and both its
    scale and its variance are 1.
    """
    x, weights = rows.x, rows.weights[:, None]
    total = jnp.where(rows.total > 0, rows.total, 1)
    # Blocks first, then rows: a reduction over a leading axis is the fast one, and a sum
    # in two parts keeps digits that a single long one loses.
    low = jnp.min(jnp.min(jnp.where(weights > 0, x, jnp.inf), axis=0), axis=1)
    high = jnp.max(jnp.max(jnp.where(weights > 0, x, -jnp.inf), axis=0), axis=1)
    low, high = jnp.where(low > high, 0, low), jnp.where(low > high, 0, high)
    constant = low == high
    middle = jnp.where(constant, low, 0.5 * low + 0.5 * high)
    reach = jnp.where(constant, 1, jnp.maximum(high - middle, middle - low))

    def mean_of(values: Array) -> Array:
        return jnp.sum(jnp.sum(values, axis=0), axis=1) / total

    unit = (x - middle[None, :, None]) / reach[None, :, None]
    mean = mean_of(weights * unit)
    spread = jnp.sqrt(mean_of(weights * (unit - mean[None, :, None]) ** 2))
    spread = jnp.where(constant | (spread == 0), 1, reach * spread)
    shift = jnp.where(constant, low, middle + reach * mean)
    match scaling:
        case Scaling.COLUMNS:
            return Scale(shift, spread, spread**2)
        case Scaling.SHARED:
            varies = jnp.where(constant, 0, spread)
            widest = jnp.max(varies)
            widest = jnp.where(widest > 0, widest, 1)
            return Scale(shift, jnp.full_like(shift, widest), spread**2)
        case Scaling.NONE:
            return Scale(jnp.zeros_like(shift), jnp.ones_like(shift), spread**2)


def standardized(rows: Rows, scale: Scale) -> Rows:
    """The rows as ``(x - shift) / scale``; absent rows read as zero."""
    shift, width = scale.shift[None, :, None], scale.scale[None, :, None]
    present = rows.weights[:, None] > 0
    x = (jnp.where(present, rows.x, shift) - shift) / width
    return dataclasses.replace(rows, x=x)
