"""Thresholds from the spread of the scores themselves."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from ..programs import jit
from .rates import written
from .scores import between, scores_of

# The standard deviation of a normal distribution, in median absolute deviations.
NORMAL_MAD = 1.482602218505602


def percentile(scores: ArrayLike, percent: ArrayLike) -> Array:
    r"""The score below which ``percent`` of the scores lie: $\hat F^{-1}(\text{percent}/100)$.

    It promises that about 100 - percent % of *these* scores lie above it, and nothing of
    others: scores of the rows that a mixture was fitted to are lower than those of new
    ones. For a promise about new rows see `conformal`.

    Args:
      scores: (N,) higher is stranger.
      percent: from 0 to 100.

    Returns:
      () the threshold, interpolated between two scores; infinite beside an infinite one.

    Raises:
      TypeError, ValueError: scores that are no floats, not of one axis or empty, or a
        percent that is not between 0 and 100.

    Example:
      >>> import jax.numpy as jnp, mixjax
      >>> mixjax.threshold.percentile(jnp.arange(101.0), 80).item()
      80.0

    Source: Zong et al., Deep Autoencoding Gaussian Mixture Model (2018), section 4.4.
    """
    scores = scores_of(scores)
    return _quantile(scores, *_place(len(scores), between(percent, 0, 100, "percent", scores)))


def mad(scores: ArrayLike, n_deviations: ArrayLike = 3.0) -> Array:
    r"""So many robust deviations above the median: $\mathrm{med} + n\cdot 1.4826\,\mathrm{MAD}$.

    Where the scores are normally distributed but for fewer than half of them, however far
    those are, a share of $1-\Phi(n)$ lies above: 0.13 % for n = 3. Energies are skewed to
    the right, so that more do.

    Args:
      scores: (N,) higher is stranger.
      n_deviations: n.

    Returns:
      () the threshold; infinite unless more than half of the scores are finite.

    Raises:
      TypeError, ValueError: scores that are no floats, not of one axis or empty, or a
        negative n.

    Example:
      >>> import jax.numpy as jnp, mixjax
      >>> scores = jnp.array([1.0, 2.0, 3.0, 4.0, 1e9])
      >>> round(mixjax.threshold.mad(scores, 2).item(), 3)
      5.965

    Source: Leys et al., Detecting Outliers: Do Not Use Standard Deviation around the Mean,
    Use Absolute Deviation around the Median (2013), equation 1.
    """
    scores = scores_of(scores)
    n = between(n_deviations, 0, jnp.inf, "n_deviations", scores)
    return _mad(scores, n, *_place(len(scores), np.asarray(50, scores.dtype)))


@jit
def _mad(scores: Array, n: Array, lower: Array, part: Array) -> Array:
    median = _quantile(scores, lower, part)
    deviation = _quantile(jnp.abs(scores - median), lower, part)
    # No deviation times infinity is none.
    threshold = median + jnp.where(deviation > 0, n * NORMAL_MAD * deviation, 0)
    enough = 2 * jnp.sum(jnp.isfinite(scores).astype(jnp.int32)) > len(scores)
    return jnp.where(enough, threshold, jnp.inf)


def _place(n: int, percent: Any) -> tuple[Any, Any]:
    """Where a quantile lies among n numbers: after the how manieth, and how far from it."""
    exact = written(percent)
    if exact is not None:
        whole, rest = divmod(exact * (n - 1) / 100, 1)
        return np.int32(whole), np.asarray(float(rest), percent.dtype)
    place = jnp.clip(percent / 100 * (n - 1), 0, n - 1)
    lower = jnp.floor(place).astype(jnp.int32)
    return lower, place - lower.astype(place.dtype)


@jit
def _quantile(scores: Array, lower: Array, part: Array) -> Array:
    """The quantile of scores (n,) at a place, interpolated between two; exact where it is one."""
    ordered = jnp.sort(scores)
    low, high = ordered[lower], ordered[jnp.minimum(lower + 1, len(scores) - 1)]
    largest = jnp.finfo(ordered.dtype).max
    gap = high - low
    # The gap may be infinite, between numbers that are not.
    ends = (1 - part) * jnp.clip(low, -largest, largest) + part * jnp.clip(high, -largest, largest)
    ends = jnp.where(jnp.isinf(low) == jnp.isinf(high), ends, jnp.where(jnp.isinf(low), low, high))
    between_ = jnp.where(jnp.isfinite(gap), low + part * jnp.where(jnp.isfinite(gap), gap, 0), ends)
    return jnp.where((low == high) | (part == 0), low, between_)
