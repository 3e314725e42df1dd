"""Gaussian components whose columns are independent within a component."""

import math
from typing import ClassVar, Self

import jax.numpy as jnp
from jax import Array

from .. import linalg
from ..pytrees import pytree
from .gaussian import LOG_2PI
from .independent_gaussian import IndependentGaussian, LogProb, Sums
from .moments import Moments, few_digits_cancel, occupied, per_count


@pytree
class DiagonalGaussian(IndependentGaussian):
    r"""Gaussian components with diagonal covariances.

    $\log p_k(x) = -\sum_d \tfrac12\big(\tfrac{x_d-\mu_{kd}}{\sigma_{kd}}\big)^2
    + \log\sigma_{kd} + \tfrac12\log 2\pi$.

    Attributes:
      means: (K, D) in the units of x.
      scales: (K, D) standard deviations, in the units of x.

    Example:
      >>> import jax.numpy as jnp, mixjax
      >>> g = mixjax.DiagonalGaussian.from_variances(jnp.zeros((1, 2)), 4 * jnp.ones((1, 2)))
      >>> round(g.log_prob(jnp.zeros((1, 2))).item(), 4)
      -3.2242

    Source: McLachlan and Peel, Finite Mixture Models (2000), chapter 3.
    """

    means: Array
    scales: Array
    word: ClassVar[str] = "diagonal"
    tried_up_to: ClassVar[float] = math.inf
    appearance: ClassVar[str] = "ellipses along the axes"

    @property
    def variances(self) -> Array:
        """(K, D) in squared units of x."""
        return self.scales**2

    @property
    def standard_deviations(self) -> Array:
        """(K, D) the scales."""
        return self.scales

    def _constant(self) -> Array:
        log_scales = jnp.sum(jnp.log(self.scales), axis=1)
        return (-log_scales - 0.5 * self.shape[1] * LOG_2PI)[:, None]

    def _standardized(self, columns: Array) -> Array:
        return (columns[None] - self.means[:, :, None]) * linalg.reciprocal(self.scales)[:, :, None]

    def _log_prob(self, columns: Array) -> Array:
        return self._constant() - 0.5 * jnp.sum(self._standardized(columns) ** 2, axis=1)

    def _sums(self, columns: Array, resp: Array) -> Moments:
        y = self._standardized(columns)
        first = linalg.einsum("kn,kdn->kd", resp, y)
        return Moments(jnp.sum(resp, axis=1), first, linalg.einsum("kn,kdn->kd", resp, y * y))

    def _products(self) -> tuple[Array, LogProb, Sums]:
        center = jnp.mean(self.means, axis=0)
        means, precisions = self.means - center[None], 1 / self.scales**2
        safe = few_digits_cancel(jnp.sum(1 + means**2 * precisions, axis=1))

        def product(columns: Array) -> Array:
            near = columns - center[:, None]
            constant = self._constant() - 0.5 * jnp.sum(means**2 * precisions, axis=1)[:, None]
            linear = linalg.matmul(means * precisions, near)
            return linear - linalg.matmul(0.5 * precisions, near**2) + constant

        def product_sums(columns: Array, resp: Array) -> Moments:
            near = columns - center[:, None]
            count = linalg.matmul(resp, jnp.ones((columns.shape[1],), columns.dtype))
            total, squares = linalg.matmul(resp, near.T), linalg.matmul(resp, (near**2).T)
            first = total - count[:, None] * means
            second = squares - 2 * means * total + count[:, None] * means**2
            return Moments(count, first / self.scales, second * precisions)

        return safe, product, product_sums

    def _of_columns(self, second: Array) -> Array:
        return second

    def from_statistics(self, stats: Moments, reg_covar: Array) -> Self:
        """The maximum-likelihood components, with reg_covar (D,) added to the variances."""
        mean = per_count(stats.first, stats.count)
        variance = jnp.maximum(per_count(stats.second, stats.count) - mean**2, 0)
        variance = variance + reg_covar[None] / self.variances
        kept = occupied(stats.count)[:, None] & (variance > 0)
        scales = self.scales * jnp.sqrt(jnp.where(kept, variance, 1))
        return type(self)(self.means + self.scales * mean, scales)

    def expected_statistics(self, count: Array, reg_covar: Array | None = None) -> Moments:
        """In units of each component: means of zero and variances of one."""
        nothing = jnp.zeros_like(self.means)
        share = 0 if reg_covar is None else reg_covar[None] / self.variances
        return Moments(count, nothing, count[:, None] * (1 - share + nothing))
