"""Laplace components with independent columns, and their two M-steps."""

import dataclasses
import math
from collections.abc import Callable
from typing import ClassVar, Self

import jax
import jax.numpy as jnp
from jax import Array, lax

from ..linalg import reciprocal
from ..pytrees import pytree
from ..rows.blocks import Rows
from ..rows.observed import known_in
from .family import Family, Responsibilities
from .independent import IndependentColumns
from .moments import occupied, per_count
from .outline import DIAMOND, Outline

LOG_2 = math.log(2)
# Which values (D, n) of a block of rows are known; None stands for all.
Known = Callable[[Array], Array] | None


@pytree
class LaplaceSums:
    """Sums over rows of r, r sign(x - μ), r / |x - μ| and r |x - μ|: (K,) and (K, D)."""

    count: Array
    pull: Array
    stiffness: Array
    deviation: Array


@pytree
class Laplace(IndependentColumns):
    r"""Laplace components: robust, because their centers are medians, not means.

    $\log p_k(x) = -\sum_d |x_d-m_{kd}|/b_{kd} + \log 2b_{kd}$. The M-step is the
    weighted median and the weighted mean absolute deviation about it. A median is not a
    finite sum: ``fit`` and ``m_step`` find it exactly with two passes over data in memory. The
    step by `statistics` and `from_statistics` also raises the likelihood; it treats the density
    as a mixture of Gaussians over their scales.

    Attributes:
      locations: (K, D) medians, in the units of x.
      scales: (K, D) mean absolute deviations, in the units of x.

    Example:
      >>> import jax.numpy as jnp, mixjax
      >>> laplace = mixjax.Laplace(jnp.zeros((1, 1)), jnp.ones((1, 1)))
      >>> [round(p.item(), 4) for p in laplace.log_prob(jnp.array([[0.0], [2.0]]))]
      [-0.6931, -2.6931]

    Source: the sums, Lange and Sinsheimer, Normal/Independent Distributions and Their
    Applications in Robust Regression (1993), section 3.
    """

    locations: Array
    scales: Array
    needs_sorted_rows: ClassVar[bool] = True
    tried_up_to: ClassVar[float] = math.inf
    appearance: ClassVar[str] = "heavy-tailed boxes"

    @classmethod
    def cost(cls, n_features: int) -> int:
        """16 D products: its sums are slow."""
        return 16 * n_features

    @property
    def variances(self) -> Array:
        """(K, D) twice the squared scales."""
        return 2 * self.scales**2

    @property
    def standard_deviations(self) -> Array:
        """(K, D) the scales times the root of 2."""
        return math.sqrt(2) * self.scales

    @property
    def centers(self) -> Array:
        """(K, D) the locations."""
        return self.locations

    def located(self, centers: Array) -> Self:
        """These components with other locations (K, D)."""
        return type(self)(centers, self.scales)

    @property
    def outline(self) -> Outline:
        """Diamonds at distances of scales."""
        return DIAMOND

    @classmethod
    def center_name(cls) -> str:
        """The locations."""
        return "locations"

    def pinned(self, stats: LaplaceSums) -> LaplaceSums:
        """Statistics without a pull on the locations."""
        return dataclasses.replace(stats, pull=jnp.zeros_like(stats.pull))

    def _deviations(self, x: Array) -> Array:
        return x.T[None] - self.locations[:, :, None]

    def log_prob(self, x: Array) -> Array:
        """Log-density (N, K) of each row of x (N, D) under each component."""
        y = jnp.abs(self._deviations(x)) * reciprocal(self.scales)[:, :, None]
        constant = jnp.sum(jnp.log(self.scales), axis=1) + self.shape[1] * LOG_2
        return (-jnp.sum(y, axis=1) - constant[:, None]).T

    def statistics(self, x: Array, resp: Array) -> LaplaceSums:
        """The sums of a step that raises the likelihood; see `LaplaceSums`."""
        y, r = self._deviations(x), resp.T[:, None]
        distance = jnp.abs(y)
        # A row on the median would have infinite weight.
        near = jnp.finfo(x.dtype).eps * self.scales[:, :, None]
        weight = r / jnp.maximum(distance, near)
        pull, stiffness = jnp.sum(weight * y, axis=2), jnp.sum(weight, axis=2)
        count = jnp.sum(resp, axis=0)
        return LaplaceSums(count, pull, stiffness, jnp.sum(r * distance, axis=2))

    def from_statistics(self, stats: LaplaceSums, reg_covar: Array) -> Self:
        """Locations and scales of higher likelihood; at a maximum they do not change."""
        stiffness = jnp.where(stats.stiffness > 0, stats.stiffness, 1)
        step = jnp.where(stats.stiffness > 0, stats.pull / stiffness, 0)
        scales = per_count(stats.deviation - 0.5 * stats.pull * step, stats.count)
        return self._bounded(self.locations + step, scales, stats.count, reg_covar)

    def _bounded(self, locations: Array, scales: Array, count: Array, reg_covar: Array) -> Self:
        """Components with variances of at least reg_covar; empty ones (K,) or (K, D) are kept."""
        kept = occupied(count) if count.ndim > 1 else occupied(count)[:, None]
        floor = jnp.sqrt(0.5 * reg_covar)[None]
        scales = jnp.where(kept, jnp.maximum(scales, floor), self.scales)
        scales = jnp.where(scales > 0, scales, self.scales)
        return type(self)(jnp.where(kept, locations, self.locations), scales)

    def m_step(self, rows: Rows, responsibilities: Responsibilities, reg_covar: Array) -> Self:
        """The exact M-step: weighted medians, then mean deviations about them."""
        locations = self._medians(rows, responsibilities)
        return self._about(locations, rows, responsibilities, reg_covar)

    def column_entropies(self) -> Array:
        """The entropy (K, D) of each column."""
        return jnp.log(2 * self.scales) + 1

    def observed_m_step(
        self, rows: Rows, responsibilities: Responsibilities, reg_covar: Array
    ) -> Self:
        """Medians and mean deviations of the known values of each column."""
        d = self.shape[1]

        def known(x: Array) -> Array:
            return known_in(x[None], d)[0]

        locations = self._medians(rows, responsibilities, known)

        def block(x: Array, weights: Array, index: Array) -> tuple[Array, Array]:
            own = (responsibilities(x, index) * weights[None])[:, None]
            resp = jnp.where(known(x)[None], own, 0)
            distance = jnp.abs(x[None, :d] - locations[:, :, None])
            return jnp.sum(resp, axis=2), jnp.sum(resp * distance, axis=2)

        count, deviation = rows.sum(block)
        return self._bounded(locations, per_count(deviation, count), count, reg_covar)

    def _medians(
        self, rows: Rows, responsibilities: Responsibilities, known: Known = None
    ) -> Array:
        at = weighted_medians(rows, responsibilities, self.shape[0], known)
        columns = jnp.broadcast_to(jnp.arange(self.shape[1])[None], at.shape)
        return rows.values_at(at, columns)

    def _about(
        self,
        locations: Array,
        rows: Rows,
        responsibilities: Responsibilities,
        reg_covar: Array,
    ) -> Self:
        """These locations with the weighted mean absolute deviations from them."""

        def block(x: Array, weights: Array, index: Array) -> tuple[Array, Array]:
            resp = responsibilities(x, index) * weights[None]
            distance = jnp.abs(x[None] - locations[:, :, None])
            return jnp.sum(resp, axis=1), jnp.sum(resp[:, None] * distance, axis=2)

        count, deviation = rows.sum(block)
        return self._bounded(locations, per_count(deviation, count), count, reg_covar)

    def coordinate_log_prob(self, x: Array) -> Array:
        """Log-density of each value, independent of the other columns: (N, K, D)."""
        distance = jnp.abs(x[:, None] - self.locations[None])
        return -distance / self.scales[None] - (jnp.log(self.scales) + LOG_2)[None]

    def sample(self, key: Array, labels: Array) -> Array:
        """One row (n, D) for each label (n,)."""
        shape = (labels.shape[0], self.shape[1])
        noise = jax.random.laplace(key, shape, self.locations.dtype)
        return self.locations[labels] + self.scales[labels] * noise


@pytree
class MeanLaplace(Laplace):
    r"""Laplace components updated by means: the rule of the published Laplacian DAGMM.

    The density is that of `Laplace`; the location is the weighted *mean* instead of the
    median, and the scale is the weighted mean absolute deviation about it. This is not a
    maximum-likelihood step, so EM with it may raise the energy. But it is smooth in the
    responsibilities, as training a network through it requires.

    Attributes:
      locations: (K, D) weighted means, in the units of x.
      scales: (K, D) mean absolute deviations, in the units of x.

    Example:
      >>> import jax.numpy as jnp, mixjax
      >>> x = jnp.array([[0.0], [0.0], [3.0]])
      >>> for family in (mixjax.Laplace, mixjax.MeanLaplace):
      ...     mixture = mixjax.m_step(family, x, jnp.ones((3, 1)))
      ...     print(round(mixture.components.locations.item(), 4))
      0.0
      1.0

    Source: the Laplacian-mixture variant of DAGMM, after Zong et al. (2018), equation 5.
    """

    needs_sorted_rows: ClassVar[bool] = False
    observed_m_step = Family.observed_m_step

    @classmethod
    def cost(cls, n_features: int) -> int:
        """4 D products: means are fast."""
        return 4 * n_features

    @classmethod
    def by_maximum_likelihood(cls) -> type[Family]:
        """`Laplace`: means do not maximize the likelihood."""
        return Laplace

    def statistics(self, x: Array, resp: Array) -> LaplaceSums:
        """Sums of r, r (x - m), r sign(x - m) and r |x - m|."""
        y, r = self._deviations(x), resp.T[:, None]
        pull, sign = jnp.sum(r * y, axis=2), jnp.sum(r * jnp.sign(y), axis=2)
        return LaplaceSums(jnp.sum(resp, axis=0), pull, sign, jnp.sum(r * jnp.abs(y), axis=2))

    def from_statistics(self, stats: LaplaceSums, reg_covar: Array) -> Self:
        """Weighted means, and the mean deviations about them to first order."""
        step = per_count(stats.pull, stats.count)
        scales = per_count(stats.deviation - step * stats.stiffness, stats.count)
        return self._bounded(self.locations + step, scales, stats.count, reg_covar)

    def m_step(self, rows: Rows, responsibilities: Responsibilities, reg_covar: Array) -> Self:
        """Weighted means, then mean absolute deviations about them."""

        def block(x: Array, weights: Array, index: Array) -> tuple[Array, Array]:
            resp = responsibilities(x, index) * weights[None]
            y = x[None] - lax.stop_gradient(self.locations)[:, :, None]
            return jnp.sum(resp, axis=1), jnp.sum(resp[:, None] * y, axis=2)

        count, shift = rows.sum(block)
        locations = lax.stop_gradient(self.locations) + per_count(shift, count)
        return self._about(locations, rows, responsibilities, reg_covar)


def weighted_medians(
    rows: Rows, responsibilities: Responsibilities, k: int, known: Known = None
) -> Array:
    """The row (K, D) that holds the weighted median of each column for each component.

    Sorted columns are cut into about sqrt(N) runs. One pass finds the run in which the weight
    passes one half. Only the rows of that run are then examined one by one, so no array of size
    N × K is kept.
    """
    order, rank = rows.order, rows.rank
    if order is None or rank is None:
        raise ValueError("weighted medians need sorted rows: call Rows.sorted()")
    n, d = order.shape
    length = max(1, math.isqrt(n))
    n_runs = -(-n // length)
    columns = jnp.arange(d)[None]

    def block(x: Array, weights: Array, index: Array) -> Array:
        resp = lax.stop_gradient(responsibilities(x, index)) * weights[None]
        mass = jnp.zeros((n_runs, d, k), x.dtype)
        own = resp.T[:, None]
        own = own if known is None else jnp.where(known(x).T[:, :, None], own, 0)
        mass = mass.at[rank[index] // length, columns].add(own)
        return mass

    below = jnp.cumsum(rows.sum(block), axis=0)  # (runs, D, K)
    half = 0.5 * below[-1]
    run = jnp.argmax((below >= half[None]) & (below > 0), axis=0)  # (D, K)
    before = jnp.where(run > 0, jnp.take_along_axis(below, run[None] - 1, axis=0)[0], 0)

    def median(column: tuple[Array, Array, Array, Array]) -> Array:
        sorted_rows, run, missing, number = column
        places = run[:, None] * length + jnp.arange(length)[None]  # (K, length)
        index = sorted_rows[jnp.minimum(places, n - 1)]
        flat = index.reshape(-1)
        x = rows.columns_at(flat)
        resp = responsibilities(x, flat) * rows.weights_at(flat)[None]
        resp = resp if known is None else jnp.where(known(x)[number][None], resp, 0)
        own = resp.reshape(k, k, length)[jnp.arange(k), jnp.arange(k)]
        own = jnp.where(places < n, own, 0)
        mass = jnp.cumsum(own, axis=1)
        # Rounding may leave the last cumulative weight just below the missing weight.
        reached = (mass >= jnp.minimum(missing, mass[:, -1])[:, None]) & (own > 0)
        return jnp.take_along_axis(index, jnp.argmax(reached, axis=1)[:, None], axis=1)[:, 0]

    numbers = jnp.arange(d, dtype=jnp.int32)
    return lax.map(median, (order.T, run, half - before, numbers)).T
