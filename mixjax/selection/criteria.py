"""Criteria to choose a mixture by; lower is better, as for energies."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from .. import checks
from ..mixture.mixture import Mixture
from ..mixture.questions import energy, responsibilities
from ..programs import on_device
from ..pytrees import pytree, static
from ..rows.observed import Observed


@pytree
class HeldOut:
    """The mean energy of rows that were not fitted.

    Attributes:
      n_folds: the number of parts that the rows are divided into; each is held out in turn.
      n_used: how many parts are held out: 1 for a hold-out, None for all, as in
        cross-validation.

    Example:
      >>> import mixjax
      >>> mixjax.HeldOut(n_folds=10)
      HeldOut(n_folds=10, n_used=None)

    Source: Smyth, Model Selection for Probabilistic Clustering Using Cross-Validated
    Likelihood (2000), section 3.
    """

    n_folds: int = static(default=5)
    n_used: int | None = static(default=None)


def _weighted(values: Any, x: ArrayLike, weights: ArrayLike | None) -> tuple[Any, Any]:
    """The weighted sum of values (N,), and the sum of the weights."""
    rows = checks.rows(x.x if isinstance(x, Observed) else x)
    w: Any = checks.row_weights(weights, rows)
    xp: Any = jnp
    if isinstance(x, Observed):
        # A row of which nothing is known is no row.
        some = jnp.any(~jnp.isnan(rows), axis=1).astype(values.dtype)
        w = some if w is None else w * some
    if checks.on_host(values, w):
        # Nothing to compile for each length.
        values, w, xp = np.asarray(values), None if w is None else np.asarray(w), np
    w = xp.ones_like(values) if w is None else w.astype(values.dtype)
    return xp.sum(xp.where(w > 0, w * values, 0)), xp.sum(w)


def bic(mixture: Mixture, x: ArrayLike, weights: ArrayLike | None = None) -> Array:
    r"""Bayesian information criterion: $-2\log L + p\log N$.

    Args:
      mixture: K components with p free parameters.
      x: (N, D) the rows that the mixture was fitted to, or `mixjax.Observed` rows.
      weights: (N,) weight of each row, in numbers of rows; None for 1 each.

    Returns:
      (); lower is better. (mclust has the opposite sign.)

    Raises:
      TypeError, ValueError: as `mixjax.energy`.

    Example:
      >>> import jax, mixjax
      >>> x = jax.random.normal(jax.random.key(0), (300, 2))
      >>> fits = [mixjax.fit(jax.random.key(1), x, k) for k in (1, 4)]
      >>> bool(mixjax.bic(fits[0].mixture, x) < mixjax.bic(fits[1].mixture, x))
      True

    Source: Schwarz, Estimating the Dimension of a Model (1978); Fraley and Raftery,
    Model-Based Clustering (2002), section 2.4.
    """
    total, n = _weighted(energy(mixture, x), x, weights)
    log = np.log if isinstance(n, np.generic) else jnp.log
    return _as_array(2 * total + mixture.n_parameters * log(n))


def aic(mixture: Mixture, x: ArrayLike, weights: ArrayLike | None = None) -> Array:
    r"""Akaike's information criterion: $-2\log L + 2p$.

    Args:
      mixture: K components with p free parameters.
      x: (N, D) the rows that the mixture was fitted to, or `mixjax.Observed` rows.
      weights: (N,) weight of each row, in numbers of rows; None for 1 each.

    Returns:
      (); lower is better. It chooses more components than `bic`.

    Raises:
      TypeError, ValueError: as `mixjax.energy`.

    Example:
      >>> import jax, mixjax
      >>> x = jax.random.normal(jax.random.key(0), (300, 2))
      >>> mixture = mixjax.fit(jax.random.key(1), x, 3).mixture
      >>> bool(mixjax.aic(mixture, x) < mixjax.bic(mixture, x))
      True

    Source: Akaike, A New Look at the Statistical Model Identification (1974).
    """
    total, _ = _weighted(energy(mixture, x), x, weights)
    return _as_array(2 * total + 2 * mixture.n_parameters)


def icl(mixture: Mixture, x: ArrayLike, weights: ArrayLike | None = None) -> Array:
    r"""Integrated completed likelihood: `bic` $ - 2\sum_n\sum_k r_{nk}\log r_{nk}$.

    Args:
      mixture: K components with p free parameters.
      x: (N, D) the rows that the mixture was fitted to, or `mixjax.Observed` rows.
      weights: (N,) weight of each row, in numbers of rows; None for 1 each.

    Returns:
      (); lower is better. It prefers components that do not overlap: clusters.

    Raises:
      TypeError, ValueError: as `mixjax.energy`.

    Example:
      >>> import jax, mixjax
      >>> x = jax.random.normal(jax.random.key(0), (300, 2))
      >>> mixture = mixjax.fit(jax.random.key(1), x, 3).mixture
      >>> bool(mixjax.icl(mixture, x) > mixjax.bic(mixture, x))
      True

    Source: Biernacki, Celeux and Govaert, Assessing a Mixture Model for Clustering with the
    Integrated Completed Likelihood (2000), section 3.
    """
    entropy = _entropy(responsibilities(mixture, x))
    return _as_array(bic(mixture, x, weights) + 2 * _weighted(entropy, x, weights)[0])


def _entropy(r: Array) -> Any:
    xp: Any = np if checks.on_host(r) else jnp
    r = xp.asarray(r)
    return -xp.sum(xp.where(r > 0, r * xp.log(xp.where(r > 0, r, 1)), 0), axis=1)


def _as_array(value: Any) -> Array:
    return on_device(np.asarray(value)) if isinstance(value, np.generic) else value
