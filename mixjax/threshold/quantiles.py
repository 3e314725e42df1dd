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

    About 100 - percent % of *these* scores lie above it. It promises nothing for other rows:
    scores of fitted rows are lower than scores of new rows. For a promise about new rows see
    `conformal`.

    Args:
      scores: (N,) higher is stranger.
      percent: from 0 to 100.

    Returns:
      () the threshold, interpolated between two scores; infinite if one of them is.

    Raises:
      TypeError, ValueError: scores are not floats, not of one axis, or empty; percent is not
        between 0 and 100.

    Example:
      >>> import jax.numpy as jnp, mixjax
      >>> mixjax.threshold.percentile(jnp.arange(101.0), 80).item()
      80.0

    Source: Zong et al., Deep Autoencoding Gaussian Mixture Model (2018), section 4.4.
    """
    scores = scores_of(scores)
    return _quantile(scores, *_place(len(scores), between(percent, 0, 100, "percent", scores)))


def mad(scores: ArrayLike, n_deviations: ArrayLike = 3.0) -> Array:
    r"""Some robust deviations above the median: $\mathrm{med} + n\cdot 1.4826\,\mathrm{MAD}$.

    If more than half of the scores are normally distributed, a share of $1-\Phi(n)$ of these
    lies above: 0.13 % for n = 3, however far the other scores are. Energies are skewed to the
    right, so more of them lie above.

    Args:
      scores: (N,) higher is stranger.
      n_deviations: n.

    Returns:
      () the threshold; infinite unless more than half of the scores are finite.

    Raises:
      TypeError, ValueError: scores are not floats, not of one axis, or empty; n_deviations is
        negative.

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
    # Zero deviations times infinity count as 0.
    threshold = median + jnp.where(deviation > 0, n * NORMAL_MAD * deviation, 0)
    enough = 2 * jnp.sum(jnp.isfinite(scores).astype(jnp.int32)) > len(scores)
    return jnp.where(enough, threshold, jnp.inf)


def _place(n: int, percent: Any) -> tuple[Any, Any]:
    """The position of a quantile among n sorted numbers: whole part and fraction."""
    exact = written(percent)
    if exact is not None:
        whole, rest = divmod(exact * (n - 1) / 100, 1)
        return np.int32(whole), np.asarray(float(rest), percent.dtype)
    place = jnp.clip(percent / 100 * (n - 1), 0, n - 1)
    lower = jnp.floor(place).astype(jnp.int32)
    return lower, place - lower.astype(place.dtype)


@jit
def _quantile(scores: Array, lower: Array, part: Array) -> Array:
    """The quantile of scores (n,) at a position, interpolated; exact at whole positions."""
    ordered = jnp.sort(scores)
    low, high = ordered[lower], ordered[jnp.minimum(lower + 1, len(scores) - 1)]
    largest = jnp.finfo(ordered.dtype).max
    gap = high - low
    # The gap may overflow although both numbers are finite.
    ends = (1 - part) * jnp.clip(low, -largest, largest) + part * jnp.clip(high, -largest, largest)
    ends = jnp.where(jnp.isinf(low) == jnp.isinf(high), ends, jnp.where(jnp.isinf(low), low, high))
    between_ = jnp.where(jnp.isfinite(gap), low + part * jnp.where(jnp.isfinite(gap), gap, 0), ends)
    return jnp.where((low == high) | (part == 0), low, between_)
