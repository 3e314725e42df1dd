"""A mixture, what can be asked of it, and the M-step that makes one."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike

from .. import checks
from ..families.family import Family, Responsibilities, occupied, smallest_share
from ..programs import jit
from ..pytrees import pytree
from ..rows.blocks import Rows, Table, map_rows
from ..rows.origin import near, placed, together
from ..rows.scaling import Scale, Scaling, standardized
from ..rows.sharded import automatic, by_shards, has_explicit_axes, row_mesh
from .far import known_density, log_sum, shares, within_reach


@pytree
class Mixture:
    r"""A weighted sum of components: $p(x) = \sum_k w_k\,p_k(x)$.

    Attributes:
      log_weights: (K,) logarithms of the weights, up to a constant: what is asked of a mixture
        normalizes them, so that any real numbers will do, and -inf leaves a component out.
      components: K components of one family, in one pytree.

    Example:
      >>> import jax.numpy as jnp, mixjax
      >>> components = mixjax.DiagonalGaussian(jnp.array([[0.0], [5.0]]), jnp.ones((2, 1)))
      >>> mixture = mixjax.Mixture(jnp.log(jnp.array([0.25, 0.75])), components)
      >>> mixture.weights.round(4).tolist(), mixture.n_components, mixture.n_features
      ([0.25, 0.75], 2, 1)

    Source: McLachlan and Peel, Finite Mixture Models (2000), equation 1.5.
    """

    log_weights: Array
    components: Any

    @property
    def weights(self) -> Array:
        """(K,) non-negative, of sum 1."""
        return jax.nn.softmax(self.log_weights)

    @property
    def n_components(self) -> int:
        """K."""
        return self.components.shape[0]

    @property
    def n_features(self) -> int:
        """D."""
        return self.components.shape[1]

    @property
    def n_parameters(self) -> int:
        """Free parameters, those of the weights included."""
        return self.components.n_parameters + self.n_components - 1


def joint_log_prob(mixture: Mixture, x: Array) -> Array:
    """log w_k + log p_k(x), components first: (K, N)."""
    log_weights = jax.nn.log_softmax(mixture.log_weights)
    return mixture.components.log_prob(x).T + log_weights[:, None]


def log_density(mixture: Mixture, x: Array) -> Array:
    """log p(x) of a block of rows (N, D): (N,)."""
    return known_density(log_sum(joint_log_prob(mixture, x)), x)


def assignment(mixture: Mixture, x: Array) -> Array:
    """The responsibilities of a block of rows (N, D), far ones by what is nearest: (K, N)."""
    near = within_reach(mixture.components, x, nearest=True)
    return shares(joint_log_prob(mixture, near), mixture.log_weights)


def soft_assignment(mixture: Mixture) -> Responsibilities:
    """The responsibilities of a mixture, as a function of a block of rows."""

    def responsibilities(x: Array, index: Array) -> Array:
        return shares(joint_log_prob(mixture, x.T), mixture.log_weights)

    return responsibilities


def given_assignment(resp: Array, dtype: Any) -> Responsibilities:
    """Responsibilities (N, K) that are already there, as a function of a block of rows."""

    def responsibilities(x: Array, index: Array) -> Array:
        return resp[index].T.astype(dtype)

    return responsibilities


def require(mixture: Any) -> None:
    """Raise unless it is a mixture."""
    if not isinstance(mixture, Mixture):
        raise TypeError(
            "mixture must be a mixjax.Mixture such as fit(...).mixture, "
            f"got {type(mixture).__name__}"
        )


def require_one(mixture: Any) -> None:
    """Raise unless it is a mixture, and not several at once."""
    require(mixture)
    if jnp.ndim(mixture.log_weights) != 1:
        raise ValueError(
            f"mixture has leading axes {jnp.shape(mixture.log_weights)[:-1]}: give one of them, "
            "for example fits[0].mixture"
        )


def checked(mixture: Mixture, x: Any) -> tuple[Mixture, Array]:
    """A mixture, and a table of as many columns; both relative to the table's origin.

    Where one is of single and one of double precision, both are double.
    """
    require(mixture)
    rows = checks.rows(x)
    checks.width(rows, mixture.n_features)
    mixture, table = together(mixture, rows)
    own = mixture.log_weights.dtype
    if own == table.dtype:
        return mixture, table
    wider = np.promote_types(own, table.dtype)
    return jax.tree.map(lambda leaf: leaf.astype(wider), mixture), table.astype(wider)


def _by_rows(f: Callable[[Mixture, Array], Array], mixture: Mixture, x: Array) -> Array:
    """``f(mixture, x)``, on each device for its own rows where they are spread over several."""
    known = all(checks.is_concrete(leaf) for leaf in jax.tree.leaves(mixture))
    if known and (where := row_mesh(x)):
        return by_shards(f, where, mixture, x)
    if known and has_explicit_axes(x):
        # From the host it goes wherever the rows are.
        mixture = jax.tree.map(np.asarray, mixture)
    return f(mixture, x)


@jit
def _log_prob(mixture: Mixture, x: Array) -> Array:
    def block(rows: Array) -> Array:
        return log_sum(joint_log_prob(mixture, rows))

    return known_density(map_rows(block, x, mixture.n_components * mixture.n_features), x)


@jit
def _energy(mixture: Mixture, x: Array) -> Array:
    return -_log_prob(mixture, x)


@jit
def _responsibilities(mixture: Mixture, x: Array) -> Array:
    def block(rows: Array) -> Array:
        return shares(joint_log_prob(mixture, rows), mixture.log_weights).T

    near = within_reach(mixture.components, x, nearest=True)
    return map_rows(block, near, mixture.n_components * mixture.n_features)


def log_prob(mixture: Mixture, x: ArrayLike) -> Array:
    r"""Log-density of each row: $\log\sum_k w_k\,p_k(x_n)$.

    Args:
      mixture: K components in D dimensions.
      x: (N, D) rows, float32 or float64.

    Returns:
      (N,) in nats.

    Raises:
      TypeError: x is not floating, or the mixture is none.
      ValueError: x has another rank or width than the mixture.

    Example:
      >>> import jax.numpy as jnp, mixjax
      >>> normal = mixjax.DiagonalGaussian(jnp.zeros((1, 1)), jnp.ones((1, 1)))
      >>> mixture = mixjax.Mixture(jnp.zeros(1), normal)
      >>> round(mixjax.log_prob(mixture, jnp.zeros((1, 1))).item(), 4)
      -0.9189

    Source: McLachlan and Peel, Finite Mixture Models (2000), equation 1.5.
    """
    return _by_rows(_log_prob, *checked(mixture, x))


def energy(mixture: Mixture, x: ArrayLike) -> Array:
    r"""How strange each row is: $E(x_n) = -\log\sum_k w_k\,p_k(x_n)$.

    Differentiable in the rows and in the mixture, so its mean can be a loss term.

    Args:
      mixture: K components in D dimensions.
      x: (N, D) rows, float32 or float64.

    Returns:
      (N,) in nats; higher is stranger.

    Raises:
      TypeError: x is not floating, or the mixture is none.
      ValueError: x has another rank or width than the mixture.

    Example:
      >>> import jax.numpy as jnp, mixjax
      >>> normal = mixjax.DiagonalGaussian(jnp.zeros((1, 1)), jnp.ones((1, 1)))
      >>> mixture = mixjax.Mixture(jnp.zeros(1), normal)
      >>> [round(e.item(), 4) for e in mixjax.energy(mixture, jnp.array([[0.0], [3.0]]))]
      [0.9189, 5.4189]

    Source: Zong et al., Deep Autoencoding Gaussian Mixture Model (2018), equation 6.
    """
    return _by_rows(_energy, *checked(mixture, x))


def responsibilities(mixture: Mixture, x: ArrayLike) -> Array:
    r"""Probability of each component given each row: $r_{nk} = w_k p_k(x_n) / p(x_n)$.

    Args:
      mixture: K components in D dimensions.
      x: (N, D) rows, float32 or float64.

    Returns:
      (N, K), each row of sum 1.

    Raises:
      TypeError: x is not floating, or the mixture is none.
      ValueError: x has another rank or width than the mixture.

    Example:
      >>> import jax.numpy as jnp, mixjax
      >>> pair = mixjax.DiagonalGaussian(jnp.array([[-1.0], [1.0]]), jnp.ones((2, 1)))
      >>> mixture = mixjax.Mixture(jnp.log(jnp.array([0.5, 0.5])), pair)
      >>> mixjax.responsibilities(mixture, jnp.zeros((1, 1))).tolist()
      [[0.5, 0.5]]

    Source: Bishop, Pattern Recognition and Machine Learning (2006), equation 9.23.
    """
    return _by_rows(_responsibilities, *checked(mixture, x))


def sample(key: Array, mixture: Mixture, n: int) -> tuple[Array, Array]:
    """Draw rows, and the component each came from.

    Args:
      key: a typed random key.
      mixture: K components in D dimensions.
      n: how many rows; a Python int.

    Returns:
      x (n, D) in the units of the mixture, and labels (n,) from 0 to K - 1.

    Raises:
      TypeError: an old-style key, or an n that is not an int.
      ValueError: n is less than 1.

    Example:
      >>> import jax, jax.numpy as jnp, mixjax
      >>> pair = mixjax.DiagonalGaussian(jnp.array([[-9.0], [9.0]]), jnp.ones((2, 1)))
      >>> mixture = mixjax.Mixture(jnp.log(jnp.array([0.5, 0.5])), pair)
      >>> x, labels = mixjax.sample(jax.random.key(0), mixture, 100)
      >>> bool(((x[:, 0] > 0) == (labels == 1)).all())
      True

    Source: McLachlan and Peel, Finite Mixture Models (2000), section 1.4.2.
    """
    require(mixture)
    return _sample(checks.key(key), mixture, checks.count(n, "n"))


@functools.partial(jit, static_argnums=2)
def _sample(key: Array, mixture: Mixture, n: int) -> tuple[Array, Array]:
    for_label, for_row = jax.random.split(key)
    labels = jax.random.categorical(for_label, mixture.log_weights, shape=(n,))
    return mixture.components.sample(for_row, labels), labels


def covariance_penalty(mixture: Mixture) -> Array:
    r"""The DAGMM penalty on collapsing components: $\sum_k\sum_d 1/\Sigma_{kdd}$.

    Finite in value and gradient: a standard deviation below 4e-12 in float32, or 5e-93 in
    float64, counts as that.

    Args:
      mixture: a mixture whose family has variances; all built-in ones do.

    Returns:
      () in 1 / squared units of x.

    Raises:
      TypeError: the mixture is none.

    Example:
      >>> import jax.numpy as jnp, mixjax
      >>> round_ = mixjax.SphericalGaussian(jnp.zeros((2, 3)), jnp.array([1.0, 2.0]))
      >>> mixjax.covariance_penalty(mixjax.Mixture(jnp.zeros(2), round_)).item()
      3.75

    Source: Zong et al., Deep Autoencoding Gaussian Mixture Model (2018), section 3.4.
    """
    require(mixture)
    scales = mixture.components.standard_deviations
    least = float(jnp.finfo(scales.dtype).tiny) ** 0.3
    # Their roots first: a square, and with it the gradient, leaves the range of floats.
    return jnp.sum((1 / jnp.maximum(scales, least)) ** 2)


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
    # Not reg / scale / scale: compiled, that is reg / scale², which leaves the range of floats.
    return (jnp.sqrt(jnp.asarray(reg_covar, scale.scale.dtype)) / scale.scale) ** 2


def rescaled(mixture: Mixture, scale: Scale, scaling: Scaling) -> Mixture:
    """A mixture of scaled columns as one of the columns themselves."""
    if scaling is Scaling.NONE:
        return mixture
    components = mixture.components.affine(scale.scale, scale.shift)
    return Mixture(mixture.log_weights, components)


def unscaled(mixture: Mixture, scale: Scale, scaling: Scaling) -> Mixture:
    """The inverse of `rescaled`, with weights of sum 1."""
    log_weights = jax.nn.log_softmax(mixture.log_weights)
    if scaling is Scaling.NONE:
        return Mixture(log_weights, mixture.components)
    # The difference first: far from zero, -shift / scale has lost the digits that count.
    moved = mixture.components.affine(jnp.ones_like(scale.scale), -scale.shift)
    components = moved.affine(1 / scale.scale, jnp.zeros_like(scale.shift))
    return Mixture(log_weights, components)


def first_m_step(
    family: type[Family], rows: Rows, assignment: Responsibilities, k: int, reg: Array
) -> Mixture:
    """The M-step where there are no components yet.

    It is taken twice: over a part of the rows relative to standard components at the
    origin, and over all of them relative to the result, which gives back the digits
    that the distance to the origin cost. Only the second has a gradient; the result
    does not depend on what it is relative to.
    """

    def block(x: Array, weights: Array, index: Array) -> Array:
        return jnp.sum(assignment(x, index) * weights[None], axis=1)

    start = family.reference(k, rows.n_features, rows.x.dtype)
    if not family.order_statistics:
        start = lax.stop_gradient(start.maximise(rows.thinned(), assignment, reg))
    return Mixture(log_shares(rows.sum(block)), start.maximise(rows, assignment, reg))


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

    Differentiable in x and in resp: EM's responsibilities, a hard assignment and the
    output of a network all go through here. A component without rows becomes the
    spread of the whole table, and value and gradient stay finite.

    Args:
      family: the class of the components.
      x: (N, D) rows, float32 or float64.
      resp: (N, K) responsibilities, not negative; rows of sum 1 for a mixture.
      weights: (N,) weight of each row; None for 1 each.
      reg_covar: None adds 1e-6 of each feature's variance to the diagonal, held
        constant in the gradient; a number or (D,) is added as it is.

    Returns:
      The mixture, in the units of x.

    Raises:
      TypeError: x is not floating, or family is not a family.
      ValueError: shapes that do not fit; negative weights; responsibilities that are negative,
        NaN or infinite in a row of positive weight (under ``jit`` they are not looked at).

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
    rows, scale = standardized(table, family.scaling, family.order_statistics)
    reg = ridge(reg_covar, scale)
    assignment = given_assignment(resp, x.dtype)
    return rescaled(first_m_step(family, rows, assignment, k, reg), scale, family.scaling)
