"""A threshold beyond all scores seen so far, from the shape of their tail."""

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from ..pytree import pytree
from .scores import between, scores_of

FEWEST_PEAKS = 10


@pytree
class Tail:
    r"""A generalised Pareto tail: $P(s > u + y) = \pi\,(1+\xi y/\sigma)^{-1/\xi}$.

    Attributes:
      start: () u, above which the scores are peaks.
      share: () pi, the share of the scores that are.
      scale: () sigma, in the units of the scores.
      shape: () xi: 0 for an exponential tail, above for a heavier one; a tail below 0 ends.
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
        log_ratio = jnp.log(self.share / self.risk)
        # expm1(xi t) / xi, which is t where xi is 0.
        flat = jnp.abs(self.shape * log_ratio) < 1e-4
        safe = jnp.where(flat, 1, self.shape)
        curved = jnp.expm1(safe * jnp.where(flat, 0, log_ratio)) / safe
        bent = log_ratio + 0.5 * self.shape * log_ratio**2
        return self.start + self.scale * jnp.where(flat, bent, curved)

    def p_values(self, scores: ArrayLike) -> Array:
        """The probability of a score as high in a normal row; at most ``share``, below u too."""
        y = jnp.maximum(jnp.asarray(scores) - self.start, 0) / self.scale
        flat = jnp.abs(self.shape) < 1e-6
        safe = jnp.where(flat, 1, self.shape)
        inside = jnp.maximum(1 + safe * jnp.where(flat, 0, y), 0)
        log_survival = jnp.where(flat, -y, -jnp.log(inside) / safe)
        return self.share * jnp.exp(log_survival)


def peaks_over_threshold(scores: ArrayLike, risk: ArrayLike, tail: float = 0.1) -> Tail:
    r"""The threshold that normal scores exceed with a small probability, by extreme values.

    The highest scores of nearly every distribution follow a generalised Pareto law, so that
    a risk far below 1/N can be extrapolated, where `conformal` has nothing to say. It is
    only as good as that law: promised is a rate near the risk (within a factor of a few for
    risks around 1/N), not a bound. The law is fitted by the estimate of Zhang and Stephens,
    which is close to maximum likelihood and always finite.

    Args:
      scores: (N,) of normal rows, at least 10 of them in the tail.
      risk: the probability of a new normal score above the threshold, less than ``tail``.
      tail: the share of the scores from which the law is taken; a Python number.

    Returns:
      The tail, with its threshold and p-values.

    Raises:
      TypeError, ValueError: scores that are no floats of one axis, a risk or a tail out of
        range, or too few scores in the tail.

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
    if n_peaks < FEWEST_PEAKS:
        raise ValueError(
            f"{len(scores)} scores with a tail of {tail:g} leave {n_peaks} peaks, at least "
            f"{FEWEST_PEAKS} are needed: give more scores, or a larger tail"
        )
    top = jnp.sort(scores)[-n_peaks - 1 :]
    shape, scale = _pareto(top[1:] - top[0])
    return Tail(top[0], jnp.asarray(n_peaks / len(scores), scores.dtype), scale, shape, risk)


def _pareto(excesses: Array) -> tuple[Array, Array]:
    """Shape and scale of a generalised Pareto law, from excesses (n,) in ascending order."""
    n = excesses.shape[0]
    # A tail of ties has no width: anything above it is strange.
    wide = excesses[-1] > 0
    unit = jnp.where(wide, excesses[-1], 1)
    x = jnp.where(wide, excesses / unit, 1)
    n_grid = 20 + int(np.sqrt(n))
    quartile = jnp.maximum(x[max(int(n / 4 + 0.5) - 1, 0)], jnp.finfo(x.dtype).eps)
    steps = jnp.arange(1, n_grid + 1, dtype=x.dtype)
    theta = 1 + (1 - jnp.sqrt(n_grid / (steps - 0.5))) / (3 * quartile)
    k = -jnp.mean(jnp.log1p(-theta[:, None] * x[None]), axis=1)
    profile = n * (jnp.log(theta / k) + k - 1)
    weight = jnp.exp(profile - jnp.max(profile))
    theta = jnp.sum(theta * weight) / jnp.sum(weight)
    k = -jnp.mean(jnp.log1p(-theta * x))
    tiny = jnp.finfo(x.dtype).eps
    scale = jnp.maximum(k / theta, tiny) * unit
    return jnp.where(wide, -k, 0), jnp.where(wide, scale, tiny)
