"""Sums over the rows of a table, and what their digits allow."""

from typing import Any

import jax.numpy as jnp
from jax import Array

from ..pytrees import pytree

# With at most this many numbers, the exact form is fast enough, and alone compiles sooner.
SMALL = 2**15
# A log-probability that stands for zero but is finite, as every parameter of a fit must be.
NOTHING = -1e30


@pytree
class Moments:
    """Sums over rows, weighted by responsibility; they add up over blocks of rows.

    Attributes:
      count: (K,) sum of the responsibilities.
      first: (K, D) sums linear in the rows.
      second: sums quadratic in the rows; the shape depends on the family.

    Example:
      >>> import jax.numpy as jnp, mixjax
      >>> components = mixjax.SphericalGaussian(jnp.zeros((1, 2)), jnp.ones(1))
      >>> components.statistics(jnp.ones((3, 2)), jnp.ones((3, 1))).count.tolist()
      [3.0]
    """

    count: Array
    first: Array
    second: Any


def smallest_share(dtype: Any) -> float:
    """The share of the rows below which a component counts as empty.

    Its square is still a normal float, so quotients by it and their gradients are finite.
    """
    return float(jnp.finfo(dtype).eps) ** 2


def occupied(count: Array) -> Array:
    """Which components (K,) are not empty."""
    return count > smallest_share(count.dtype) * jnp.sum(count)


def per_count(total: Array, count: Array) -> Array:
    """``total / count`` over the leading K axis, 0 for an empty component."""
    kept = occupied(count)
    shape = count.shape + (1,) * (total.ndim - count.ndim)
    divided = total / jnp.where(kept, count, 1).reshape(shape)
    return jnp.where(kept.reshape(shape), divided, 0)


def is_small(x: Array, n_components: int) -> bool:
    """Whether a block of rows (N, D) is so small that matrix products save no time."""
    return x.size * n_components <= SMALL


def few_digits_cancel(squares: Array) -> Array:
    """Whether ``|x|² - 2 x·m + |m|²`` is accurate enough for ``|x - m|²``.

    Args:
      squares: (K,) the size of |x|² for a typical row of each component, in units of
        the component's spread: the size of what cancels.

    Returns:
      () true if the rounding error of a log-density is at most 5e-4 in float32 (a typical error
      is ten times smaller) and 1e-12 in float64.
    """
    eps = float(jnp.finfo(squares.dtype).eps)
    return eps * jnp.max(squares) < (5e-4 if eps > 1e-10 else 1e-12)
