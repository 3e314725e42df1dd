"""Gaussian components that share one full covariance."""

from collections.abc import Callable
from typing import Any, ClassVar, Self

import jax
import jax.numpy as jnp
from jax import Array, lax

from .. import linalg
from ..pytrees import pytree
from ..rows.observed import Seen
from ..rows.scaling import Scaling
from .elliptical import Elliptical
from .gaussian import (
    LOG_2PI,
    conditioned,
    covariance_of,
    diagonal,
    exp_diagonal,
    log_diagonal,
    whitening,
    whitening_of_precision,
    whitening_of_rows,
)
from .moments import Moments, few_digits_cancel, is_small, per_count
from .observed_gaussian import missing_entropy, moments_of, seen_means, seen_through
from .shapes import shaped


@pytree
class TiedGaussian(Elliptical):
    r"""Gaussian components that share one full covariance.

    $\log p_k(x) = -\tfrac12\|F(x-\mu_k)\|^2 + \log\det F - \tfrac D2\log 2\pi$.

    Attributes:
      means: (K, D) in the units of x.
      factor: (D, D) lower-triangular whitening of the covariance, in units of 1/x.

    Example:
      >>> import jax.numpy as jnp, mixjax
      >>> g = mixjax.TiedGaussian.from_covariance(jnp.zeros((3, 2)), 4 * jnp.eye(2))
      >>> g.log_prob(jnp.zeros((1, 2))).shape
      (1, 3)

    Source: McLachlan and Peel, Finite Mixture Models (2000), section 3.8 (equal covariances).
    """

    means: Array
    factor: Array
    scaling: ClassVar[Scaling] = Scaling.COLUMNS
    word: ClassVar[str] = "tied"
    tried_up_to: ClassVar[float] = 512
    noise_axes: ClassVar[int] = 3
    appearance: ClassVar[str] = "ellipses of one shape"

    @classmethod
    def from_covariance(cls, means: Array, covariance: Array) -> Self:
        """From means (K, D) and one covariance (D, D)."""
        means, covariance = shaped(means, "DD", covariance=covariance)
        return cls(means, whitening(covariance))

    @classmethod
    def from_precision(cls, means: Array, precision: Array) -> Self:
        """From means (K, D) and one precision (D, D), the inverse of the covariance."""
        means, precision = shaped(means, "DD", precision=precision)
        return cls(means, whitening_of_precision(precision))

    @classmethod
    def standard(cls, n_components: int, n_features: int, dtype: Any) -> Self:
        """Standard normal components."""
        return cls(jnp.zeros((n_components, n_features), dtype), jnp.eye(n_features, dtype=dtype))

    @property
    def covariance(self) -> Array:
        """(D, D) in squared units of x."""
        return covariance_of(self.factor)

    @property
    def covariances(self) -> Array:
        """(K, D, D) the covariance, once for each component."""
        covariance = self.covariance[..., None, :, :]
        return jnp.broadcast_to(covariance, (*self.means.shape, self.shape[1]))

    @property
    def variances(self) -> Array:
        """(K, D) the diagonal of the covariance, once for each component."""
        variances = jnp.sum(linalg.inverse_lower(self.factor) ** 2, axis=-1)
        return jnp.broadcast_to(variances[..., None, :], self.means.shape)

    @property
    def standard_deviations(self) -> Array:
        """(K, D) in the units of x."""
        norms = linalg.unit_columns(linalg.inverse_lower(self.factor).mT)[1]
        return jnp.broadcast_to(norms[..., None, :], self.means.shape)

    @property
    def sharpness(self) -> Array:
        """(K, D) the roots of the diagonal of the precision, once for each component."""
        return jnp.broadcast_to(linalg.unit_columns(self.factor)[1][..., None, :], self.means.shape)

    @property
    def n_parameters(self) -> int:
        """K D + D (D + 1) / 2."""
        k, d = self.shape
        return k * d + d * (d + 1) // 2

    def _whitened(self, x: Array) -> tuple[Array, Array]:
        """The whitened rows (D, N) and means (K, D), relative to a common center."""
        center = jax.lax.stop_gradient(jnp.mean(self.means, axis=0))[None]
        y = linalg.matmul(self.factor, (x - center).T)
        return y, linalg.matmul(self.means - center, self.factor.T)

    def _log_prob(self, y: Array, offset: Array) -> Array:
        squares = jnp.sum((y[None] - offset[:, :, None]) ** 2, axis=1)
        return self._constant() - 0.5 * squares

    def _constant(self) -> Array:
        return jnp.sum(jnp.log(diagonal(self.factor))) - 0.5 * self.shape[1] * LOG_2PI

    def log_prob(self, x: Array) -> Array:
        """Log-density (N, K) of each row of x (N, D) under each component."""
        return self._log_prob(*self._whitened(x)).T

    def statistics(self, x: Array, resp: Array) -> Moments:
        """Sums of r, of r (y - m_k), and of r (y - m_k)(y - m_k)^T over all components."""
        return self._sums(*self._whitened(x), resp.T)

    def _sums(self, y: Array, offset: Array, resp: Array) -> Moments:
        z = y[None] - offset[:, :, None]
        rz = resp[:, None] * z
        # One product a component: for one of all, XLA would first copy both factors.
        scatter = jnp.sum(linalg.einsum("kin,kjn->kij", rz, z), axis=0)
        return Moments(jnp.sum(resp, axis=1), jnp.sum(rz, axis=2), scatter)

    def log_prob_and_statistics(self, x: Array) -> tuple[Array, Callable[[Array], Moments]]:
        """`log_prob` and `statistics`, by matrix products if these lose no digits."""
        y, offset = self._whitened(x)
        if is_small(x, self.shape[0]):
            return self._log_prob(y, offset).T, lambda resp: self._sums(y, offset, resp.T)
        norms = jnp.sum(offset**2, axis=1)
        safe = few_digits_cancel(self.shape[1] + norms)

        def product(y: Array) -> Array:
            squares = jnp.sum(y**2, axis=0)[None] - 2 * linalg.matmul(offset, y)
            return self._constant() - 0.5 * (squares + norms[:, None])

        def product_sums(y: Array, resp: Array) -> Moments:
            # The residual of each row about its mean under the responsibilities, times
            # the row: one D × D product whatever K is.
            ones = jnp.ones((1, y.shape[1]), y.dtype)
            sums = linalg.matmul(resp, jnp.concatenate([y, ones]).T)
            count, total = sums[:, -1], sums[:, :-1]
            first = total - count[:, None] * offset
            residual = y * jnp.sum(resp, axis=0)[None] - linalg.matmul(offset.T, resp)
            scatter = linalg.matmul(residual, y.T) - linalg.matmul(first.T, offset)
            return Moments(count, first, scatter)

        def exact(y: Array) -> Array:
            return self._log_prob(y, offset)

        def exact_sums(y: Array, resp: Array) -> Moments:
            return self._sums(y, offset, resp)

        log_prob = lax.cond(safe, product, exact, y).T
        return log_prob, lambda resp: lax.cond(safe, product_sums, exact_sums, y, resp.T)

    def from_statistics(self, stats: Moments, reg_covar: Array) -> Self:
        """The maximum-likelihood components, with reg_covar (D,) added to the diagonal."""
        total = jnp.sum(stats.count)
        mean = per_count(stats.first, stats.count)
        between = linalg.matmul(mean.T, stats.first)
        within = linalg.symmetric(stats.second - between) / jnp.where(total > 0, total, 1)
        ridge = linalg.matmul(self.factor * reg_covar[None], self.factor.T)
        eye = jnp.eye(self.shape[1], dtype=self.means.dtype)
        inner = linalg.whitener(jnp.where(total > 0, within + ridge, eye))
        factor = linalg.matmul(inner, self.factor)
        shared = jnp.broadcast_to(self.factor, (*mean.shape, mean.shape[-1]))
        return type(self)(self.means + linalg.solve_lower(shared, mean), factor)

    def observed_log_prob_and_statistics(self, seen: Seen) -> tuple[Array, Callable[[Array], Any]]:
        """As `log_prob_and_statistics`, of rows with missing values and errors."""
        return seen_through(seen, self.means, self.covariance[None])

    def observed_means(self, seen: Seen) -> Array:
        """The means (N, K, D) of rows given what is seen of them."""
        return seen_means(seen, self.means, self.covariance[None])

    def missing_entropy(self, seen: Seen) -> Array:
        """The entropy of the missing values given what is seen, under each component."""
        return missing_entropy(seen, self.covariance[None])

    def from_observed_statistics(self, stats: Any, reg_covar: Array) -> Self:
        """The components of higher likelihood, from the sums of `seen_through`."""
        stats = moments_of(stats, self.means, self.covariance[None])
        lower = linalg.inverse_lower(self.factor)
        inner = linalg.matmul(lower.T, linalg.matmul(stats.second[0], lower))
        scatter = jnp.sum(stats.count) * jnp.eye(len(lower), dtype=lower.dtype)
        whitened = linalg.matmul(stats.first, lower)
        return self.from_statistics(
            Moments(stats.count, whitened, scatter + linalg.symmetric(inner)), reg_covar
        )

    def expected_statistics(self, count: Array, reg_covar: Array | None = None) -> Moments:
        """In the whitened frame: means of zero, and the identity for a scatter."""
        scatter = jnp.eye(self.shape[1], dtype=self.means.dtype)
        if reg_covar is not None:
            scatter = scatter - linalg.matmul(self.factor * reg_covar[None], self.factor.T)
        return Moments(count, jnp.zeros_like(self.means), jnp.sum(count) * scatter)

    def take(self, index: Any) -> Self:
        """Some of the components, with the shared covariance."""
        return type(self)(self.means[index], self.factor)

    def extent(self) -> tuple[Array, Array]:
        """The means, and the inverses of the largest entries of the factor's columns."""
        widths = 1 / jnp.max(jnp.abs(self.factor), axis=0)
        return self.means, jnp.broadcast_to(widths[None], self.means.shape)

    def coordinate_log_prob(self, x: Array) -> Array:
        """Log-density of each value given the others of its row: (N, K, D)."""
        y = linalg.einsum("ij,nkj->nki", self.factor, x[:, None] - self.means[None])
        unit, norm = linalg.unit_columns(self.factor)
        pull = linalg.einsum("ij,nki->nkj", unit, y)
        return jnp.log(norm)[None, None] - 0.5 * (pull**2 + LOG_2PI)

    def marginal(self, columns: Any) -> Self:
        """The marginal components of these columns (C,)."""
        lower = linalg.inverse_lower(self.factor)[columns]
        return type(self)(self.means[:, columns], whitening_of_rows(lower))

    def conditional(self, rest: Any, columns: Any, values: Array) -> Self:
        """The components of the columns ``rest`` given ``values`` (C,) of ``columns`` (C,)."""
        away = values[None] - self.means[:, columns]
        factors, moved = conditioned(self.factor[None], rest, columns, away)
        return type(self)(self.means[:, rest] + moved, factors[0])

    def affine(self, scale: Array, shift: Array) -> Self:
        """The components of ``scale * x + shift``."""
        return type(self)(self.means * scale[None] + shift[None], self.factor / scale[None])

    def sample(self, key: Array, labels: Array) -> Array:
        """One row (n, D) for each label (n,)."""
        noise = jax.random.normal(key, (labels.shape[0], self.shape[1]), self.means.dtype)
        return self.means[labels] + linalg.matmul(noise, linalg.inverse_lower(self.factor).T)

    def unconstrain(self) -> tuple[Array, Array]:
        """Means, and the factor with the logarithm of its diagonal."""
        return self.means, log_diagonal(self.factor)

    @classmethod
    def constrain(cls, leaves: tuple[Array, Array]) -> Self:
        """The inverse of `unconstrain`."""
        return cls(leaves[0], exp_diagonal(leaves[1]))
