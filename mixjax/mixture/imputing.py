"""Values for what is missing: conditional means, and draws for multiple imputation."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from .. import checks, linalg
from ..programs import BySize, jit, on_device
from ..rows.asking import ask
from ..rows.blocks import map_rows
from ..rows.observed import Observed, Seen
from .far import shares
from .mixture import Mixture, joint_log_prob, require
from .opening import Opened, numbered, observed, opened
from .questions import width_of


def impute(
    mixture: Mixture,
    rows: Observed | ArrayLike,
    *,
    key: Array | None = None,
    n: int | None = None,
) -> Array:
    r"""Rows without holes: the mean of each row given what is seen of it, or draws of it.

    $\hat x_n = \sum_k r_{nk}\,\mathrm E[x \mid y_n, k]$ with the responsibilities of what is
    seen. Values that were measured exactly stay as they are; of one that was measured with an
    error it is the mean given all that is seen of its row. Categories have no mean: a missing one
    becomes the most probable one. Draws differ by what is not known, so
    an estimate from each of them, averaged, has honest errors: multiple imputation.

    Args:
      mixture: K components in D dimensions.
      rows: `mixjax.Observed` rows, or (N, D) rows in which NaN is a missing value.
      key: a typed random key, for draws.
      n: the number of draws.

    Returns:
      (N, D) means in the units of x; with ``key`` and ``n`` draws (n, N, D).

    Raises:
      TypeError, ValueError: as `mixjax.energy`; or only one of key and n is given.

    Example:
      >>> import jax, jax.numpy as jnp, mixjax
      >>> covariances = jnp.array([[[1.0, 0.9], [0.9, 1.0]]])
      >>> normal = mixjax.Gaussian.from_covariances(jnp.zeros((1, 2)), covariances)
      >>> mixture = mixjax.Mixture(jnp.zeros(1), normal)
      >>> x = jnp.array([[2.0, jnp.nan]])
      >>> print(mixjax.impute(mixture, x).round(4))
      [[2.  1.8]]
      >>> mixjax.impute(mixture, x, key=jax.random.key(0), n=5).shape
      (5, 1, 2)

    Source: Little and Rubin, Statistical Analysis with Missing Data (2002), chapters 4, 5 and 11.
    """
    require(mixture)
    if (key is None) != (n is None):
        raise ValueError("draws need both a key and n, their number; without both come the means")
    seen = rows if isinstance(rows, Observed) else Observed(rows)
    seen = Observed(numbered(seen.x, mixture.components.kind)[0], seen.noise)
    given = opened(seen, mixture.components.kind, mixture, key)
    checks.width(given, mixture.n_features)
    inside = given.inside(mixture)
    if key is not None and n is not None:
        table = on_device(given.table)
        found = _draws(checks.key(key), inside, table, checks.count(n, "n"))
    elif given.on_host:
        found = ask(means, jax.tree.map(np.asarray, inside), given.table, width_of(inside))
    else:
        found = means.thorough(inside, given.table)
    return _outside(found, given, seen)


def _outside(found: Any, given: Opened, seen: Observed) -> Array:
    """The values (..., N, D) in the units of the rows; exact ones as they came."""
    values, noise, full = observed(seen)
    xp = np if given.on_host else jnp
    if given.origin is not None:
        place = given.origin.high.astype(np.float64) + given.origin.low
        found = np.asarray(found) + place
    exact = ~xp.isnan(values)
    if noise is not None:
        variances = xp.diagonal(noise, axis1=1, axis2=2) if full else noise
        exact = exact & (xp.broadcast_to(variances, values.shape) == 0)
    kept: Any = xp.where(exact, values, xp.asarray(found))
    return on_device(kept, given.table.dtype)


def _parts(mixture: Mixture, x: Array) -> tuple[Array, Array]:
    """Responsibilities (K, N) of packed rows, and their means (N, K, D) under each component."""
    own, seen = mixture.components.components, mixture.components.seen(x)
    return shares(joint_log_prob(mixture, x), mixture.log_weights), own.observed_means(seen)


def _means(mixture: Mixture, x: Array) -> Array:
    def block(x: Array) -> Array:
        resp, each = _parts(mixture, x)
        components, seen = mixture.components.components, mixture.components.seen(x)
        means = jnp.sum(resp.T[:, :, None] * each, axis=1)
        return components.filled_in(seen, resp.T, means)

    return map_rows(block, x, width_of(mixture))


means: BySize[Array] = BySize(_means)


@functools.partial(jit, static_argnums=3)
def _draws(key: Array, mixture: Mixture, x: Array, n: int) -> Array:
    """Draws (n, N, D) of packed rows.

    A draw of a row and of its errors, without regard to what is seen, is corrected by the
    difference that this makes to the mean: Matheron's rule.
    """
    own = mixture.components.components
    d = own.shape[1]

    def once(key: Array) -> Array:
        for_label, for_row, for_error = jax.random.split(key, 3)
        noise = jax.random.gumbel(for_label, (len(x), mixture.n_components), x.dtype)
        normal = jax.random.normal(for_error, (len(x), d), x.dtype)

        def labels_of(rows: tuple[Array, Array]) -> Array:
            x, noise = rows
            resp = shares(joint_log_prob(mixture, x), mixture.log_weights).T
            return jnp.argmax(jnp.log(resp) + noise, axis=1)

        labels = map_rows(labels_of, (x, noise), width_of(mixture))
        drawn = own.sample(for_row, labels)

        def corrected(rows: tuple[Array, Array, Array, Array]) -> Array:
            x, labels, drawn, normal = rows
            seen = mixture.components.seen(x)
            other = seen._replace(x=jnp.where(seen.known, drawn + _errors(seen, normal), 0))
            change = own.observed_means(seen) - own.observed_means(other)
            return drawn + jnp.take_along_axis(change, labels[:, None, None], axis=1)[:, 0]

        return map_rows(corrected, (x, labels, drawn, normal), width_of(mixture))

    return jax.lax.map(once, jax.random.split(key, n))


def _errors(seen: Seen, normal: Array) -> Array:
    """Errors (N, D) of the measurements, from standard normal numbers."""
    if seen.noise is None:
        return jnp.zeros_like(normal)
    if seen.noise.ndim == 2:
        return jnp.sqrt(seen.noise) * normal
    return jnp.sum(linalg.cholesky(seen.noise) * normal[:, None], axis=-1)
