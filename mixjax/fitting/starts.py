"""Where a fit begins: every start gives responsibilities, and no more."""

import functools
from collections.abc import Callable
from typing import Any, Protocol

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from .. import checks
from ..families.family import Responsibilities
from ..mixture.mixture import given_assignment
from ..programs import jit
from ..rows.blocks import Rows, Table
from ..rows.origin import near
from ..rows.scaling import Scaling, standardized
from .lloyd import hard_assignment, lloyd_centers, nearest_centers, seeds


class Start(Protocol):
    """What `fit` asks of a start: a function that gives every row its responsibilities.

    ``start(key, x (N, D), n_components, weights (N,) or None)`` gives (N, K), each row of
    sum 1; rows of weight 0 must not matter. Under ``jit``, as in `fit`, nobody looks whether
    one is negative.

    Example:
      >>> import jax, jax.numpy as jnp, mixjax
      >>> def by_first_column(key, x, n_components, weights):
      ...     rank = jnp.argsort(jnp.argsort(x[:, 0]))
      ...     return jax.nn.one_hot(rank * n_components // len(x), n_components)
      >>> x = jnp.concatenate([jnp.linspace(-1, 1, 50), jnp.linspace(9, 11, 150)])[:, None]
      >>> fit = mixjax.fit(jax.random.key(0), x, 2, start=by_first_column)
      >>> sorted(fit.mixture.weights.round(2).tolist())
      [0.25, 0.75]

    Source: McLachlan and Peel, Finite Mixture Models (2000), section 2.12.
    """

    def __call__(self, key: Array, x: Any, n_components: int, weights: Any, /) -> Array: ...


def kmeans_plus_plus(
    key: Array, x: ArrayLike, n_components: int, weights: ArrayLike | None = None
) -> Array:
    r"""Hard assignment to k-means++ seeds, the best of several candidates a step.

    The next centre is drawn with probability $w_n \min_c \|z_n - c\|^2$ on the
    standardised columns z; of $4 + 2\lfloor\ln K\rfloor$ candidates the one that leaves
    the smallest sum stays. Any row may be drawn; beyond 8,192 rows the sums that rank the
    candidates are estimates, from as many rows drawn with the same probabilities.

    Args:
      key: a typed random key.
      x: (N, D) rows, float32 or float64.
      n_components: K.
      weights: (N,) weight of each row; one of weight 0 is never a centre.

    Returns:
      (N, K) responsibilities, boolean: an eighth of the memory, and nothing is lost.

    Raises:
      TypeError, ValueError: as `mixjax.fit`.

    Example:
      >>> import jax, jax.numpy as jnp, mixjax
      >>> x = jnp.array([[0.0], [0.1], [9.0], [9.1]])
      >>> resp = mixjax.kmeans_plus_plus(jax.random.key(0), x, 2)
      >>> bool((resp[0] == resp[1]).all()), bool((resp[0] == resp[2]).all())
      (True, False)

    Source: Arthur and Vassilvitskii, k-means++ (2007), section 2.2, with the greedy
    choice of its section 7.
    """
    table, row_weights, n_components = _checked(key, x, n_components, weights)
    return _kmeans_plus_plus(key, table, row_weights, n_components)


def kmeans(
    key: Array,
    x: ArrayLike,
    n_components: int,
    weights: ArrayLike | None = None,
    *,
    tol: float = 1e-4,
    max_iter: int = 100,
) -> Array:
    r"""Hard assignment to the centres of Lloyd's algorithm, from k-means++ seeds.

    $c_k \leftarrow \sum_{n\in k} w_n z_n / \sum_{n\in k} w_n$ on the standardised
    columns z, until the centres move by less than ``tol`` in mean square. Of a table
    several times as long, the centres are those of 16,384 rows (or 128 K), drawn one in
    each of as many strata of equal weight; every row is then assigned.

    Args:
      key: a typed random key.
      x: (N, D) rows, float32 or float64.
      n_components: K.
      weights: (N,) weight of each row; one of weight 0 counts for nothing.
      tol: sum of the squared moves of the centres, in standard deviations, to stop at.
      max_iter: the most iterations.

    Returns:
      (N, K) responsibilities, boolean.

    Raises:
      TypeError, ValueError: as `mixjax.fit`.

    Example:
      >>> import jax, jax.numpy as jnp, mixjax
      >>> x = jnp.array([[0.0], [0.1], [9.0], [9.1]])
      >>> mixjax.kmeans(jax.random.key(0), x, 2).sum(0).tolist()
      [2, 2]

    Source: Lloyd, Least Squares Quantization in PCM (1982).
    """
    table, row_weights, n_components = _checked(key, x, n_components, weights)
    return _kmeans(key, table, row_weights, tol, max_iter, n_components)


def random_responsibilities(
    key: Array, x: ArrayLike, n_components: int, weights: ArrayLike | None = None
) -> Array:
    """Responsibilities drawn evenly at random, each row of sum 1.

    Args:
      key: a typed random key.
      x: (N, D) rows, float32 or float64.
      n_components: K.
      weights: (N,) weight of each row; one of weight 0 takes no random numbers.

    Returns:
      (N, K), each row uniform on the simplex.

    Raises:
      TypeError, ValueError: as `mixjax.fit`.

    Example:
      >>> import jax, jax.numpy as jnp, mixjax
      >>> resp = mixjax.random_responsibilities(jax.random.key(0), jnp.ones((5, 2)), 3)
      >>> resp.sum(1).round(4).tolist()
      [1.0, 1.0, 1.0, 1.0, 1.0]

    Source: Devroye, Non-Uniform Random Variate Generation (1986), section 5.2 (uniform
    on a simplex by normalised exponentials).
    """
    table, row_weights, n_components = _checked(key, x, n_components, weights)
    return _drawn(key, table, row_weights, n_components)


@functools.partial(jit, static_argnums=3)
def _drawn(key: Array, x: Array, weights: Array | None, k: int) -> Array:
    drawn = jax.random.exponential(key, (x.shape[0], k), x.dtype)
    if weights is not None:
        # The n-th row that counts takes the n-th draw, whatever stands between.
        drawn = drawn[jnp.maximum(jnp.cumsum(weights > 0) - 1, 0)]
    return drawn / jnp.sum(drawn, axis=1, keepdims=True)


def is_known(start: Start) -> bool:
    """Whether a start is one of these, which look at rows relative to each other alone."""
    return start in (kmeans_plus_plus, kmeans, random_responsibilities)


def assignment_of(
    start: Start,
    key: Array,
    x: Array,
    k: int,
    weights: Array | None,
    rows: Rows,
    scaling: Scaling,
) -> Responsibilities:
    """What a start gives for a table of which there are scaled rows already.

    The starts of this file work on rows scaled by column: given the same ones, they
    need no second copy of the table, and give labels instead of an (N, K) array.
    """
    known: dict[Start, Callable[[Array, Rows, int], Array]]
    known = {kmeans_plus_plus: seeds, kmeans: lloyd_centers}
    if scaling is not Scaling.COLUMNS or start not in known:
        return given_assignment(start(key, x, k, weights), x.dtype)
    labels = nearest_centers(known[start](key, rows, k), rows, x.shape[0])

    def responsibilities(x: Array, index: Array) -> Array:
        return (jnp.arange(k)[:, None] == labels[index][None]).astype(x.dtype)

    return responsibilities


@functools.partial(jit, static_argnums=3)
def _kmeans_plus_plus(key: Array, x: Array, weights: Array | None, k: int) -> Array:
    rows, _ = standardized(Table.of(x, weights, k), Scaling.COLUMNS)
    return hard_assignment(seeds(key, rows, k), rows, x.shape[0])


@functools.partial(jit, static_argnums=5)
def _kmeans(
    key: Array, x: Array, weights: Array | None, tol: float, max_iter: int, k: int
) -> Array:
    rows, _ = standardized(Table.of(x, weights, k), Scaling.COLUMNS)
    return hard_assignment(lloyd_centers(key, rows, k, tol, max_iter), rows, x.shape[0])


def _checked(
    key: Array, x: ArrayLike, n_components: int, weights: ArrayLike | None
) -> tuple[Array, Array | None, int]:
    checks.key(key)
    rows, _ = near(checks.rows(x))
    n_components = checks.n_components(n_components, rows.shape[0])
    return rows, checks.row_weights(weights, rows), n_components
