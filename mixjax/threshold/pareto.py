r"""The generalized Pareto tail of high scores: $P(s > u + \sigma y) = (1+\xi y)^{-1/\xi}$."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from ..rows.executor import executor_of

# A shape closer to zero than this counts as exponential: a quotient by it loses all digits.
FLAT = 1e-12
FEWEST_PEAKS = 10
# The heaviest tail that is used for ranking rows.
HEAVIEST = 0.9

# Shape and scale from the last n () of ascending excesses (m,).
Estimate = Callable[[Array, Array], tuple[Array, Array]]


def tail_of(
    ordered: Array, n_peaks: int, estimate: Estimate | None = None
) -> tuple[Array, Array, Array, Array]:
    """Start, share, shape and scale of the tail of the scores (n,), given in ascending order.

    Equal scores are first spread, as if they had been rounded. If many are equal at the start of
    the tail, it begins above them, with fewer scores than ``n_peaks``. An infinite score counts
    as the outermost finite one.
    """
    xp, n = executor_of(ordered).xp, ordered.shape[0]
    ordered = bounded(ordered)
    # Differences of the largest floats overflow.
    largest = jnp.finfo(ordered.dtype).max
    shrink = xp.where(xp.max(xp.abs(ordered)) > largest / 8, 0.125, 1).astype(ordered.dtype)
    smooth, end = spread(ordered * shrink)
    first = n - n_peaks - 1
    n_higher = n - xp.searchsorted(ordered, ordered[first], side="right")
    whole = n_higher >= max(FEWEST_PEAKS, n_peaks // 8)
    start = xp.where(whole, end[first], smooth[first])
    n_used = xp.where(whole, n_higher, n_peaks).astype(ordered.dtype)
    excesses = xp.maximum(smooth[first + 1 :] - start, 0)
    shape, scale = (estimate or zhang_stephens)(excesses, n_used)
    smallest = jnp.finfo(ordered.dtype).tiny
    scale = xp.clip(scale / shrink, smallest, largest)
    return start / shrink, n_used / n, shape, scale


def bounded(scores: Array) -> Array:
    """The scores (n,); infinite ones are replaced by the outermost finite ones."""
    xp = executor_of(scores).xp
    finite = xp.isfinite(scores)
    largest = jnp.finfo(scores.dtype).max
    low = xp.min(xp.where(finite, scores, largest))
    high = xp.max(xp.where(finite, scores, -largest))
    some = xp.any(finite)
    return xp.clip(scores, xp.where(some, low, -largest), xp.where(some, high, largest))


def spread(ordered: Array) -> tuple[Array, Array]:
    """Ascending scores (n,); equal ones are spread evenly, halfway to their neighbors.

    Rounded scores and whole numbers become plausible values before rounding: otherwise no tail
    can be fitted to a few distinct numbers. Also returns, for each score, the upper end of the
    interval of its equals.
    """
    on, n = executor_of(ordered), ordered.shape[0]
    xp = on.xp
    place = xp.arange(n, dtype=np.int32)
    differs, end = ordered[1:] != ordered[:-1], xp.ones(1, bool)
    first = on.largest_so_far(xp.where(xp.concatenate([end, differs]), place, 0))
    last = xp.where(xp.concatenate([differs, end]), place, n - 1)
    last = n - 1 - on.largest_so_far(n - 1 - last[::-1])[::-1]
    below = ordered - ordered[xp.maximum(first - 1, 0)]
    above = ordered[xp.minimum(last + 1, n - 1)] - ordered
    # The outermost scores are spread symmetrically.
    below, above = xp.where(first == 0, above, below), xp.where(last == n - 1, below, above)
    copies = (last - first + 1).astype(ordered.dtype)
    part = ((place - first).astype(ordered.dtype) + 0.5) / copies
    moved = 0.5 * (part * above - (1 - part) * below)
    single = copies == 1
    return ordered + xp.where(single, 0, moved), ordered + xp.where(single, 0, 0.5 * above)


def zhang_stephens(excesses: Array, n: Array) -> tuple[Array, Array]:
    """Shape and scale of the tail, from the last n () excesses (m,), in ascending order.

    The estimate is close to maximum likelihood and always finite.

    Source: Zhang and Stephens, A New and Efficient Estimation Method for the Generalized
    Pareto Distribution (2009), equations 4 to 6.
    """

    def not_zero(theta: Array) -> Array:
        eps = jnp.finfo(theta.dtype).eps
        return jnp.where(jnp.abs(theta) < eps, eps, theta)

    m = excesses.shape[0]
    counts = jnp.arange(m, dtype=excesses.dtype) >= m - n
    wide = excesses[-1] > 0
    unit = jnp.where(wide, excesses[-1], 1)
    x = jnp.where(counts, jnp.where(wide, excesses / unit, 1), 0)
    n_grid = 20 + math.isqrt(m)
    place = m - n + jnp.maximum(jnp.floor(n / 4 + 0.5) - 1, 0)
    quartile = jnp.maximum(x[place.astype(jnp.int32)], jnp.finfo(x.dtype).eps)
    steps = jnp.arange(1, n_grid + 1, dtype=x.dtype)
    theta = not_zero(1 + (1 - jnp.sqrt(n_grid / (steps - 0.5))) / (3 * quartile))

    def negative_shape(theta: Array) -> Array:
        return -jnp.sum(jnp.log1p(-theta * x)) / n

    k = lax.map(negative_shape, theta)
    weight = jax.nn.softmax(n * (jnp.log(theta / k) + k - 1))
    theta = not_zero(jnp.sum(theta * weight))
    k = negative_shape(theta)
    return jnp.where(wide, -k, 0), jnp.where(wide, k / theta, 0) * unit


def moments(excesses: Array, n: Array) -> tuple[Array, Array]:
    """The same by the method of moments, with a shape from 0 (exponential) to 0.9.

    It is for ranking: for a few dozen scores this shape varies less than the maximum-likelihood
    shape, and the tail does not end where rows still differ. Detection is better with it.

    Source: Hosking and Wallis, Parameter and Quantile Estimation for the Generalized Pareto
    Distribution (1987), section 3.
    """
    xp, m = executor_of(excesses).xp, excesses.shape[0]
    counts = (xp.arange(m, dtype=excesses.dtype) >= m - n).astype(excesses.dtype)
    mean = xp.sum(counts * excesses) / n
    variance = xp.sum(counts * (excesses - mean) ** 2) / n
    wide = variance > 0
    shape = 0.5 * (1 - xp.where(wide, mean**2 / xp.where(wide, variance, 1), 1))
    shape = xp.clip(shape, 0, HEAVIEST)
    return shape, mean * (1 - shape)


def log_survival(y: Array, shape: Array) -> Array:
    r"""$-\log(1+\xi y)/\xi$ at y scales above the start; -y if the shape is 0.

    Minus infinity beyond the end of a tail of negative shape.
    """
    xp = executor_of(y).xp
    curved = xp.abs(shape) > FLAT
    safe = xp.where(curved, shape, 1)
    inside = xp.maximum(xp.where(curved, safe * y, 0), -1)
    return xp.where(curved, -xp.log1p(inside) / safe, -y)


def quantile(log_ratio: Array, shape: Array) -> Array:
    r"""$(r^{\xi}-1)/\xi$, from log r: the height, in scales, that a share 1/r exceeds."""
    curved = jnp.abs(shape) > FLAT
    safe = jnp.where(curved, shape, 1)
    return jnp.where(curved, jnp.expm1(jnp.where(curved, safe * log_ratio, 0)) / safe, log_ratio)
