"""Densities, energies, responsibilities and samples of a mixture."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from .. import checks
from ..programs import ROOMY, BySize, jit, on_device, padded_components
from ..rows.asking import SOME, ask
from ..rows.blocks import map_rows
from ..rows.observed import Observed
from ..rows.origin import near_on_host, relative, together
from ..rows.sharded import by_shards, has_explicit_axes, row_mesh
from .far import known_density, log_sum, shares, within_reach
from .mixture import Mixture, joint_log_prob, require
from .opening import numbered, opened


def checked(mixture: Mixture, x: Any) -> tuple[Mixture, Array]:
    """A mixture and a table of matching width, both relative to the table's origin.

    If one has single and the other double precision, both become double.
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


def width_of(mixture: Mixture) -> int:
    """About how many numbers are computed for each row."""
    width = mixture.n_features
    bulk: int = mixture.components.bulk(width)
    return mixture.n_components * width * bulk


def _log_prob(mixture: Mixture, x: Array) -> Array:
    def block(rows: Array) -> Array:
        return log_sum(joint_log_prob(mixture, rows))

    return known_density(map_rows(block, x, width_of(mixture)), x)


def _energy(mixture: Mixture, x: Array) -> Array:
    return -_log_prob(mixture, x)


def _responsibilities(mixture: Mixture, x: Array) -> Array:
    def block(rows: Array) -> Array:
        return shares(joint_log_prob(mixture, rows), mixture.log_weights).T

    near = within_reach(mixture.components, x, nearest=True)
    return map_rows(block, near, width_of(mixture))


log_probs, energies = BySize(_log_prob), BySize(_energy)
assignments = BySize(_responsibilities)


def answers(program: BySize[Array], mixture: Mixture, x: Any) -> Array:
    """The answer for each row; on a mesh each device works on its own rows."""
    require(mixture)
    if isinstance(x, Observed):
        return _of_observed(program, mixture, x)
    if mixture.components.looks_at_rows():
        rows, family = numbered(x, mixture.components.kind)
        checks.width(rows, mixture.n_features)
        family.for_rows(rows)
    else:
        rows = checks.rows(x)
        checks.width(rows, mixture.n_features)
    if checks.on_host(mixture, rows):
        return _on_host(program, mixture, rows)
    mixture, x = checked(mixture, rows)
    f = program.thorough
    known = all(checks.is_concrete(leaf) for leaf in jax.tree.leaves(mixture))
    if known and (where := row_mesh(x)):
        return by_shards(f, where, mixture, x)
    if known and has_explicit_axes(x):
        # From the host it can go to the devices of the rows.
        mixture = jax.tree.map(np.asarray, mixture)
    return f(mixture, x)


def _of_observed(program: BySize[Array], mixture: Mixture, x: Observed) -> Array:
    """The answer for rows of which not everything is known, which are packed."""
    rows = opened(x, mixture.components.kind, mixture)
    checks.width(rows, mixture.n_features)
    inside, table = rows.inside(mixture), rows.table
    if rows.on_host:
        return _on_host(program, inside, table)
    wider = np.promote_types(mixture.log_weights.dtype, table.dtype)
    inside = jax.tree.map(lambda leaf: leaf.astype(wider), inside)
    return program.thorough(inside, table.astype(wider))


def _on_host(program: BySize[Array], mixture: Mixture, x: Any) -> Array:
    """The answer for rows on the host, padded to one of a few sizes."""
    table, origin = near_on_host(x, mixture.components.scaling)
    own = jax.tree.map(np.asarray, relative(mixture, origin))
    wider = np.promote_types(own.log_weights.dtype, table.dtype)
    k, width = own.n_components, table.shape[1] * own.components.bulk(table.shape[1])
    size = padded_components(k, 4)
    if k < size and min(len(table), SOME) * width * size <= ROOMY:
        own = _with_copies(own, size)
    own = jax.tree.map(lambda leaf: leaf.astype(wider), own)
    # Energies are those log-densities with the other sign: one program serves both.
    asked = log_probs if program is energies else program
    answer = ask(asked, own, table.astype(wider), width * own.n_components)
    answer = -answer if program is energies else answer
    return on_device(answer[:, :k] if program is assignments else answer)


def _with_copies(mixture: Mixture, size: int) -> Mixture:
    """The mixture with copies of its first component, of weight zero."""
    k = mixture.n_components
    index = np.where(np.arange(size) < k, np.arange(size), 0)
    log_weights: Any = np.where(np.arange(size) < k, mixture.log_weights[index], -np.inf)
    return Mixture(log_weights, mixture.components.take(index))


def log_prob(mixture: Mixture, x: ArrayLike) -> Array:
    r"""Log-density of each row: $\log\sum_k w_k\,p_k(x_n)$.

    Args:
      mixture: K components in D dimensions.
      x: (N, D) rows, float32 or float64, or `mixjax.Observed` rows.

    Returns:
      (N,) in nats.

    Raises:
      TypeError: x is not floating, or mixture is not a `Mixture`.
      ValueError: x does not have two axes, or not as many columns as the mixture.

    Example:
      >>> import jax.numpy as jnp, mixjax
      >>> normal = mixjax.DiagonalGaussian(jnp.zeros((1, 1)), jnp.ones((1, 1)))
      >>> mixture = mixjax.Mixture(jnp.zeros(1), normal)
      >>> round(mixjax.log_prob(mixture, jnp.zeros((1, 1))).item(), 4)
      -0.9189

    Source: McLachlan and Peel, Finite Mixture Models (2000), equation 1.5.
    """
    return answers(log_probs, mixture, x)


def energy(mixture: Mixture, x: ArrayLike) -> Array:
    r"""How strange each row is: $E(x_n) = -\log\sum_k w_k\,p_k(x_n)$.

    Differentiable in the rows and in the mixture, so its mean can be a loss term.

    Args:
      mixture: K components in D dimensions.
      x: (N, D) rows, float32 or float64, or `mixjax.Observed` rows.

    Returns:
      (N,) in nats; higher is stranger.

    Raises:
      TypeError: x is not floating, or mixture is not a `Mixture`.
      ValueError: x does not have two axes, or not as many columns as the mixture.

    Example:
      >>> import jax.numpy as jnp, mixjax
      >>> normal = mixjax.DiagonalGaussian(jnp.zeros((1, 1)), jnp.ones((1, 1)))
      >>> mixture = mixjax.Mixture(jnp.zeros(1), normal)
      >>> [round(e.item(), 4) for e in mixjax.energy(mixture, jnp.array([[0.0], [3.0]]))]
      [0.9189, 5.4189]

    Source: Zong et al., Deep Autoencoding Gaussian Mixture Model (2018), equation 6.
    """
    return answers(energies, mixture, x)


def responsibilities(mixture: Mixture, x: ArrayLike) -> Array:
    r"""Probability of each component given each row: $r_{nk} = w_k p_k(x_n) / p(x_n)$.

    Args:
      mixture: K components in D dimensions.
      x: (N, D) rows, float32 or float64, or `mixjax.Observed` rows.

    Returns:
      (N, K); each row sums to 1.

    Raises:
      TypeError: x is not floating, or mixture is not a `Mixture`.
      ValueError: x does not have two axes, or not as many columns as the mixture.

    Example:
      >>> import jax.numpy as jnp, mixjax
      >>> pair = mixjax.DiagonalGaussian(jnp.array([[-1.0], [1.0]]), jnp.ones((2, 1)))
      >>> mixture = mixjax.Mixture(jnp.log(jnp.array([0.5, 0.5])), pair)
      >>> mixjax.responsibilities(mixture, jnp.zeros((1, 1))).tolist()
      [[0.5, 0.5]]

    Source: Bishop, Pattern Recognition and Machine Learning (2006), equation 9.23.
    """
    return answers(assignments, mixture, x)


def sample(key: Array, mixture: Mixture, n: int) -> tuple[Array, Array]:
    """Draw rows, and the component each came from.

    Args:
      key: a typed random key.
      mixture: K components in D dimensions.
      n: how many rows; a Python int.

    Returns:
      x (n, D) in the units of the mixture, and labels (n,) from 0 to K - 1.

    Raises:
      TypeError: the key is an old-style key, or n is not an int.
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

    Value and gradient are finite: a standard deviation below 4e-12 (float32) or 5e-93 (float64)
    counts as that number.

    Args:
      mixture: a mixture whose family has variances; all built-in ones do.

    Returns:
      () in 1 / squared units of x.

    Raises:
      TypeError: mixture is not a `Mixture`.

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
    # Roots first: a square, and its gradient, would leave the range of floats.
    return jnp.sum((1 / jnp.maximum(scales, least)) ** 2)
