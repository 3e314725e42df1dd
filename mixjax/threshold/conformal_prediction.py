"""Thresholds with a guarantee for new rows, from rows that were not fitted."""

import math
import warnings
from typing import Any

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from .. import checks
from ..describing.summary import Described
from ..programs import jit, on_device
from ..pytrees import pytree
from ..rows.executor import executor_of
from . import rates
from .scores import above, ascending, between, probabilities_of, scores_of


@pytree
class Conformal(Described):
    r"""A threshold and p-values, from the scores of held-out normal rows.

    Attributes:
      calibration: (n,) the scores, ascending.
      alpha: () the highest rate of false alarms.

    Example:
      >>> import jax.numpy as jnp, mixjax
      >>> rule = mixjax.threshold.conformal(jnp.arange(99.0), 0.05)
      >>> rule.threshold.item(), rule.p_values(jnp.array([50.0, 1000.0])).tolist()
      (94.0, [0.5, 0.009999999776482582])

    Source: Bates et al., Testing for Outliers with Conformal p-values (2023), equation 2.
    """

    calibration: Array
    alpha: Array

    @property
    def threshold(self) -> Array:
        r"""() the $\lceil(n+1)(1-\alpha)\rceil$-th score; infinite if n is too small for alpha."""
        n = self.calibration.shape[-1]
        n_above = rates.whole_part(n + 1, self.alpha)
        return _threshold(self.calibration, n_above)

    def p_values(self, scores: ArrayLike) -> Array:
        r"""$(1+\#\{i: c_i\ge s\})/(n+1)$ of scores (N,); NaN counts as the strangest score.

        For a new normal row, P(p <= t) is at most t.
        """
        return _p_values(on_device(self.calibration), on_device(scores))

    def flags(self, scores: ArrayLike) -> Array:
        """Which scores are flagged: those above the threshold, and NaN."""
        return above(scores, self.threshold)


@jit
def _threshold(ordered: Array, n_above: Array) -> Array:
    n = ordered.shape[-1]
    place = jnp.clip(n - n_above, 0, n - 1)[..., None]
    last = jnp.take_along_axis(ordered, place, axis=-1)[..., 0]
    return jnp.where(n_above > n, -jnp.inf, jnp.where(n_above > 0, last, jnp.inf))


def share_as_high(calibration: Array, scores: Array) -> Array:
    r"""$(1+\#\{i: c_i\ge s\})/(n+1)$ for calibration scores c (n,) in ascending order."""
    xp, n = executor_of(calibration).xp, calibration.shape[0]
    scores = xp.where(xp.isnan(scores), xp.inf, scores)
    below = xp.searchsorted(calibration, scores, side="left")
    return rates.quotient((1 + n - below).astype(calibration.dtype), n + 1)


_p_values = jit(share_as_high)


def warn_of_rate(n: int, alpha: ArrayLike) -> None:
    """Warn if alpha is above 0 but lower than any rate that n scores can promise."""
    rate = rates.written(alpha) or 0
    if rate > 0 and (n + 1) * rate < 1:
        enough = math.ceil(1 / rate) - 1
        warnings.warn(
            f"alpha {float(rate):g} is below 1/{n + 1} = {1 / (n + 1):.3g}, the lowest rate that "
            f"{n} normal rows can promise: the threshold is infinite and nothing is flagged. Pass "
            f"at least {enough} rows, an alpha of at least {1 / (n + 1):.3g}, or use "
            "mixjax.threshold.peaks_over_threshold",
            stacklevel=3,
        )


def conformal(calibration_scores: ArrayLike, alpha: ArrayLike) -> Conformal:
    r"""Split conformal: at most a share alpha of new normal rows lies above the threshold.

    The promise needs no model of the scores. New normal rows must have the distribution of the
    calibration rows, and the scoring model must not be fitted to calibration rows. The promise
    holds on average over calibration sets. For one set of n rows the rate deviates from alpha by
    about $\sqrt{\alpha(1-\alpha)/n}$. An alpha below 1/(n + 1) cannot be promised: the
    threshold is then infinite, nothing is flagged, and a warning says so unless alpha is 0 (see
    `peaks_over_threshold`).

    Args:
      calibration_scores: (n,) scores of normal rows that were not fitted.
      alpha: the rate of false alarms, from 0 to 1.

    Returns:
      The threshold, and p-values for new scores.

    Raises:
      TypeError, ValueError: scores are not floats, not of one axis, or empty; alpha is outside
        [0, 1].

    Warns:
      UserWarning: there are too few scores for a threshold that keeps the rate.

    Example:
      >>> import jax, mixjax
      >>> scores = jax.random.normal(jax.random.key(0), (10_999,))
      >>> rule = mixjax.threshold.conformal(scores[:999], 0.05)
      >>> 0.03 < rule.flags(scores[999:]).mean() < 0.07
      Array(True, dtype=bool)

    Source: Vovk, Gammerman and Shafer, Algorithmic Learning in a Random World (2005),
    proposition 4.1; Laxhammar, Conformal Anomaly Detection (2014), section 4.
    """
    scores = scores_of(calibration_scores, "calibration_scores")
    rate = between(alpha, 0, 1, "alpha", scores)
    if checks.is_concrete(scores) and checks.is_concrete(alpha):
        warn_of_rate(len(scores), rate)
    return Conformal(ascending(scores), rate)


def benjamini_hochberg(p_values: ArrayLike, rate: ArrayLike) -> Any:
    r"""Which rows of a batch to flag, so that at most a share ``rate`` of the flagged is normal.

    Flags all rows with $p \le p_{(k)}$, for the largest k with $p_{(k)} \le k\,\text{rate}/N$. The
    expected share of false alarms among the flagged rows is at most the rate times the share of
    normal rows, for independent p-values and for p-values of one `conformal` calibration.

    Args:
      p_values: (N,) of the rows of the batch.
      rate: the share of false alarms among flagged rows, from 0 to 1.

    Returns:
      (N,) bool.

    Raises:
      TypeError, ValueError: p-values are not floats of one axis from 0 to 1, or rate is outside
        [0, 1].

    Example:
      >>> import jax.numpy as jnp, mixjax
      >>> p = jnp.array([0.001, 0.02, 0.04, 0.5])
      >>> mixjax.threshold.benjamini_hochberg(p, 0.05).tolist()
      [True, True, False, False]

    Source: Benjamini and Hochberg, Controlling the False Discovery Rate (1995), procedure
    (1); Bates et al. (2023), theorem 2, for conformal p-values.
    """
    p = probabilities_of(p_values, "p_values")
    return _at_most(p, rates.steps(p.shape[0], between(rate, 0, 1, "rate", p)))


@jit
def _at_most(p: Array, limits: Array) -> Array:
    ordered = jnp.sort(p)
    highest = jnp.max(jnp.where(ordered <= limits, ordered, -1))
    return p <= highest
