"""Starts: functions that give every row its first responsibilities."""

from collections.abc import Callable
from typing import Any, ClassVar, Protocol, TypeVar

from jax import Array
from jax.typing import ArrayLike

from .. import checks
from ..pytrees import pytree, static
from ..rows.blocks import Rows
from .assigning import checked, drawn_shares, hard_assignment
from .lloyd import SAMPLE, lloyd_centers, part_of, seeds

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
        return hard_assignment(self, key, x, n_components, weights)

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
        return hard_assignment(self, key, x, n_components, weights)

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
        table, row_weights, n_components = checked(key, x, n_components, weights)
        return drawn_shares(key, table, row_weights, n_components)


@pytree
class OwnStart:
    """A start that is a function of the user's."""

    function: Start = static()
    relative: ClassVar[bool] = False

    def __call__(self, key: Array, x: Any, n_components: int, weights: Any = None, /) -> Array:
        return self.function(key, x, n_components, weights)


def name_of_start(start: Any) -> str:
    """A name of a start as a value that is equal in all processes."""
    own = start.function if isinstance(start, OwnStart) else type(start)
    return f"{own.__module__}.{getattr(own, '__qualname__', type(own).__qualname__)}"


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
