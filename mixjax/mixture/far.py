"""Rows so far away that the square of a distance overflows, and what is still known of them."""

import jax
import jax.numpy as jnp
from jax import Array, lax

from ..families.family import Family


def within_reach(components: Family, x: Array, *, nearest: bool = False) -> Array:
    """The rows x (N, D); those too far away for squares are moved nearer on a straight line.

    All values of a row shrink by one factor, so the farthest column stays the farthest. Infinity
    counts as the largest float. If the family has no `extent`, the rows are unchanged.

    Args:
      components: K of them; the rows are moved toward their middle.
      x: (N, D) rows.
      nearest: whether to move the rows to where the distances to components of equal width
        still differ; otherwise they move only as near as squares need.

    Returns:
      (N, D), equal to x except for far rows, which have no gradient.
    """
    extent = components.extent()
    if extent is None:
        return x
    center, width = (lax.stop_gradient(array) for array in extent)
    low, high = jnp.min(center, axis=0), jnp.max(center, axis=0)
    middle = 0.5 * low + 0.5 * high
    width = jnp.max(width, axis=0) + (high - low)
    # A million times less than the root of the largest float: room for narrow components and sums.
    limit = 1e-6 * float(jnp.finfo(x.dtype).max) ** 0.5
    wanted = float(jnp.finfo(x.dtype).eps) ** -0.5 if nearest else limit
    largest = float(jnp.finfo(x.dtype).max)

    def seen() -> tuple[Array, Array]:
        """The distance of every row in units of the limit, and in its farthest column."""
        # Halves, because the difference of two floats may overflow.
        half = 0.5 * lax.stop_gradient(x) - 0.5 * middle[None]
        away = jnp.clip(half * (1 / (0.5 * limit * width))[None], -largest, largest)
        return away, jnp.max(jnp.abs(away), axis=1, keepdims=True)

    def pulled() -> Array:
        away, farthest = seen()
        near = middle[None] + (wanted * width)[None] * (away / jnp.maximum(farthest, 1))
        return jnp.where(farthest > 1, near, x)

    return lax.cond(jnp.any(seen()[1] > 1), pulled, lambda: x)


def known_density(log_density: Array, x: Array) -> Array:
    """Log-densities (N,) of rows x (N, D), NaN only for rows that hold NaN.

    For very far rows NaN is the difference of two infinities, and the density is zero.
    """
    lost = jnp.isnan(log_density) & ~jnp.any(jnp.isnan(x), axis=1)
    return jnp.where(lost, -jnp.inf, log_density)


def settled(joint: Array, log_weights: Array) -> Array:
    """Log-probabilities (K, N) to compare components by, up to a constant for each row.

    The largest value of a row is 0, but a row with -inf for every component gets the
    log-weights. Components with +inf share a row. NaN stays NaN.
    """
    top = lax.stop_gradient(jnp.max(joint, axis=0, keepdims=True))
    shared = jnp.where(joint == jnp.inf, 0.0, -jnp.inf).astype(joint.dtype)
    limit = jnp.where(top > 0, shared, jax.nn.log_softmax(log_weights)[:, None])
    # XLA's maximum over four or more components may lose NaN on a CPU.
    endless = jnp.isinf(top) & ~jnp.any(jnp.isnan(joint), axis=0, keepdims=True)
    return jnp.where(endless, limit, joint - jnp.where(endless, 0, top))


def shares(joint: Array, log_weights: Array) -> Array:
    """The softmax over the components of `settled` log-probabilities (K, N); it sums to 1."""
    part = jnp.exp(settled(joint, log_weights))
    return part / jnp.sum(part, axis=0, keepdims=True)


def log_parts(joint: Array, log_weights: Array) -> Array:
    """The logarithms of `shares`."""
    part = settled(joint, log_weights)
    return part - jnp.log(jnp.sum(jnp.exp(part), axis=0, keepdims=True))


def log_sum(terms: Array) -> Array:
    """The logarithm of the sum of exp(terms) over the first axis, with a gradient everywhere.

    Where every term is -inf the gradient is zero; that of logsumexp is NaN there.
    """
    top = jnp.max(terms, axis=0)
    top = lax.stop_gradient(jnp.where(jnp.isfinite(top), top, 0))
    total = jnp.sum(jnp.exp(terms - top[None]), axis=0)
    nothing = total == 0
    return jnp.where(nothing, -jnp.inf, top + jnp.log(jnp.where(nothing, 1, total)))
