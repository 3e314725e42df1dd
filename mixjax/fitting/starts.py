"""Where a fit begins: every start gives responsibilities, and no more."""

import functools
import math
from collections.abc import Callable
from typing import Any, Protocol

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from .. import checks
from ..families.family import Responsibilities
from ..linalg import matmul
from ..mixture.mixture import given_assignment
from ..programs import jit
from ..rows.blocks import Rows, Table
from ..rows.origin import near
from ..rows.scaling import Scaling, standardized
from ..rows.subsample import places_by_mass, seed_of

# Rows that candidates of k-means++ are judged on, and rows that k-means looks at.
JURY = 2**13
SAMPLE = 2**14


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
    known = {kmeans_plus_plus: _seeds, kmeans: _lloyd_centres}
    if scaling is not Scaling.COLUMNS or start not in known:
        return given_assignment(start(key, x, k, weights), x.dtype)
    labels = _labels(known[start](key, rows, k), rows, x.shape[0])

    def responsibilities(x: Array, index: Array) -> Array:
        return (jnp.arange(k)[:, None] == labels[index][None]).astype(x.dtype)

    return responsibilities


@functools.partial(jit, static_argnums=3)
def _kmeans_plus_plus(key: Array, x: Array, weights: Array | None, k: int) -> Array:
    rows, _ = standardized(Table.of(x, weights, k), Scaling.COLUMNS)
    return _hard(_seeds(key, rows, k), rows, x.shape[0])


@functools.partial(jit, static_argnums=5)
def _kmeans(
    key: Array, x: Array, weights: Array | None, tol: float, max_iter: int, k: int
) -> Array:
    rows, _ = standardized(Table.of(x, weights, k), Scaling.COLUMNS)
    return _hard(_lloyd_centres(key, rows, k, tol, max_iter), rows, x.shape[0])


def _checked(
    key: Array, x: ArrayLike, n_components: int, weights: ArrayLike | None
) -> tuple[Array, Array | None, int]:
    checks.key(key)
    rows, _ = near(checks.rows(x))
    n_components = checks.n_components(n_components, rows.shape[0])
    return rows, checks.row_weights(weights, rows), n_components


@functools.partial(jit, static_argnums=3)
def nested_seeds(key: Array, x: Array, weights: Array, most: int) -> Array:
    """k-means++ seeds (most, D), of which the first k are those of k components."""
    table = Table.of(x, weights, most)
    rows, scale = standardized(table, Scaling.COLUMNS)
    return _seeds(key, rows, most) * scale.scale[None] + scale.shift[None]


def _squared_distances(x: Array, centres: Array) -> Array:
    """From a block x (D, C) to centres (K, D): (K, C)."""
    return jnp.sum((x[None] - centres[:, :, None]) ** 2, axis=1)


def _nearest(x: Array, centres: Array) -> Array:
    """The number of the nearest centre, for each row of a block x (D, C): (C,)."""
    # |x|² is the same for all of them, so only rows as near to one as to another could
    # be told otherwise by the digits that this product loses.
    norms = jnp.sum(centres**2, axis=1)[:, None]
    return jnp.argmin(norms - 2 * matmul(centres, x), axis=0)


def _seeds(key: Array, rows: Rows, k: int) -> Array:
    """k-means++ centres (K, D)."""
    n_candidates = 2 * (2 + int(math.log(k)))
    # Drawn at once: the generator is a large part of the program to compile.
    uniform = jax.random.uniform(key, (k, n_candidates + 1), rows.x.dtype)

    def nearer(distance: Array, centre: Array) -> Array:
        def block(_: None, values: tuple[Array, Array]) -> tuple[None, Array]:
            x, distance = values
            return None, jnp.minimum(distance, _squared_distances(x, centre[None])[0])

        return lax.scan(block, None, (rows.x, distance))[1]

    def add(i: Array, carry: tuple[Array, Array]) -> tuple[Array, Array]:
        centres, distance = carry
        # Nothing has a distance yet when the first one is drawn.
        so_far = jnp.where(i == 0, 1, distance)
        mass = rows.weights * so_far
        candidates = rows.columns_at(_draw(uniform[i, 1:], mass, rows)).T
        place, votes = _jury(uniform[i, 0], mass)
        left = _squared_distances(rows.columns_at(_row_of(place, rows)), candidates)
        left = jnp.minimum(left, distance.reshape(-1)[place][None])
        share = so_far.reshape(-1)[place]
        potential = matmul(left, votes / jnp.where(share > 0, share, 1))
        centre = candidates[jnp.argmin(potential)]
        return centres.at[i].set(centre), nearer(distance, centre)

    centres = jnp.zeros((k, rows.n_features), rows.x.dtype)
    far = jnp.full(rows.weights.shape, jnp.inf, rows.x.dtype)
    return lax.fori_loop(0, k, add, (centres, far))[0]


def _jury(uniform: Array, mass: Array) -> tuple[Array, Array]:
    """The places that candidates are judged on, and the votes of each, from ``mass`` (B, C).

    The sum of mass × f over all rows is about the sum of votes × f over the jury. Short
    tables vote in full. Of long ones, `JURY` rows are taken, one in each of as many strata
    of equal mass, so that the few far rows which make up most of it are all there.
    """
    if mass.size <= JURY:
        return jnp.arange(mass.size), mass.reshape(-1)
    place = places_by_mass(mass, JURY, (uniform * 2**24).astype(jnp.uint32))
    return place, (mass.reshape(-1)[place] > 0).astype(mass.dtype)


def _part_of(key: Array, rows: Rows, n: int) -> Rows:
    """The rows, or of a long table about n of them, in strata of equal weight."""
    n_blocks, length = -(-n // rows.weights.shape[1]), rows.weights.shape[1]
    if rows.weights.size <= 2 * n_blocks * length:
        return rows
    index = _row_of(places_by_mass(rows.weights, n_blocks * length, seed_of(key)), rows)
    x = jnp.moveaxis(rows.columns_at(index).reshape(-1, n_blocks, length), 0, 1)
    weights = (rows.weights_at(index) > 0).astype(x.dtype).reshape(n_blocks, length)
    start = jnp.arange(n_blocks) * length
    return Rows(x, weights, start, jnp.sum(weights), rows.nonfinite)


def _row_of(place: Array, rows: Rows) -> Array:
    """The rows at these places of the blocks laid end to end."""
    length = rows.weights.shape[1]
    return rows.start[place // length] + place % length


def _draw(uniform: Array, mass: Array, rows: Rows) -> Array:
    """A row for each uniform number (n,), with probability proportional to ``mass`` (B, C).

    Drawn by inverting the cumulated mass, so rows without any are as if not there. If
    nothing has mass (only copies of the centres are left), rows are drawn by weight.
    """
    anything = jnp.any(mass > 0)
    mass = jnp.where(anything, mass, rows.weights)
    totals = jnp.sum(mass, axis=1)
    cumulated = jnp.cumsum(totals)
    target = uniform * cumulated[-1]
    repeated = jnp.broadcast_to(totals[None], (uniform.shape[0], totals.shape[0]))
    block = _first_above(repeated, target)
    before = jnp.where(block > 0, cumulated[jnp.maximum(block - 1, 0)], 0)
    return rows.start[block] + _first_above(mass[block], target - before)


def _first_above(mass: Array, target: Array) -> Array:
    """Where the cumulated mass (n, M) first exceeds each target (n,): always at some mass.

    Rounding may put a target at or past the end (then it is the last entry with mass),
    and makes cumulated sums step a little where there is none.
    """
    has_mass = mass > 0
    above = (jnp.cumsum(mass, axis=1) > target[:, None]) & has_mass
    last = mass.shape[1] - 1 - jnp.argmax(has_mass[:, ::-1], axis=1)
    return jnp.where(jnp.any(above, axis=1), jnp.argmax(above, axis=1), last)


def _lloyd_centres(key: Array, rows: Rows, k: int, tol: float = 1e-4, max_iter: int = 100) -> Array:
    """Centres (K, D) of Lloyd's algorithm from k-means++ seeds, on a part of a long table."""
    rows = _part_of(key, rows, max(SAMPLE, 128 * k))
    centres = _seeds(key, rows, k)

    def move(carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        centres, _, n_iter = carry

        def block(x: Array, weights: Array, index: Array) -> tuple[Array, Array]:
            nearest = _nearest(x, centres)
            member = jnp.where(nearest[None] == jnp.arange(k)[:, None], weights[None], 0)
            return jnp.sum(member, axis=1), matmul(member, x.T)

        count, total = rows.sum(block)
        filled = (count > 0)[:, None]
        new = jnp.where(filled, total / jnp.where(filled, count[:, None], 1), centres)
        return new, jnp.sum((new - centres) ** 2), n_iter + 1

    def moving(carry: tuple[Array, Array, Array]) -> Array:
        return (carry[1] > tol) & (carry[2] < max_iter)

    far = jnp.array(jnp.inf, centres.dtype)
    return lax.while_loop(moving, move, (centres, far, jnp.int32(0)))[0]


def _labels(centres: Array, rows: Rows, n_rows: int) -> Array:
    """The number of each row's nearest centre: (N,)."""

    return rows.collect(lambda x: _nearest(x, centres), n_rows)


def _hard(centres: Array, rows: Rows, n_rows: int) -> Array:
    """Each row's nearest centre, as boolean responsibilities (N, K)."""
    labels = _labels(centres, rows, n_rows)
    return labels[:, None] == jnp.arange(centres.shape[0])[None]
