"""A threshold beyond all observed scores, extrapolated from their tail."""

import dataclasses
import functools

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from ..describing.summary import Described
from ..programs import jit, on_device
from ..pytrees import pytree
from . import pareto
from .scores import above, between, no_nan, scores_of


@pytree
class Tail(Described):
    r"""A generalized Pareto tail: $P(s > u + y) = \pi\,(1+\xi y/\sigma)^{-1/\xi}$.

    Attributes:
      start: () u, the start of the tail.
      share: () pi, the share of the scores above the start.
      scale: () sigma, in the units of the scores.
      shape: () xi: 0 for an exponential tail, above 0 for a heavier one, below 0 for a tail that
        ends.
      risk: () the probability of a new score above the threshold.

    Example:
      >>> import jax, mixjax
      >>> scores = jax.random.exponential(jax.random.key(0), (5000,))
      >>> tail = mixjax.threshold.peaks_over_threshold(scores, 1e-5)
      >>> 9 < tail.threshold < 15  # exactly: 11.5
      Array(True, dtype=bool)

    Source: Siffer et al., Anomaly Detection in Streams with Extreme Value Theory (2017),
    equation 1.
    """

    start: Array
    share: Array
    scale: Array
    shape: Array
    risk: Array

    @property
    def threshold(self) -> Array:
        """() the score that a new normal row exceeds with a probability of ``risk``."""
        log_ratio = jnp.maximum(jnp.log(self.share / self.risk), 0)
        threshold = self.start + self.scale * pareto.quantile(log_ratio, self.shape)
        largest = jnp.finfo(threshold.dtype).max
        return jnp.where(self.risk > 0, jnp.minimum(threshold, largest), threshold)

    def p_values(self, scores: ArrayLike) -> Array:
        """The probability that a normal row scores as high; at most ``share``, also below u.

        Infinity and NaN are the strangest scores: 0, or the probability beyond all floats.
        """
        return _p_values(self, on_device(scores))

    def flags(self, scores: ArrayLike) -> Array:
        """Which scores are flagged: those above the threshold, and NaN."""
        return above(scores, self.threshold)


def peaks_over_threshold(scores: ArrayLike, risk: ArrayLike, tail: float = 0.1) -> Tail:
    r"""The threshold that normal scores exceed with a small probability, by extreme-value theory.

    The highest scores of nearly every distribution follow a generalized Pareto distribution. So
    thresholds for risks far below 1/N can be extrapolated, which `conformal` cannot do. The
    result is approximate: it promises a rate near the risk (within a factor of a few for risks
    around 1/N), not a bound. The tail is fitted by the estimate of Zhang and Stephens, which is
    close to maximum likelihood. Equal scores are first spread halfway to their neighbors, as if
    they had been rounded. Infinite scores count as the highest finite one. The threshold is
    finite unless the risk is 0.

    Args:
      scores: (N,) of normal rows, at least 10 of them in the tail.
      risk: the probability of a new normal score above the threshold, less than ``tail``.
      tail: the share of the scores in the tail; a Python number.

    Returns:
      The tail, with its threshold and p-values.

    Raises:
      TypeError, ValueError: scores are not floats of one axis, risk or tail is out of range, or
        there are too few scores in the tail.

    Example:
      >>> import jax, mixjax
      >>> scores = jax.random.normal(jax.random.key(1), (2000,))
      >>> tail = mixjax.threshold.peaks_over_threshold(scores, 1e-4)
      >>> 3.2 < tail.threshold < 4.5  # exactly: 3.72
      Array(True, dtype=bool)

    Source: Siffer et al. (2017), section 3.2; Zhang and Stephens, A New and Efficient
    Estimation Method for the Generalized Pareto Distribution (2009), equations 4 to 6.
    """
    scores = scores_of(scores)
    if not 0 < tail < 1:
        raise ValueError(f"tail must be between 0 and 1, got {tail}")
    risk = between(risk, 0, tail, "risk", scores)
    n_peaks = int(tail * len(scores))
    if n_peaks < pareto.FEWEST_PEAKS:
        raise ValueError(
            f"{len(scores)} scores with a tail of {tail:g} leave {n_peaks} peaks, but at least "
            f"{pareto.FEWEST_PEAKS} are needed: pass more scores, or a larger tail"
        )
    return _tail(scores, risk, n_peaks)


@functools.partial(jit, static_argnums=2)
def _tail(scores: Array, risk: Array, n_peaks: int) -> Tail:
    ordered = jnp.sort(scores)
    start, share, shape, scale = pareto.tail_of(ordered, n_peaks)
    return _plausible(Tail(start, share, scale, shape, risk), pareto.bounded(ordered))


@jit
def _p_values(tail: Tail, scores: Array) -> Array:
    y = jnp.maximum(no_nan(scores) - tail.start, 0) / tail.scale
    return tail.share * jnp.exp(pareto.log_survival(y, tail.shape))


def _plausible(tail: Tail, ordered: Array) -> Tail:
    """The tail, widened until no more scores lie above its threshold than chance allows.

    The fitted tail may end below observed scores, for example if many are equal to the highest.
    """
    n = ordered.shape[0]
    expected = n * tail.risk
    allowed = jnp.floor(expected + 3 * jnp.sqrt(expected) + 1).astype(jnp.int32)
    lowest = ordered[jnp.clip(n - 1 - allowed, 0, n - 1)]
    # Rounding must not put the threshold just below a score of many rows.
    margin = 8 * jnp.finfo(ordered.dtype).eps * jnp.maximum(jnp.abs(lowest), jnp.abs(tail.start))
    reach = pareto.quantile(jnp.maximum(jnp.log(tail.share / tail.risk), 0), tail.shape)
    short = (tail.threshold < lowest + margin) & (reach > 0)
    wanted = (lowest - tail.start + margin) / jnp.where(short, reach, 1)
    return dataclasses.replace(tail, scale=jnp.where(short, wanted, tail.scale))
