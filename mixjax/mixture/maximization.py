"""The M-step that makes a mixture, and its units."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from .. import checks
from ..families.family import Family, Responsibilities
from ..families.moments import occupied, smallest_share
from ..programs import jit
from ..rows.blocks import Rows, Table
from ..rows.origin import near, placed
from ..rows.scaling import Scale, Scaling, standardized
from ..rows.sharded import automatic
from .mixture import Mixture, given_assignment


def log_shares(count: Array) -> Array:
    """Log-weights (K,) from counts (K,); finite for an empty component."""
    kept = occupied(count)
    total = jnp.sum(count)
    share = count / jnp.where(total > 0, total, 1)
    return jnp.log(jnp.where(kept, share, smallest_share(count.dtype)))


def ridge(reg_covar: Any, scale: Scale) -> Array:
    """The (D,) variance to add to the scaled columns."""
    if reg_covar is None:
        return 1e-6 * scale.variance
    # Not reg / scale / scale: XLA computes reg / scale², which leaves the range of floats.
    return (jnp.sqrt(jnp.asarray(reg_covar, scale.scale.dtype)) / scale.scale) ** 2


def rescaled(mixture: Mixture, scale: Scale, scaling: Scaling) -> Mixture:
    """A mixture of scaled columns, mapped to the units of x."""
    if scaling is Scaling.NONE:
        return mixture
    components = mixture.components.affine(scale.scale, scale.shift)
    return Mixture(mixture.log_weights, components)


def unscaled(mixture: Mixture, scale: Scale, scaling: Scaling) -> Mixture:
    """The inverse of `rescaled`, with weights of sum 1."""
    log_weights = jax.nn.log_softmax(mixture.log_weights)
    if scaling is Scaling.NONE:
        return Mixture(log_weights, mixture.components)
    # The difference first: far from zero, -shift / scale loses the digits that matter.
    moved = mixture.components.affine(jnp.ones_like(scale.scale), -scale.shift)
    components = moved.affine(1 / scale.scale, jnp.zeros_like(scale.shift))
    return Mixture(log_weights, components)


def first_m_step(
    family: type[Family], rows: Rows, assignment: Responsibilities, k: int, reg: Array
) -> Mixture:
    """The M-step before there are components.

    It runs twice: over a part of the rows relative to standard components at the origin, and
    over all rows relative to the result. The second run restores the digits that the distance
    to the origin cost. Only the second run has a gradient; the result does not depend on the
    components that it is relative to.
    """

    def block(x: Array, weights: Array, index: Array) -> Array:
        return jnp.sum(assignment(x, index) * weights[None], axis=1)

    start = family.standard(k, rows.n_features, rows.x.dtype)
    if not family.needs_sorted_rows:
        start = lax.stop_gradient(start.m_step(rows.subsample(), assignment, reg))
    return Mixture(log_shares(rows.sum(block)), start.m_step(rows, assignment, reg))


def m_step(
    family: type[Family],
    x: ArrayLike,
    resp: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    reg_covar: ArrayLike | None = None,
) -> Mixture:
    r"""The mixture that best explains rows with known responsibilities.

    $w_k = N_k/N$ with $N_k = \sum_n r_{nk}$, and for Gaussians
    $\mu_k = \tfrac1{N_k}\sum_n r_{nk}x_n$,
    $\Sigma_k = \tfrac1{N_k}\sum_n r_{nk}(x_n-\mu_k)(x_n-\mu_k)^\top$.

    Differentiable in x and in resp. The responsibilities may come from EM, a hard assignment
    or a network. A component without rows gets the spread of the whole table; value and
    gradient stay finite.

    Args:
      family: the class of the components.
      x: (N, D) rows, float32 or float64.
      resp: (N, K) responsibilities, not negative; each row sums to 1 for a mixture.
      weights: (N,) weight of each row; None for 1 each.
      reg_covar: None adds 1e-6 of each feature's variance to the diagonal, held
        constant in the gradient; a number or (D,) is added as it is.

    Returns:
      The mixture, in the units of x.

    Raises:
      TypeError: x is not floating, or family is not a family.
      ValueError: shapes do not fit; weights are negative; responsibilities are negative, NaN
        or infinite in a row of positive weight (values are not checked under ``jit``).

    Example:
      >>> import jax.numpy as jnp, mixjax
      >>> x = jnp.array([[0.0], [2.0], [10.0], [14.0]])
      >>> resp = jnp.array([[1.0, 0], [1, 0], [0, 1], [0, 1]])
      >>> mixture = mixjax.m_step(mixjax.Gaussian, x, resp)
      >>> mixture.components.means.round(4).ravel().tolist()
      [1.0, 12.0]

    Source: Zong et al., Deep Autoencoding Gaussian Mixture Model (2018), equation 5.
    """
    family = checks.family(family)
    table, origin = near(checks.rows(x), family.scaling)
    row_weights = checks.row_weights(weights, table)
    checks.reg_covar(reg_covar, table.shape[1])
    assignment = checks.responsibilities(resp, table, row_weights)
    arrays = (automatic(array) for array in (table, assignment, row_weights))
    return placed(_m_step(family, *arrays, reg_covar), origin)


@functools.partial(jit, static_argnums=0)
def _m_step(
    family: type[Family], x: Array, resp: Array, weights: Array | None, reg_covar: Any
) -> Mixture:
    k = resp.shape[1]
    table = Table.of(x, weights, k)
    if weights is not None:
        resp = jnp.where(weights[:, None] > 0, resp, 0)
    rows, scale = standardized(table, family.scaling, family.needs_sorted_rows)
    reg = ridge(reg_covar, scale)
    assignment = given_assignment(resp, x.dtype)
    return rescaled(first_m_step(family, rows, assignment, k, reg), scale, family.scaling)
