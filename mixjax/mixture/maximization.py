"""The M-step that makes a mixture, and its units."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike

from .. import checks
from ..families.family import Family
from ..families.moments import occupied, smallest_share
from ..programs import BySize, jit
from ..rows.blocks import Rows, Table
from ..rows.host_table import HostTable
from ..rows.scaling import Scale, Scaling
from ..rows.sharded import automatic
from .assignment import Assignment, Shares, means_of
from .mixture import Mixture
from .opening import opened, require_seen


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
    root = jnp.sqrt(jnp.asarray(reg_covar, scale.scale.dtype))
    if root.ndim == 1 and len(root) < len(scale.scale):
        # Beside the columns stands what is known of them.
        root = jnp.pad(root, (0, len(scale.scale) - len(root)))
    # Not reg / scale / scale: XLA computes reg / scale², which leaves the range of floats.
    return (root / scale.scale) ** 2


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


def located(family: type[Family], rows: Rows, assignment: Assignment, k: int) -> Family:
    """Standard components at the means of the rows that are assigned to them.

    The result of an M-step does not depend on the components that it is relative to, but for the
    digits that the distance to the rows costs. So they have no gradient.
    """
    centers = assignment.centers
    if centers is None:
        centers = means_of(assignment, rows, k)
    standard = family.standard(k, rows.n_features, rows.x.dtype)
    return standard.located(lax.stop_gradient(centers))


def first_m_step(
    family: type[Family], rows: Rows, assignment: Assignment, k: int, reg: Array
) -> Mixture:
    """The M-step before there are components.

    It runs twice: relative to standard components among the rows, and relative to the result.
    The second run restores the digits that the first lost where a component is narrow in some
    direction. Only the second has a gradient; the result does not depend on what it is relative
    to.
    """

    def responsibilities(x: Array, index: Array) -> Array:
        return assignment.of(index, k, x.dtype)

    def block(x: Array, weights: Array, index: Array) -> Array:
        return jnp.sum(responsibilities(x, index) * weights[None], axis=1)

    def step(components: Family) -> Family:
        return lax.stop_gradient(components).m_step(rows, responsibilities, reg)

    # Not in a loop, although that is compiled once: its gradient takes longer to compile.
    components = step(located(family, rows, assignment, k))
    if family.m_step_is_sums():
        components = step(components)
    return Mixture(log_shares(rows.sum(block)), components)


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
      x: (N, D) rows, float32 or float64, or `mixjax.Observed` rows. Of these the result is a
        first estimate, since what is missing has to be expected under some mixture.
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
    require_seen(x)
    rows = opened(x, family, resp, weights, reg_covar)
    table, family = rows.table, rows.family
    row_weights = checks.row_weights(weights, table)
    checks.reg_covar(reg_covar, rows.shape[1])
    assignment = checks.responsibilities(resp, table, row_weights)
    if rows.on_host:
        return rows.outside(_on_host(family, table, assignment, row_weights, reg_covar))
    arrays = (automatic(array) for array in (table, assignment, row_weights))
    return rows.outside(_m_step(family, *arrays, reg_covar))


def _on_host(
    family: type[Family], x: np.ndarray, resp: Array, weights: Array | None, reg_covar: Any
) -> Mixture:
    """The M-step of a table on the host, padded to one of a few lengths."""
    given = np.asarray(resp)
    with np.errstate(all="ignore"):
        w = None if weights is None else np.asarray(weights)
        table = HostTable.of(x, w, given.shape[1] * family.bulk(x.shape[1]))
        rows, scale = family.scaled_rows(table, family.needs_sorted_rows)
        shares = np.zeros((rows.weights.size, given.shape[1]), x.dtype)
        shares[: len(x)] = np.where(table.weights[:, None] > 0, given, 0)
    program = stepped.for_size(rows.x.size * given.shape[1])
    return program(rows, scale, shares, reg_covar, family)


def _stepped(
    rows: Rows, scale: Scale, resp: Array, reg_covar: Any, family: type[Family]
) -> Mixture:
    mixture = first_m_step(family, rows, Shares(resp), resp.shape[1], ridge(reg_covar, scale))
    return rescaled(mixture, scale, family.scaling)


stepped = BySize(_stepped, static_argnums=4)


@functools.partial(jit, static_argnums=0)
def _m_step(
    family: type[Family], x: Array, resp: Array, weights: Array | None, reg_covar: Any
) -> Mixture:
    k = resp.shape[1]
    table = Table.of(x, weights, k * family.bulk(x.shape[1]))
    if weights is not None:
        resp = jnp.where(weights[:, None] > 0, resp, 0)
    rows, scale = family.scaled_rows(table, family.needs_sorted_rows)
    return _stepped(rows, scale, resp, reg_covar, family)
