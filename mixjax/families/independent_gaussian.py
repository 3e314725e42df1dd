"""What Gaussian families of independent columns share."""

import abc
from collections.abc import Callable
from typing import ClassVar, Self

import jax
import jax.numpy as jnp
from jax import Array, lax

from .. import linalg
from ..rows.observed import Seen
from .elliptical import Elliptical
from .gaussian import LOG_2PI
from .independent import IndependentColumns
from .moments import Moments, is_small
from .shapes import shaped

LogProb = Callable[[Array], Array]
Sums = Callable[[Array, Array], Moments]


class IndependentGaussian(Elliptical, IndependentColumns):
    """Gaussian components with means (K, D) and standard deviations of any shape, the scales.

    A subclass defines the exact form, `_log_prob` and `_sums`, and the form by matrix products,
    `_products`. All of them see the rows as columns (D, N), and responsibilities as (K, N).
    """

    scale_axes: ClassVar[str] = "KD"
    noise_axes: ClassVar[int] = 2

    @classmethod
    def from_variances(cls, means: Array, variances: Array) -> Self:
        """From means (K, D) and variances: (K, D), or (K,) for spherical components."""
        means, variances = shaped(means, cls.scale_axes, variances=variances)
        return cls(means, jnp.sqrt(variances))  # type: ignore[call-arg]

    @classmethod
    def from_precisions(cls, means: Array, precisions: Array) -> Self:
        """From means (K, D) and precisions, the inverses of variances."""
        means, precisions = shaped(means, cls.scale_axes, precisions=precisions)
        return cls(means, 1 / jnp.sqrt(precisions))  # type: ignore[call-arg]

    @abc.abstractmethod
    def _log_prob(self, columns: Array) -> Array:
        """Log-density (K, N)."""

    @abc.abstractmethod
    def _sums(self, columns: Array, resp: Array) -> Moments:
        """Sums for the M-step."""

    @abc.abstractmethod
    def _products(self) -> tuple[Array, LogProb, Sums]:
        """Whether products lose no digits, and `_log_prob` and `_sums` by products."""

    def log_prob(self, x: Array) -> Array:
        """Log-density (N, K) of each row of x (N, D) under each component."""
        return self._log_prob(x.T).T

    def statistics(self, x: Array, resp: Array) -> Moments:
        """Sums of r, of r y and of r y², with y the rows standardized by each component."""
        return self._sums(x.T, resp.T)

    def log_prob_and_statistics(self, x: Array) -> tuple[Array, Callable[[Array], Moments]]:
        """`log_prob` and `statistics`, by matrix products if these lose no digits."""
        if is_small(x, self.shape[0]):
            return self.log_prob(x), lambda resp: self.statistics(x, resp)
        safe, product, product_sums = self._products()
        # Rows last, also inside the cond: XLA does not cancel transposes across it.
        log_prob = lax.cond(safe, product, self._log_prob, x.T).T
        return log_prob, lambda resp: lax.cond(safe, product_sums, self._sums, x.T, resp.T)

    def observed_log_prob_and_statistics(
        self, seen: Seen
    ) -> tuple[Array, Callable[[Array], Moments]]:
        """As `log_prob_and_statistics`, of rows with missing values and errors.

        Given what is seen, a value in units of its component has the mean ``gain * y`` and the
        variance ``1 - gain``; the gain is 0 where it is missing, 1 where it is known exactly.
        """
        y, gain = self._gain(seen)
        known = gain > 0
        widths = jnp.log(self.standard_deviations[None]) - 0.5 * jnp.log(jnp.where(known, gain, 1))
        each = -0.5 * (y * y * gain + LOG_2PI) - widths
        log_prob = jnp.sum(jnp.where(known, each, 0), axis=2)

        def sums(resp: Array) -> Moments:
            mean = gain * y
            second = linalg.einsum("nk,nkd->kd", resp, mean**2 + 1 - gain)
            first = linalg.einsum("nk,nkd->kd", resp, mean)
            return Moments(jnp.sum(resp, axis=0), first, self._of_columns(second))

        return log_prob, sums

    def observed_means(self, seen: Seen) -> Array:
        """The means (N, K, D) of rows given what is seen of them."""
        y, gain = self._gain(seen)
        return self.means[None] + gain * y * self.standard_deviations[None]

    def column_entropies(self) -> Array:
        """The entropy (K, D) of each column."""
        return jnp.log(self.standard_deviations) + 0.5 * (LOG_2PI + 1)

    def from_observed_statistics(self, stats: Moments, reg_covar: Array) -> Self:
        """The components of higher likelihood; the sums are those of complete rows."""
        return self.from_statistics(stats, reg_covar)

    def _gain(self, seen: Seen) -> tuple[Array, Array]:
        """Deviations (N, K, D) in units of each component, and how far to trust them."""
        scales = self.standard_deviations[None]
        known = seen.known[:, None]
        y = jnp.where(known, (seen.x[:, None] - self.means[None]) / scales, 0)
        if seen.noise is None:
            return y, jnp.broadcast_to(known, y.shape).astype(y.dtype)
        noise = jnp.sqrt(jnp.where(known, seen.noise[:, None], 0)) / scales
        return y, jnp.where(known, 1 / (1 + noise**2), 0)

    @abc.abstractmethod
    def _of_columns(self, second: Array) -> Array:
        """The second moments as in the statistics, from those (K, D) of the columns."""

    def coordinate_log_prob(self, x: Array) -> Array:
        """Log-density of each value, independent of the other columns: (N, K, D)."""
        scales = self.standard_deviations[None]
        y = (x[:, None] - self.means[None]) / scales
        return -0.5 * (y * y + LOG_2PI) - jnp.log(scales)

    def sample(self, key: Array, labels: Array) -> Array:
        """One row (n, D) for each label (n,)."""
        noise = jax.random.normal(key, (labels.shape[0], self.shape[1]), self.means.dtype)
        return self.means[labels] + self.standard_deviations[labels] * noise
