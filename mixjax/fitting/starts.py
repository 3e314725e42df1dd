"""Starts: functions that give every row its first responsibilities."""

import functools
from collections.abc import Callable
from typing import Any, ClassVar, Protocol, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from .. import checks
from ..mixture.assignment import Assignment, Labels, Shares
from ..programs import jit, on_device
from ..pytrees import pytree, static
from ..rows.blocks import Rows, Table
from ..rows.host_table import HostTable
from ..rows.origin import near, near_on_host
from ..rows.scaling import Scaling, standardized
from ..rows.subsample import seed_of
from .lloyd import SAMPLE, lloyd_centers, nearest_centers, part_of, seeds

F = TypeVar("F", bound=Callable[..., Array])


class Start(Protocol):
    """The protocol of a start: a function that gives every row its responsibilities.

    ``start(key, x (N, D), n_components, weights (N,) or None)`` returns (N, K) numbers
    that are not negative; each row sums to 1. Rows of weight 0 must not matter. Values are not
    checked under ``jit``, and so not in `fit`. A start with options is a value, such as
    ``KMeans(max_iter=20)``. New values of its numbers do not compile again.

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


@pytree
class KMeans:
    r"""Hard assignment to the centers of Lloyd's algorithm, from k-means++ seeds.

    $c_k \leftarrow \sum_{n\in k} w_n z_n / \sum_{n\in k} w_n$ on the standardized
    columns z, until the centers move by less than ``tol`` in mean square. The
    centers of a table several times longer than 16,384 rows (or 128 K) are those of that
    many rows, one from each stratum of equal weight; then every row is assigned.

    Attributes:
      tol: stop when the sum of the squared moves of the centers is below this, in squared
        standard deviations.
      max_iter: the largest number of iterations.

    Example:
      >>> import jax, mixjax
      >>> x = jax.random.normal(jax.random.key(0), (200, 2))
      >>> fit = mixjax.fit(jax.random.key(1), x, 2, start=mixjax.KMeans(max_iter=5))
      >>> mixjax.Status(int(fit.status)).name
      'CONVERGED'

    Source: Lloyd, Least Squares Quantization in PCM (1982).
    """

    tol: Any = 1e-4
    max_iter: Any = 100
    relative: ClassVar[bool] = True

    def check(self) -> None:
        """Raise unless the options make sense; traced ones are not looked at."""
        checks.stopping(self.tol, self.max_iter)

    def __call__(self, key: Array, x: Any, n_components: int, weights: Any = None, /) -> Array:
        """Boolean responsibilities (N, K)."""
        self.check()
        return _hard(self, key, x, n_components, weights)

    def centers(self, seed: Any, rows: Rows, n_components: int) -> Array:
        """The centers (K, D) of scaled rows."""
        return lloyd_centers(seed, rows, n_components, self.tol, self.max_iter)


@pytree
class KMeansPlusPlus:
    """Hard assignment to k-means++ seeds; see `kmeans_plus_plus`.

    Example:
      >>> import jax, mixjax
      >>> x = jax.random.normal(jax.random.key(0), (200, 2))
      >>> fit = mixjax.fit(jax.random.key(1), x, 2, start=mixjax.KMeansPlusPlus())
      >>> mixjax.Status(int(fit.status)).name
      'CONVERGED'

    Source: Arthur and Vassilvitskii, k-means++ (2007), section 2.2.
    """

    relative: ClassVar[bool] = True

    def __call__(self, key: Array, x: Any, n_components: int, weights: Any = None, /) -> Array:
        """Boolean responsibilities (N, K)."""
        return _hard(self, key, x, n_components, weights)

    def centers(self, seed: Any, rows: Rows, n_components: int) -> Array:
        """The centers (K, D) of scaled rows."""
        return seeds(seed, part_of(seed, rows, max(SAMPLE, 128 * n_components)), n_components)


@pytree
class RandomResponsibilities:
    """Responsibilities drawn uniformly at random; see `random_responsibilities`.

    Example:
      >>> import jax, mixjax
      >>> x = jax.random.normal(jax.random.key(0), (200, 2))
      >>> start = mixjax.RandomResponsibilities()
      >>> start(jax.random.key(1), x, 3).shape
      (200, 3)

    Source: Devroye, Non-Uniform Random Variate Generation (1986), section 5.2.
    """

    relative: ClassVar[bool] = True

    def __call__(self, key: Array, x: Any, n_components: int, weights: Any = None, /) -> Array:
        """Responsibilities (N, K), each row sums to 1."""
        table, row_weights, n_components = _checked(key, x, n_components, weights)
        return drawn_shares(key, table, row_weights, n_components)


@pytree
class OwnStart:
    """A start that is a function of the user's."""

    function: Start = static()
    relative: ClassVar[bool] = False

    def __call__(self, key: Array, x: Any, n_components: int, weights: Any = None, /) -> Array:
        return self.function(key, x, n_components, weights)


def as_value(start: Any) -> Any:
    """A start as a pytree: ``mixjax.kmeans`` is `KMeans()`, a function of the user's `OwnStart`."""
    start = getattr(start, "value", start)
    return start if hasattr(start, "relative") else OwnStart(start)


def short_for(value: Start) -> Callable[[F], F]:
    """Mark a function as another way to call a start with its default options."""

    def marked(f: F) -> F:
        f.value = value  # type: ignore[attr-defined]
        return f

    return marked


@short_for(KMeansPlusPlus())
def kmeans_plus_plus(
    key: Array, x: ArrayLike, n_components: int, weights: ArrayLike | None = None
) -> Array:
    r"""Hard assignment to k-means++ seeds, each the best of several candidates.

    The next center is drawn with probability $w_n \min_c \|z_n - c\|^2$ on the
    standardized columns z; of $4 + 2\lfloor\ln K\rfloor$ candidates the one with the
    smallest remaining sum is kept. The centers of a table several times longer than 16,384 rows
    (or 128 K) are drawn from that many rows, one from each stratum of equal weight.

    Args:
      key: a typed random key.
      x: (N, D) rows, float32 or float64.
      n_components: K.
      weights: (N,) weight of each row; a row of weight 0 is never a center.

    Returns:
      (N, K) boolean responsibilities.

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
    return KMeansPlusPlus()(key, x, n_components, weights)


@short_for(KMeans())
def kmeans(
    key: Array,
    x: ArrayLike,
    n_components: int,
    weights: ArrayLike | None = None,
    *,
    tol: float = 1e-4,
    max_iter: int = 100,
) -> Array:
    r"""Hard assignment to the centers of Lloyd's algorithm, from k-means++ seeds.

    $c_k \leftarrow \sum_{n\in k} w_n z_n / \sum_{n\in k} w_n$ on the standardized
    columns z, until the centers move by less than ``tol`` in mean square. The
    centers of a table several times longer than 16,384 rows (or 128 K) are those of that
    many rows, one from each stratum of equal weight; then every row is assigned.

    Args:
      key: a typed random key.
      x: (N, D) rows, float32 or float64.
      n_components: K.
      weights: (N,) weight of each row; a row of weight 0 counts as absent.
      tol: stop when the sum of the squared moves of the centers is below this, in squared
        standard deviations.
      max_iter: the largest number of iterations.

    Returns:
      (N, K) boolean responsibilities.

    Raises:
      TypeError, ValueError: as `mixjax.fit`.

    Example:
      >>> import jax, jax.numpy as jnp, mixjax
      >>> x = jnp.array([[0.0], [0.1], [9.0], [9.1]])
      >>> mixjax.kmeans(jax.random.key(0), x, 2).sum(0).tolist()
      [2, 2]

    Source: Lloyd, Least Squares Quantization in PCM (1982).
    """
    return KMeans(tol, max_iter)(key, x, n_components, weights)


@short_for(RandomResponsibilities())
def random_responsibilities(
    key: Array, x: ArrayLike, n_components: int, weights: ArrayLike | None = None
) -> Array:
    """Responsibilities drawn uniformly at random; each row sums to 1.

    Args:
      key: a typed random key.
      x: (N, D) rows, float32 or float64.
      n_components: K.
      weights: (N,) weight of each row; a row of weight 0 uses no random numbers.

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
    on a simplex by normalized exponentials).
    """
    return RandomResponsibilities()(key, x, n_components, weights)


@functools.partial(jit, static_argnums=3)
def drawn_shares(key: Array, x: Array, weights: Array | None, k: int) -> Array:
    drawn = jax.random.exponential(key, (x.shape[0], k), x.dtype)
    if weights is not None:
        # The n-th row of positive weight takes the n-th draw.
        drawn = drawn[jnp.maximum(jnp.cumsum(weights > 0) - 1, 0)]
    return drawn / jnp.sum(drawn, axis=1, keepdims=True)


def assignment_of(
    start: Any,
    key: Array,
    x: Array,
    k: int,
    weights: Array | None,
    rows: Rows,
    scaling: Scaling,
) -> Assignment:
    """What a start gives for a table (N, D) whose scaled rows are there already."""
    if not hasattr(start, "centers"):
        return Shares(start(key, x, k, weights))
    own = scaling is Scaling.COLUMNS
    if not own:
        rows, _ = standardized(Table.of(x, weights, k), Scaling.COLUMNS)
    centers = start.centers(seed_of(key), rows, k)
    labels = nearest_centers(centers, rows, x.shape[0])
    return Labels(labels, centers if own else None)


def host_assignment_of(
    start: Any, key: Array, table: HostTable, k: int, rows: Rows, scaling: Scaling
) -> Labels:
    """The same for a start made of centers, on the host."""
    own = scaling is Scaling.COLUMNS
    if not own:
        rows, _ = standardized(table, Scaling.COLUMNS)
    centers = start.centers(seed_of(key, np), rows, k)
    return Labels(nearest_centers(centers, rows, len(table.x)), centers if own else None)


def _hard(start: Any, key: Array, x: Any, n_components: int, weights: Any) -> Array:
    if checks.on_host(key, x, weights, start):
        return _hard_on_host(start, key, x, n_components, weights)
    table, row_weights, n_components = _checked(key, x, n_components, weights)
    return _assigned(key, table, row_weights, start, n_components)


def _hard_on_host(start: Any, key: Array, x: Any, n_components: int, weights: Any) -> Array:
    checks.key(key)
    rows, _ = near_on_host(checks.rows(x))
    k = checks.n_components(n_components, len(rows))
    row_weights = checks.row_weights(weights, rows)
    with np.errstate(all="ignore"):
        table = HostTable.of(rows, None if row_weights is None else np.asarray(row_weights), k)
        scaled, _ = standardized(table, Scaling.COLUMNS)
        labels = host_assignment_of(start, key, table, k, scaled, Scaling.COLUMNS).labels
    return on_device(labels[: len(rows), None] == np.arange(k)[None])


@functools.partial(jit, static_argnums=4)
def _assigned(key: Array, x: Array, weights: Array | None, start: Any, k: int) -> Array:
    rows, _ = standardized(Table.of(x, weights, k), Scaling.COLUMNS)
    labels = nearest_centers(start.centers(seed_of(key), rows, k), rows, x.shape[0])
    return labels[:, None] == jnp.arange(k, dtype=jnp.int32)[None]


def _checked(
    key: Array, x: ArrayLike, n_components: int, weights: ArrayLike | None
) -> tuple[Array, Array | None, int]:
    checks.key(key)
    rows, _ = near(checks.rows(x))
    n_components = checks.n_components(n_components, rows.shape[0])
    return rows, checks.row_weights(weights, rows), n_components
