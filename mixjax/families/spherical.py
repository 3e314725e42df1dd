"""Gaussian components that are round: one variance each."""

from typing import Any, ClassVar, Self

import jax
import jax.numpy as jnp
from jax import Array

from .. import linalg
from ..pytree import pytree
from ..scaling import Scaling
from .family import Family, Moments, per_count
from .gaussian import LOG_2PI


@pytree
class SphericalGaussian(Family):
    r"""Gaussian components with one variance each, the same in every direction.

    $\log p_k(x) = -\tfrac{\|x-\mu_k\|^2}{2\sigma_k^2} - D\log\sigma_k - \tfrac D2\log 2\pi$.

    Attributes:
      means: (K, D) in the units of x.
      scales: (K,) standard deviations, in the units of x.

    Example:
      >>> import jax.numpy as jnp, mixjax
      >>> g = mixjax.SphericalGaussian.from_variances(jnp.zeros((1, 2)), jnp.array([4.0]))
      >>> g.log_prob(jnp.zeros((1, 2))).round(4).tolist()
      [[-3.2242000102996826]]

    Source: McLachlan and Peel, Finite Mixture Models (2000), chapter 3.
    """

    means: Array
    scales: Array
    scaling: ClassVar[Scaling] = Scaling.SHARED

    @classmethod
    def from_variances(cls, means: Array, variances: Array) -> Self:
        """From means (K, D) and variances (K,)."""
        return cls(jnp.asarray(means), jnp.sqrt(jnp.asarray(variances)))

    @classmethod
    def from_precisions(cls, means: Array, precisions: Array) -> Self:
        """From means (K, D) and precisions (K,), the inverses of variances."""
        return cls(jnp.asarray(means), 1 / jnp.sqrt(jnp.asarray(precisions)))

    @classmethod
    def reference(cls, n_components: int, n_features: int, dtype: Any) -> Self:
        """Standard normal components."""
        means = jnp.zeros((n_components, n_features), dtype)
        return cls(means, jnp.ones((n_components,), dtype))

    @property
    def shape(self) -> tuple[int, ...]:
        """(K, D)."""
        return self.means.shape[-2:]

    @property
    def variances(self) -> Array:
        """(K, D) the variance of each component, once for each feature."""
        return jnp.broadcast_to(self.scales[..., None] ** 2, self.means.shape)

    @property
    def covariances(self) -> Array:
        """(K, D, D) multiples of the identity, in squared units of x."""
        return self.variances[..., None] * jnp.eye(self.shape[1], dtype=self.means.dtype)

    @property
    def n_parameters(self) -> int:
        """K D + K."""
        return self.shape[0] * (self.shape[1] + 1)

    def _squares(self, x: Array) -> Array:
        """Squared distances in units of each component's scale: (K, N)."""
        y = (x.T[None] - self.means[:, :, None]) * (1 / self.scales)[:, None, None]
        return jnp.sum(y * y, axis=1)

    def log_prob(self, x: Array) -> Array:
        """Log-density (N, K) of each row of x (N, D) under each component."""
        constant = self.shape[1] * (jnp.log(self.scales) + 0.5 * LOG_2PI)
        return (-0.5 * self._squares(x) - constant[:, None]).T

    def statistics(self, x: Array, resp: Array) -> Moments:
        """Sums of r, of r (x - mean) and of the squared distances in units of sigma."""
        count = jnp.sum(resp, axis=0)
        centre = jax.lax.stop_gradient(jnp.mean(self.means, axis=0))[None]
        offset = self.means - centre
        first = linalg.matmul(resp.T, x - centre) - count[:, None] * offset
        second = jnp.sum(resp.T * self._squares(x), axis=1)
        return Moments(count, first / self.scales[:, None], second)

    def from_statistics(self, stats: Moments, reg_covar: Array) -> Self:
        """The maximum-likelihood components, with the mean of reg_covar (D,) added."""
        mean = per_count(stats.first, stats.count)
        square = per_count(stats.second, stats.count) - jnp.sum(mean**2, axis=1)
        variance = jnp.maximum(square / self.shape[1], 0)
        variance = variance + jnp.mean(reg_covar) / self.scales**2
        kept = (stats.count > 0) & (variance > 0)
        scales = self.scales * jnp.sqrt(jnp.where(kept, variance, 1))
        return type(self)(self.means + self.scales[:, None] * mean, scales)

    def affine(self, scale: Array, shift: Array) -> Self:
        """The components of ``scale * x + shift``, where every entry of scale is the same."""
        return type(self)(self.means * scale[None] + shift[None], self.scales * scale[0])

    def sample(self, key: Array, labels: Array) -> Array:
        """One row (n, D) for each label (n,)."""
        noise = jax.random.normal(key, (labels.shape[0], self.shape[1]), self.means.dtype)
        return self.means[labels] + self.scales[labels][:, None] * noise

    def unconstrain(self) -> tuple[Array, Array]:
        """Means and the logarithms of the scales."""
        return self.means, jnp.log(self.scales)

    @classmethod
    def constrain(cls, leaves: tuple[Array, Array]) -> Self:
        """The inverse of `unconstrain`."""
        return cls(leaves[0], jnp.exp(leaves[1]))
