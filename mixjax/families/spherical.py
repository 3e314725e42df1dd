"""Spherical Gaussian components: one variance each."""

import math
from typing import Any, ClassVar, Self

import jax.numpy as jnp
from jax import Array

from .. import linalg
from ..pytrees import pytree
from ..rows.scaling import Scaling
from .gaussian import LOG_2PI
from .independent_gaussian import IndependentGaussian, LogProb, Sums
from .moments import Moments, few_digits_cancel, occupied, per_count


@pytree
class SphericalGaussian(IndependentGaussian):
    r"""Gaussian components with one variance each, equal in all directions.

    $\log p_k(x) = -\tfrac{\|x-\mu_k\|^2}{2\sigma_k^2} - D\log\sigma_k - \tfrac D2\log 2\pi$.

    Attributes:
      means: (K, D) in the units of x.
      scales: (K,) standard deviations, in the units of x.

    Example:
      >>> import jax.numpy as jnp, mixjax
      >>> g = mixjax.SphericalGaussian.from_variances(jnp.zeros((1, 2)), jnp.array([4.0]))
      >>> round(g.log_prob(jnp.zeros((1, 2))).item(), 4)
      -3.2242

    Source: McLachlan and Peel, Finite Mixture Models (2000), chapter 3.
    """

    means: Array
    scales: Array
    scaling: ClassVar[Scaling] = Scaling.SHARED
    word: ClassVar[str] = "spherical"
    scale_axes: ClassVar[str] = "K"
    tried_up_to: ClassVar[float] = math.inf
    appearance: ClassVar[str] = "spheres"

    @classmethod
    def standard(cls, n_components: int, n_features: int, dtype: Any) -> Self:
        """Standard normal components."""
        means = jnp.zeros((n_components, n_features), dtype)
        return cls(means, jnp.ones((n_components,), dtype))

    @property
    def variances(self) -> Array:
        """(K, D) the variance of each component, once for each feature."""
        return jnp.broadcast_to(self.scales[..., None] ** 2, self.means.shape)

    @property
    def standard_deviations(self) -> Array:
        """(K, D) the scale of each component, once for each feature."""
        return jnp.broadcast_to(self.scales[..., None], self.means.shape)

    @property
    def sharpness(self) -> Array:
        """(K, D) one over the scale, once for each feature, in units of 1/x."""
        return jnp.broadcast_to(1 / self.scales[..., None], self.means.shape)

    @property
    def n_parameters(self) -> int:
        """K D + K."""
        return self.shape[0] * (self.shape[1] + 1)

    def _constant(self) -> Array:
        return -self.shape[1] * (jnp.log(self.scales) + 0.5 * LOG_2PI)[:, None]

    def _squares(self, columns: Array) -> Array:
        """Squared distances in units of each component's scale: (K, N)."""
        y = (columns[None] - self.means[:, :, None]) * linalg.reciprocal(self.scales)[:, None, None]
        return jnp.sum(y * y, axis=1)

    def _log_prob(self, columns: Array) -> Array:
        return self._constant() - 0.5 * self._squares(columns)

    def _sums(self, columns: Array, resp: Array) -> Moments:
        count = jnp.sum(resp, axis=1)
        center = jnp.mean(self.means, axis=0)
        total = linalg.matmul(resp, (columns - center[:, None]).T)
        first = (total - count[:, None] * (self.means - center[None])) / self.scales[:, None]
        return Moments(count, first, jnp.sum(resp * self._squares(columns), axis=1))

    def _products(self) -> tuple[Array, LogProb, Sums]:
        center = jnp.mean(self.means, axis=0)
        means, precisions = self.means - center[None], 1 / self.scales**2
        norms = jnp.sum(means**2, axis=1)
        safe = few_digits_cancel(self.shape[1] + norms * precisions)

        def product(columns: Array) -> Array:
            near = columns - center[:, None]
            squares = jnp.sum(near**2, axis=0)[None] - 2 * linalg.matmul(means, near)
            return self._constant() - 0.5 * (squares + norms[:, None]) * precisions[:, None]

        def product_sums(columns: Array, resp: Array) -> Moments:
            near = columns - center[:, None]
            ones = jnp.ones((1, columns.shape[1]), columns.dtype)
            features = [near, jnp.sum(near**2, axis=0, keepdims=True), ones]
            sums = linalg.matmul(resp, jnp.concatenate(features).T)
            total, squares, count = sums[:, :-2], sums[:, -2], sums[:, -1]
            first = (total - count[:, None] * means) / self.scales[:, None]
            second = squares - 2 * jnp.sum(means * total, axis=1) + count * norms
            return Moments(count, first, second * precisions)

        return safe, product, product_sums

    def _of_columns(self, second: Array) -> Array:
        return jnp.sum(second, axis=1)

    def from_statistics(self, stats: Moments, reg_covar: Array) -> Self:
        """The maximum-likelihood components, with the mean of reg_covar (D,) added."""
        mean = per_count(stats.first, stats.count)
        square = per_count(stats.second, stats.count) - jnp.sum(mean**2, axis=1)
        variance = jnp.maximum(square / self.shape[1], 0)
        variance = variance + jnp.mean(reg_covar) / self.scales**2
        kept = occupied(stats.count) & (variance > 0)
        scales = self.scales * jnp.sqrt(jnp.where(kept, variance, 1))
        return type(self)(self.means + self.scales[:, None] * mean, scales)

    def expected_statistics(self, count: Array, reg_covar: Array | None = None) -> Moments:
        """In units of each component: means of zero and squared distances of D."""
        share = 0 if reg_covar is None else jnp.mean(reg_covar) / self.scales**2
        return Moments(count, jnp.zeros_like(self.means), self.shape[1] * count * (1 - share))

    def extent(self) -> tuple[Array, Array]:
        """Means and scales."""
        return self.means, self.standard_deviations

    def marginal(self, columns: Any) -> Self:
        """The marginal components of these columns (C,)."""
        return type(self)(self.means[:, columns], self.scales)

    def affine(self, scale: Array, shift: Array) -> Self:
        """The components of ``scale * x + shift``; all entries of scale must be equal."""
        return type(self)(self.means * scale[None] + shift[None], self.scales * scale[0])
