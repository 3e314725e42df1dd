"""Rows so far away that the square of a distance is no float: what is still known of them."""

import jax.numpy as jnp
from jax import Array, lax

from .families.family import Family


def within_reach(components: Family, x: Array, *, nearest: bool = False) -> Array:
    """The rows x (N, D), those too far for squares pulled nearer on a straight line.

    All coordinates shrink by one factor, so the farthest stays the farthest. Infinity counts
    as the largest float. Components of a family without `extent` leave the rows as they are.

    Args:
      components: K of them; the rows are pulled towards their middle.
      x: (N, D) rows.
      nearest: whether to pull these rows to where components of equal widths still differ in
        their distances; if not, they come no nearer than squares need.

    Returns:
      (N, D), equal to x but for far rows, which have no gradient.
    """
    extent = components.extent()
    if extent is None:
        return x
    center, width = (lax.stop_gradient(array) for array in extent)
    low, high = jnp.min(center, axis=0), jnp.max(center, axis=0)
    middle = 0.5 * low + 0.5 * high
    width = jnp.max(width, axis=0) + (high - low)
    # A million times less than what has a square: room for narrow components and for sums.
    limit = 1e-6 * float(jnp.finfo(x.dtype).max) ** 0.5
    wanted = float(jnp.finfo(x.dtype).eps) ** -0.5 if nearest else limit
    # Halves, since the difference of two floats may be no float.
    away = (0.5 * lax.stop_gradient(x) - 0.5 * middle[None]) / (0.5 * limit * width)[None]
    largest = float(jnp.finfo(x.dtype).max)
    away = jnp.clip(away, -largest, largest)
    farthest = jnp.max(jnp.abs(away), axis=1, keepdims=True)
    pulled = middle[None] + (wanted * width)[None] * (away / jnp.maximum(farthest, 1))
    return jnp.where(farthest > 1, pulled, x)


def settled(joint: Array, log_weights: Array) -> Array:
    """Log-probabilities (K, N) to compare components by: one at least is finite in each row.

    A row of which every component says -inf goes to them by their weights, and those that
    say inf share a row. NaN stays.
    """
    top = jnp.max(joint, axis=0, keepdims=True)
    shared = jnp.where(joint == jnp.inf, 0.0, -jnp.inf).astype(joint.dtype)
    return jnp.where(jnp.isinf(top), jnp.where(top > 0, shared, log_weights[:, None]), joint)


def log_sum(terms: Array) -> Array:
    """The logarithm of the sum of exp(terms) over the first axis, with a gradient everywhere.

    It is zero where every term is -inf, where that of logsumexp is NaN.
    """
    top = jnp.max(terms, axis=0)
    top = lax.stop_gradient(jnp.where(jnp.isfinite(top), top, 0))
    total = jnp.sum(jnp.exp(terms - top[None]), axis=0)
    nothing = total == 0
    return jnp.where(nothing, -jnp.inf, top + jnp.log(jnp.where(nothing, 1, total)))
