"""Marginals and conditionals of a mixture."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from .. import checks
from ..describing.summary import Described
from ..programs import BySize, on_device
from ..pytrees import pytree
from ..rows.asking import ask
from ..rows.blocks import map_rows
from .far import log_parts, within_reach
from .mixture import Mixture, joint_log_prob, require


@pytree
class Prediction(Described):
    """Mean and covariance of some columns given the others.

    Attributes:
      mean: (N, R) in the units of the columns.
      covariance: (N, R, R) in their squared units.

    Example:
      >>> import jax.numpy as jnp, mixjax
      >>> g = mixjax.Gaussian.from_covariances(jnp.zeros((1, 2)), jnp.array([[[1, 0.5], [0.5, 1]]]))
      >>> prediction = mixjax.predict(mixjax.Mixture(jnp.zeros(1), g), [0], jnp.array([[2.0]]))
      >>> round(prediction.mean.item(), 4), round(prediction.covariance.item(), 4)
      (1.0, 0.75)

    Source: Bishop, Pattern Recognition and Machine Learning (2006), equations 2.81-2.82.
    """

    mean: Array
    covariance: Array


def marginal(mixture: Mixture, columns: Sequence[int]) -> Mixture:
    r"""The mixture of some columns alone: $p(x_C) = \sum_k w_k\,p_k(x_C)$.

    Args:
      mixture: K components in D dimensions.
      columns: the C columns to keep, in their new order; Python ints.

    Returns:
      K components in C dimensions.

    Raises:
      TypeError: mixture is not a `Mixture`, or its family has no marginals.
      ValueError: there is no column, or a column is repeated or out of range.

    Example:
      >>> import jax.numpy as jnp, mixjax
      >>> g = mixjax.DiagonalGaussian(jnp.array([[1.0, 2.0, 3.0]]), jnp.ones((1, 3)))
      >>> mixjax.marginal(mixjax.Mixture(jnp.zeros(1), g), [2, 0]).components.means.tolist()
      [[3.0, 1.0]]

    Source: Bishop, Pattern Recognition and Machine Learning (2006), equation 2.98.
    """
    require(mixture)
    kept = checks.columns(columns, mixture.n_features)
    return Mixture(mixture.log_weights, mixture.components.marginal(kept))


def conditional(mixture: Mixture, columns: Sequence[int], values: ArrayLike) -> Mixture:
    r"""The mixture of the other columns given values of these columns.

    $p(x_R\mid x_C) = \sum_k w_k(x_C)\,p_k(x_R\mid x_C)$, with
    $w_k(x_C) \propto w_k\,p_k(x_C)$.

    Args:
      mixture: K components in D dimensions.
      columns: the C known columns; Python ints.
      values: (C,) their values.

    Returns:
      K components of the other D - C columns, in table order.

    Raises:
      TypeError: mixture is not a `Mixture`, or its family has no conditionals.
      ValueError: columns are none or all of the columns, a column is repeated or out of range,
        or values have the wrong shape.

    Example:
      >>> import jax.numpy as jnp, mixjax
      >>> pair = mixjax.DiagonalGaussian(jnp.array([[0.0, 1.0], [9.0, 5.0]]), jnp.ones((2, 2)))
      >>> mixture = mixjax.Mixture(jnp.log(jnp.array([0.5, 0.5])), pair)
      >>> mixjax.conditional(mixture, [0], jnp.array([9.0])).weights.round(3).tolist()
      [0.0, 1.0]

    Source: Bishop, Pattern Recognition and Machine Learning (2006), equations 2.81-2.82.
    """
    require(mixture)
    known = checks.columns(columns, mixture.n_features)
    rest = _others(mixture, known)
    values = jnp.asarray(values, mixture.log_weights.dtype)
    if values.shape != known.shape:
        raise ValueError(f"values must have shape ({len(known)},), got {values.shape}")
    return _conditional(mixture, rest, known, values)


def predict(mixture: Mixture, columns: Sequence[int], values: ArrayLike) -> Prediction:
    r"""Regression by conditioning: mean and covariance of the other columns of each row.

    $m = \sum_k w_k(x_C)\,m_k$ and $S = \sum_k w_k(x_C)\,(S_k + m_k m_k^\top) - m m^\top$,
    with $m_k, S_k$ of component k given $x_C$.

    Args:
      mixture: K components in D dimensions.
      columns: the C known columns; Python ints.
      values: (N, C) their values, one row for each prediction.

    Returns:
      Means (N, D - C) and covariances (N, D - C, D - C) of the other columns, in table order.

    Raises:
      TypeError: mixture is not a `Mixture`, or its family has no conditionals.
      ValueError: columns are none or all of the columns, a column is repeated or out of range,
        or values have the wrong shape.

    Example:
      >>> import jax, jax.numpy as jnp, mixjax
      >>> x = jax.random.uniform(jax.random.key(0), (500, 1), minval=-3, maxval=3)
      >>> table = jnp.concatenate([x, jnp.sin(x)], axis=1)
      >>> fit = mixjax.fit(jax.random.key(1), table, 8)
      >>> at = jnp.array([[0.0], [1.5]])
      >>> bool(jnp.abs(mixjax.predict(fit.mixture, [0], at).mean - jnp.sin(at)).max() < 0.1)
      True

    Source: Ghahramani and Jordan, Supervised Learning from Incomplete Data via an EM
    Approach (1994), section 3.
    """
    require(mixture)
    known = checks.columns(columns, mixture.n_features)
    rest = _others(mixture, known)
    given = np.shape(values)
    if len(given) != 2 or given[1] != len(known):
        raise ValueError(f"values must have shape (rows, {len(known)}), got {given}")
    columns_of = tuple(known.tolist()), tuple(rest.tolist())
    dtype = mixture.log_weights.dtype
    if not checks.on_host(mixture, values) or given[0] == 0:
        return predictions.thorough(mixture, on_device(values, dtype), *columns_of)
    rows, width = np.asarray(values, dtype), mixture.n_components * len(rest) ** 2
    answers = ask(predictions, mixture, rows, width, *columns_of)
    return jax.tree.map(on_device, answers)


def _predict(
    mixture: Mixture, values: Array, columns: tuple[int, ...], others: tuple[int, ...]
) -> Prediction:
    known, rest = np.array(columns, np.int32), np.array(others, np.int32)

    def one(row: Array) -> Prediction:
        given = _conditional(mixture, rest, known, row)
        means, weights = given.components.centers, given.weights
        # A component of weight zero may be infinitely far away.
        has_part = weights[:, None] > 0
        mean = jnp.sum(weights[:, None] * jnp.where(has_part, means, 0), axis=0)
        away = jnp.where(has_part, means - mean[None], 0)
        spread = given.components.covariances + away[:, :, None] * away[:, None]
        return Prediction(mean, jnp.sum(weights[:, None, None] * spread, axis=0))

    return map_rows(jax.vmap(one), values, mixture.n_components * len(rest) ** 2)


predictions: BySize[Prediction] = BySize(_predict, static_argnums=(2, 3))


def _conditional(mixture: Mixture, rest: np.ndarray, known: np.ndarray, values: Array) -> Mixture:
    components = mixture.components
    seen = Mixture(mixture.log_weights, components.marginal(known))
    near = within_reach(seen.components, values[None], nearest=True)
    log_weights = log_parts(joint_log_prob(seen, near), seen.log_weights)[:, 0]
    return Mixture(log_weights, components.conditional(rest, known, values))


def _others(mixture: Mixture, known: np.ndarray) -> np.ndarray:
    rest = np.setdiff1d(np.arange(mixture.n_features), known)
    if len(rest) == 0:
        raise ValueError("columns are all columns of the mixture: leave at least one out")
    return rest.astype(np.int32)
