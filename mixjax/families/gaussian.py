"""Gaussian components, each with its own full covariance."""

import functools
import math
from collections.abc import Callable
from typing import Any, ClassVar, Self

import jax
import jax.numpy as jnp
from jax import Array

from .. import linalg
from ..pytrees import pytree
from ..rows.blocks import map_rows
from ..rows.observed import Seen
from ..rows.scaling import Scaling
from .elliptical import Elliptical
from .moments import Moments, occupied, per_count
from .observed_gaussian import missing_entropy, moments_of, seen_means, seen_through
from .shapes import shaped

LOG_2PI = math.log(2 * math.pi)
STRIP = 32


def diagonal(a: Array) -> Array:
    """The diagonal of (..., D, D): (..., D)."""
    return jnp.diagonal(a, axis1=-2, axis2=-1)


@linalg.inlined
def whitening(covariances: Array) -> Array:
    """Lower-triangular F (..., D, D) with ``F @ covariance @ F.T`` the identity."""
    return linalg.whitener(linalg.symmetric(covariances))


@linalg.inlined
def whitening_of_precision(precisions: Array) -> Array:
    """Lower-triangular F (..., D, D) with ``F.T @ F`` the precision."""
    # Cholesky gives P = C C^T, but F^T F is needed: reverse rows and columns.
    flipped = linalg.symmetric(precisions)[..., ::-1, ::-1]
    return linalg.cholesky(flipped)[..., ::-1, ::-1].mT


@linalg.inlined
def whitening_of_rows(lower: Array) -> Array:
    """The whitening (..., C, C) of the covariance ``lower @ lower.T`` of lower (..., C, D)."""
    unit, norm = linalg.unit_columns(lower.mT)
    return whitening(linalg.matmul(unit.mT, unit)) / norm[..., None, :]


def conditioned(factors: Array, rest: Any, columns: Any, away: Array) -> tuple[Array, Array]:
    """The whitening (K, R, R) of the columns ``rest``, and the shifts (K, R) of their means.

    Given are the deviations ``away`` (K, C) of ``columns`` from their means, and ``factors``
    (K, D, D) that whiten all columns.
    """
    unit, norm = linalg.unit_columns(factors)
    others = unit[:, :, rest]
    given = whitening_of_precision(linalg.matmul(others.mT, others))
    lower = linalg.inverse_lower(given)
    known = jnp.sum(unit[:, :, columns] * (norm[:, columns] * away)[:, None], axis=-1)
    pull = jnp.sum(others * known[:, :, None], axis=-2)
    whitened = jnp.sum(lower * pull[:, :, None], axis=-2)
    moved = -jnp.sum(lower * whitened[:, None], axis=-1)
    return given * norm[:, None, rest], moved / norm[:, rest]


def covariance_of(factors: Array) -> Array:
    """The covariances (..., D, D) whose whitening is ``factors``."""
    lower = linalg.inverse_lower(factors)
    return linalg.matmul(lower, lower.mT)


def log_diagonal(factors: Array) -> Array:
    """Triangular factors with the logarithm of their diagonal, in which any value is valid."""
    eye = linalg.eye_like(factors)
    return jnp.where(eye > 0, jnp.log(jnp.where(eye > 0, factors, 1)), factors)


def exp_diagonal(leaves: Array) -> Array:
    """The inverse of `log_diagonal`; values above the diagonal are ignored."""
    eye = linalg.eye_like(leaves)
    return jnp.tril(jnp.where(eye > 0, jnp.exp(jnp.where(eye > 0, leaves, 0)), leaves))


@pytree
class Gaussian(Elliptical):
    r"""Gaussian components with full covariances.

    $\log p_k(x) = -\tfrac12\|F_k(x-\mu_k)\|^2 + \log\det F_k - \tfrac D2\log 2\pi$, where
    the lower-triangular $F_k$ whitens component k: $\Sigma_k^{-1} = F_k^\top F_k$.

    Attributes:
      means: (K, D) in the units of x.
      factors: (K, D, D) lower-triangular, in units of 1/x.

    Example:
      >>> import jax.numpy as jnp, mixjax
      >>> g = mixjax.Gaussian.from_covariances(jnp.zeros((1, 2)), 4 * jnp.eye(2)[None])
      >>> round(g.log_prob(jnp.zeros((1, 2))).item(), 4)
      -3.2242

    Source: Bishop, Pattern Recognition and Machine Learning (2006), equations 9.7-9.26.
    """

    means: Array
    factors: Array
    scaling: ClassVar[Scaling] = Scaling.COLUMNS
    tried_up_to: ClassVar[float] = 256
    noise_axes: ClassVar[int] = 3
    appearance: ClassVar[str] = "ellipses of their own"

    @classmethod
    def from_covariances(cls, means: Array, covariances: Array) -> Self:
        """From means (K, D) and covariances (K, D, D), symmetric positive definite."""
        means, covariances = shaped(means, "KDD", covariances=covariances)
        return cls(means, whitening(covariances))

    @classmethod
    def from_precisions(cls, means: Array, precisions: Array) -> Self:
        """From means (K, D) and precisions (K, D, D), the inverses of covariances."""
        means, precisions = shaped(means, "KDD", precisions=precisions)
        return cls(means, whitening_of_precision(precisions))

    @classmethod
    def standard(cls, n_components: int, n_features: int, dtype: Any) -> Self:
        """Standard normal components."""
        eye = jnp.eye(n_features, dtype=dtype)
        means = jnp.zeros((n_components, n_features), dtype)
        return cls(means, jnp.broadcast_to(eye, (n_components, n_features, n_features)))

    @classmethod
    def cost(cls, n_features: int) -> int:
        """D² products: the whitening."""
        return n_features**2

    @property
    def covariances(self) -> Array:
        """(K, D, D) in squared units of x."""
        return covariance_of(self.factors)

    @property
    def precisions(self) -> Array:
        """(K, D, D) the inverses of the covariances."""
        return linalg.matmul(self.factors.mT, self.factors)

    @property
    def variances(self) -> Array:
        """(K, D) the diagonals of the covariances."""
        return jnp.sum(linalg.inverse_lower(self.factors) ** 2, axis=-1)

    @property
    def standard_deviations(self) -> Array:
        """(K, D) in the units of x."""
        return linalg.unit_columns(linalg.inverse_lower(self.factors).mT)[1]

    @property
    def sharpness(self) -> Array:
        """(K, D) the roots of the diagonals of the precisions, in units of 1/x."""
        return linalg.unit_columns(self.factors)[1]

    @property
    def n_parameters(self) -> int:
        """K D + K D (D + 1) / 2."""
        k, d = self.shape
        return k * d + k * d * (d + 1) // 2

    def _frame(self) -> tuple[Array, Array]:
        """A common center (D,), and the whitened means (K, D) relative to it.

        Far from the origin F x - F mean would lose the digits of x - mean.
        """
        center = jax.lax.stop_gradient(jnp.mean(self.means, axis=0))
        return center, linalg.einsum("kij,kj->ki", self.factors, self.means - center[None])

    def log_prob_and_statistics(self, x: Array) -> tuple[Array, Callable[[Array], Moments]]:
        """`log_prob` and `statistics`, which share the whitened rows.

        The factors are lower-triangular, and only the lower half of the second moments is
        needed, so wide tables are processed in strips up to the diagonal.
        """
        center, offset = self._frame()
        d = self.shape[1]
        # With a row of ones, one product subtracts the means and also gives the sums.
        columns = jnp.concatenate([jnp.ones((1, x.shape[0]), x.dtype), (x - center[None]).T])
        maps = jnp.concatenate([-offset[:, :, None], self.factors], axis=2)
        strips = [(top, min(top + STRIP, d)) for top in range(0, d, STRIP)]
        ys = [
            linalg.einsum("kij,jn->kin", maps[:, top:end, : end + 1], columns[: end + 1])
            for top, end in strips
        ]
        squares = functools.reduce(jnp.add, [jnp.sum(y * y, axis=1) for y in ys])
        log_det = jnp.sum(jnp.log(diagonal(self.factors)), axis=-1)
        constant = log_det - 0.5 * d * LOG_2PI

        def statistics(resp: Array) -> Moments:
            # Count and sums in the same products: from_statistics needs the same y in the sum of
            # r y as in r y x^T, rounding included.
            count = linalg.matmul(resp.T, columns[0])
            sums = []
            for y, (_, end) in zip(ys, strips, strict=True):
                strip = linalg.einsum("kin,jn->kij", resp.T[:, None] * y, columns[: end + 1])
                sums.append(jnp.pad(strip, ((0, 0), (0, 0), (0, d - end))))
            moments = jnp.concatenate(sums, axis=1)
            return Moments(count, moments[:, :, 0], moments[:, :, 1:])

        return (constant[:, None] - 0.5 * squares).T, statistics

    def log_prob(self, x: Array) -> Array:
        """Log-density (N, K) of each row of x (N, D) under each component."""
        return self.log_prob_and_statistics(x)[0]

    def statistics(self, x: Array, resp: Array) -> Moments:
        """Sums of r, of r y and (below the diagonal) of r y x^T, with y the whitened rows.

        One matrix product gives the last. Cancellation in ``r y x^T`` grows with |mean| / sigma,
        not with its square as in ``r x x^T``.
        """
        return self.log_prob_and_statistics(x)[1](resp)

    def from_statistics(self, stats: Moments, reg_covar: Array) -> Self:
        """The maximum-likelihood components, with reg_covar (D,) added to the diagonal."""
        _, offset = self._frame()
        mean = per_count(stats.first, stats.count)
        cross = per_count(stats.second, stats.count)
        second = linalg.matmul(cross, self.factors.mT) - mean[:, :, None] * offset[:, None]
        return self._moved(stats.count, mean, linalg.mirrored(second), reg_covar)

    def pinned(self, stats: Moments) -> Moments:
        """Statistics whose means are these; the second moments are made to be about them."""
        center, _ = self._frame()
        away = stats.first[:, :, None] * (self.means - center[None])[:, None]
        return Moments(stats.count, jnp.zeros_like(stats.first), stats.second - away)

    def observed_log_prob_and_statistics(self, seen: Seen) -> tuple[Array, Callable[[Array], Any]]:
        """As `log_prob_and_statistics`, of rows with missing values and errors."""
        return seen_through(seen, self.means, self.covariances)

    def observed_means(self, seen: Seen) -> Array:
        """The means (N, K, D) of rows given what is seen of them."""
        return seen_means(seen, self.means, self.covariances)

    def missing_entropy(self, seen: Seen) -> Array:
        """The entropy of the missing values given what is seen, under each component."""
        return missing_entropy(seen, self.covariances)

    def from_observed_statistics(self, stats: Any, reg_covar: Array) -> Self:
        """The components of higher likelihood, from the sums of `seen_through`."""
        stats = moments_of(stats, self.means, self.covariances)
        lower = linalg.inverse_lower(self.factors)
        pull = per_count(stats.first, stats.count)
        mean = jnp.sum(lower * pull[:, :, None], axis=1)
        inner = linalg.matmul(lower.mT, linalg.matmul(per_count(stats.second, stats.count), lower))
        second = linalg.eye_like(lower) + linalg.symmetric(inner)
        return self._moved(stats.count, mean, second, reg_covar)

    def _moved(self, count: Array, mean: Array, second: Array, reg_covar: Array) -> Self:
        """Components with these means (K, D) and second moments (K, D, D) of whitened rows."""
        covariance = second - mean[:, :, None] * mean[:, None]
        ridge = linalg.matmul(self.factors * reg_covar[None, None], self.factors.mT)
        kept = occupied(count)[:, None, None]
        covariance = jnp.where(kept, covariance + ridge, linalg.eye_like(covariance))
        factors = linalg.matmul(linalg.whitener(covariance), self.factors)
        return type(self)(self.means + linalg.solve_lower(self.factors, mean), factors)

    def expected_statistics(self, count: Array, reg_covar: Array | None = None) -> Moments:
        """In the whitened frame: means of zero, and of F cov the diagonal of F^-T."""
        nothing = jnp.zeros_like(self.means)
        second = linalg.eye_like(self.factors) / diagonal(self.factors)[:, :, None]
        if reg_covar is not None:
            second = second - self.factors * reg_covar[None, None]
        return Moments(count, nothing, count[:, None, None] * second)

    def extent(self) -> tuple[Array, Array]:
        """The means, and the inverses of the largest entries of the factors' columns."""
        return self.means, 1 / jnp.max(jnp.abs(self.factors), axis=1)

    def coordinate_log_prob(self, x: Array) -> Array:
        """Log-density of each value given the others of its row: (N, K, D).

        With the precision P, x_d given the rest is normal with precision P_dd, and its deviation
        from the mean is (P (x - mean))_d / P_dd. P itself is not formed: it is a square and
        might leave the range of floats.
        """
        y = linalg.einsum("kij,nkj->nki", self.factors, x[:, None] - self.means[None])
        unit, norm = linalg.unit_columns(self.factors)
        pull = linalg.einsum("kij,nki->nkj", unit, y)
        return jnp.log(norm)[None] - 0.5 * (pull**2 + LOG_2PI)

    def marginal(self, columns: Any) -> Self:
        """The marginal components of these columns (C,)."""
        lower = linalg.inverse_lower(self.factors)[:, columns]
        return type(self)(self.means[:, columns], whitening_of_rows(lower))

    def conditional(self, rest: Any, columns: Any, values: Array) -> Self:
        """The components of the columns ``rest`` given ``values`` (C,) of ``columns`` (C,)."""
        away = values[None] - self.means[:, columns]
        factors, moved = conditioned(self.factors, rest, columns, away)
        return type(self)(self.means[:, rest] + moved, factors)

    def affine(self, scale: Array, shift: Array) -> Self:
        """The components of ``scale * x + shift``."""
        means = self.means * scale[None] + shift[None]
        return type(self)(means, self.factors / scale[None, None])

    def sample(self, key: Array, labels: Array) -> Array:
        """One row (n, D) for each label (n,)."""
        noise = jax.random.normal(key, (labels.shape[0], self.shape[1]), self.means.dtype)
        lower = linalg.inverse_lower(self.factors)

        def block(rows: tuple[Array, Array]) -> Array:
            noise, labels = rows
            return self.means[labels] + linalg.einsum("nij,nj->ni", lower[labels], noise)

        # In blocks: a matrix for each row would take D times the memory of the rows.
        return map_rows(block, (noise, labels), self.shape[1] ** 2)

    def unconstrain(self) -> tuple[Array, Array]:
        """Means, and factors with the logarithm of their diagonal."""
        return self.means, log_diagonal(self.factors)

    @classmethod
    def constrain(cls, leaves: tuple[Array, Array]) -> Self:
        """The inverse of `unconstrain`."""
        return cls(leaves[0], exp_diagonal(leaves[1]))
