"""Why a row is strange: the surprise of each of its columns, in closed form."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from .. import checks
from ..programs import BySize, jit
from ..rows.blocks import map_rows
from ..threshold.scores import anomalies_of
from .far import log_parts, log_sum, within_reach
from .mixture import Mixture, joint_log_prob, require
from .questions import answers, log_prob

# Without labels, this share of the rows, those of highest energy, counts as strange.
STRANGE = 0.05


def surprisal(mixture: Mixture, x: ArrayLike) -> Array:
    r"""How strange each value is, given the other values of its row.

    $s_{nd} = -\log p(x_{nd}\mid x_{n,-d}) = -\log\sum_k r_{nk}^{(-d)}\,p_k(x_{nd}\mid x_{n,-d})$,
    with the responsibilities of the row without the value. It equals
    $\log p(x_{n,-d}) - \log p(x_n)$: the drop of the energy if the column were left out.

    A row so far away that the square of its distance overflows (in float32 beyond about 1e16
    standard deviations) is moved nearer on a straight line. The surprises of its columns keep
    their order.

    Args:
      mixture: K components in D dimensions.
      x: (N, D) rows, float32 or float64, or `mixjax.Observed` rows; a missing value is no
        surprise.

    Returns:
      (N, D) in nats. Densities have units: compare rows within a column, or scale all
      columns to equal spread.

    Raises:
      TypeError: x is not floating, or mixture is not a `Mixture`.
      ValueError: x does not have two axes, or not as many columns as the mixture.

    Example:
      >>> import jax.numpy as jnp, mixjax
      >>> g = mixjax.Gaussian.from_covariances(
      ...     jnp.zeros((1, 2)), jnp.array([[[1, 0.99], [0.99, 1]]]))
      >>> mixture = mixjax.Mixture(jnp.zeros(1), g)
      >>> x = jnp.array([[2.0, 2.0], [1.0, -1.0]])   # far out, but as it should; near, but odd
      >>> (mixjax.surprisal(mixture, x) > 10).tolist()
      [[False, False], [True, True]]

    Source: Bishop, Pattern Recognition and Machine Learning (2006), equations 2.96-2.97,
    for each component.
    """
    return answers(surprisals, mixture, x)


def _surprisal(mixture: Mixture, x: Array) -> Array:
    def block(rows: Array) -> Array:
        rows = within_reach(mixture.components, rows)
        # Responsibilities first: the energies of far rows are large and would cancel.
        log_resp = log_parts(joint_log_prob(mixture, rows), mixture.log_weights)
        given = jnp.moveaxis(mixture.components.coordinate_log_prob(rows), 1, 0)
        log_resp = log_resp[:, :, None]
        # A component without responsibility for a row may be infinitely surprised by it.
        absent = log_resp == -jnp.inf
        return log_sum(jnp.where(absent, -jnp.inf, log_resp - jnp.where(absent, 0, given)))

    return map_rows(block, x, 2 * mixture.n_components * mixture.n_features)


surprisals: BySize[Array] = BySize(_surprisal)


def feature_importance(mixture: Mixture, x: ArrayLike, labels: ArrayLike | None = None) -> Array:
    r"""How much each column contributes to the strangeness of rows.

    With labels: how well the surprise of the column alone separates anomalies from normal rows,
    $|2\,\mathrm{AUC}_d - 1|$. Without labels: the column's share of the extra surprise of the
    5 % of rows with the highest energy, $\max(0, \bar s_{d}^{\,high} - \bar
    s_{d}^{\,rest})$ over its sum.

    Args:
      mixture: K components in D dimensions.
      x: (N, D) rows.
      labels: (N,) 1 or True for anomalies, 0 for normal rows; None if there are none.

    Returns:
      (D,) from 0 to 1; without labels they sum to 1, unless all are 0.

    Raises:
      TypeError, ValueError: as `surprisal`; or labels have the wrong length, hold other values
        than 0 and 1, or hold no anomaly.

    Example:
      >>> import jax, jax.numpy as jnp, mixjax
      >>> x = jax.random.normal(jax.random.key(0), (400, 3))
      >>> fit = mixjax.fit(jax.random.key(1), x, 1)
      >>> odd = x.at[:20, 1].add(8.0)
      >>> int(mixjax.feature_importance(fit.mixture, odd).argmax())
      1

    Source: Hanley and McNeil, The Meaning and Use of the Area under a ROC Curve (1982).
    """
    s = surprisal(mixture, x)
    if labels is not None:
        return _importance_by_labels(s, anomalies_of(labels, len(s)))
    return _shares(s, log_prob(mixture, x))


@jit
def _shares(s: Array, log_prob: Array) -> Array:
    # The sum over very far rows would overflow.
    s = jnp.minimum(s, jnp.finfo(s.dtype).max)
    s = s / jnp.maximum(jnp.max(jnp.abs(s)), 1)
    n_high = max(1, int(STRANGE * s.shape[0]))
    high = jnp.argsort(jnp.argsort(log_prob)) < n_high
    share = high.astype(s.dtype)[:, None]
    more = jnp.sum(s * share, axis=0) / n_high
    rest = jnp.sum(s * (1 - share), axis=0) / max(1, s.shape[0] - n_high)
    extra = jnp.maximum(more - rest, 0)
    total = jnp.sum(extra)
    return extra / jnp.where(total > 0, total, 1)


def suggest_columns(
    mixture: Mixture, x: ArrayLike, n: int, labels: ArrayLike | None = None
) -> list[int]:
    """The n columns of highest `feature_importance`.

    Args:
      mixture: K components in D dimensions.
      x: (N, D) rows.
      n: how many columns; a Python int.
      labels: (N,) 1 or True for anomalies, 0 for normal rows; None if there are none.

    Returns:
      The column numbers, the most important first.

    Raises:
      TypeError, ValueError: as `feature_importance`; or n is not from 1 to D.

    Example:
      >>> import jax, mixjax
      >>> x = jax.random.normal(jax.random.key(0), (400, 3))
      >>> fit = mixjax.fit(jax.random.key(1), x, 1)
      >>> mixjax.suggest_columns(fit.mixture, x.at[:20, 1].add(8.0), 1)
      [1]

    Source: as `feature_importance`.
    """
    require(mixture)
    if checks.count(n, "n") > mixture.n_features:
        raise ValueError(f"n must be from 1 to {mixture.n_features}, got {n}")
    importance = feature_importance(mixture, x, labels)
    if not checks.is_concrete(importance):
        raise TypeError(checks.HOST_ONLY.format("suggest_columns", "feature_importance"))
    order = np.argsort(-np.asarray(importance), kind="stable")
    return [int(column) for column in order[:n]]


@jit
def _importance_by_labels(s: Array, is_anomaly: Array) -> Array:
    return jnp.abs(2 * _areas(s, is_anomaly) - 1)


def _areas(s: Array, is_anomaly: Array) -> Array:
    """The ROC AUC of each column of s (N, D); ties count half."""

    def area(values: Array) -> Array:
        ordered = jnp.sort(values)
        below = jnp.searchsorted(ordered, values, side="left")
        upto = jnp.searchsorted(ordered, values, side="right")
        rank = 0.5 * (below + upto + 1).astype(s.dtype)
        positive = jnp.sum(is_anomaly).astype(s.dtype)
        negative = s.shape[0] - positive
        wins = jnp.sum(jnp.where(is_anomaly, rank, 0)) - 0.5 * positive * (positive + 1)
        pairs = positive * negative
        return jnp.where(pairs > 0, wins / jnp.where(pairs > 0, pairs, 1), 0.5)

    return jax.vmap(area, in_axes=1)(s)
