"""The centers of k-means, on blocks of scaled rows."""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from ..linalg import matmul
from ..programs import jit
from ..rows.blocks import Rows, Table
from ..rows.scaling import Scaling, standardized
from ..rows.subsample import places_by_mass, seed_of

# Rows that rank the candidates of k-means++, and rows that k-means uses.
JURY = 2**13
SAMPLE = 2**14


@functools.partial(jit, static_argnums=3)
def nested_seeds(key: Array, x: Array, weights: Array, most: int) -> Array:
    """k-means++ seeds (most, D); the first k of them are seeds for k components."""
    table = Table.of(x, weights, most)
    rows, scale = standardized(table, Scaling.COLUMNS)
    return seeds(key, rows, most) * scale.scale[None] + scale.shift[None]


def _squared_distances(x: Array, centers: Array) -> Array:
    """From a block x (D, C) to centers (K, D): (K, C)."""
    return jnp.sum((x[None] - centers[:, :, None]) ** 2, axis=1)


def _nearest(x: Array, centers: Array) -> Array:
    """The number of the nearest center, for each row of a block x (D, C): (C,)."""
    # |x|² is the same for all centers, so the digits that this product loses matter only for
    # rows that are equally near to two centers.
    norms = jnp.sum(centers**2, axis=1)[:, None]
    return jnp.argmin(norms - 2 * matmul(centers, x), axis=0)


def seeds(key: Array, rows: Rows, k: int) -> Array:
    """k-means++ centers (K, D)."""
    n_candidates = 2 * (2 + int(math.log(k)))
    # Drawn in one call: the generator is a large part of the program to compile.
    uniform = jax.random.uniform(key, (k, n_candidates + 1), rows.x.dtype)

    def nearer(distance: Array, center: Array) -> Array:
        def block(_: None, values: tuple[Array, Array]) -> tuple[None, Array]:
            x, distance = values
            return None, jnp.minimum(distance, _squared_distances(x, center[None])[0])

        return lax.scan(block, None, (rows.x, distance))[1]

    def add(i: Array, carry: tuple[Array, Array]) -> tuple[Array, Array]:
        centers, distance = carry
        # There are no distances yet when the first center is drawn.
        so_far = jnp.where(i == 0, 1, distance)
        mass = rows.weights * so_far
        candidates = rows.columns_at(drawn_rows(uniform[i, 1:], mass, rows)).T
        place, votes = _jury(uniform[i, 0], mass)
        left = _squared_distances(rows.columns_at(_row_of(place, rows)), candidates)
        left = jnp.minimum(left, distance.reshape(-1)[place][None])
        share = so_far.reshape(-1)[place]
        potential = matmul(left, votes / jnp.where(share > 0, share, 1))
        center = candidates[jnp.argmin(potential)]
        return centers.at[i].set(center), nearer(distance, center)

    centers = jnp.zeros((k, rows.n_features), rows.x.dtype)
    far = jnp.full(rows.weights.shape, jnp.inf, rows.x.dtype)
    return lax.fori_loop(0, k, add, (centers, far))[0]


def _jury(uniform: Array, mass: Array) -> tuple[Array, Array]:
    """The positions of rows that rank the candidates, and their weights, from ``mass`` (B, C).

    The sum of mass × f over all rows is about the sum of weight × f over these rows. A short
    table uses all rows. A long table uses `JURY` rows, one from each stratum of equal mass, so
    that the few far rows that make up most of the mass are all included.
    """
    if mass.size <= JURY:
        return jnp.arange(mass.size), mass.reshape(-1)
    place = places_by_mass(mass, JURY, (uniform * 2**24).astype(jnp.uint32))
    return place, (mass.reshape(-1)[place] > 0).astype(mass.dtype)


def part_of(key: Array, rows: Rows, n: int) -> Rows:
    """All rows of a short table, or about n rows of a long one, from strata of equal weight."""
    n_blocks, length = -(-n // rows.weights.shape[1]), rows.weights.shape[1]
    if rows.weights.size <= 2 * n_blocks * length:
        return rows
    index = _row_of(places_by_mass(rows.weights, n_blocks * length, seed_of(key)), rows)
    x = jnp.moveaxis(rows.columns_at(index).reshape(-1, n_blocks, length), 0, 1)
    weights = (rows.weights_at(index) > 0).astype(x.dtype).reshape(n_blocks, length)
    start = jnp.arange(n_blocks) * length
    return Rows(x, weights, start, jnp.sum(weights), rows.nonfinite)


def _row_of(place: Array, rows: Rows) -> Array:
    """The rows at these positions in the concatenated blocks."""
    length = rows.weights.shape[1]
    return rows.start[place // length] + place % length


def drawn_rows(uniform: Array, mass: Array, rows: Rows) -> Array:
    """A row for each uniform number (n,), with probability proportional to ``mass`` (B, C).

    Drawn by inverting the cumulative mass, so rows without mass are never drawn. If no row has
    mass (only copies of the centers are left), rows are drawn by weight.
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
    """Where the cumulative mass (n, M) first exceeds each target (n,): always at positive mass.

    Rounding may put a target at or past the end (then the last entry with mass is taken), and
    may let cumulative sums grow a little where there is no mass.
    """
    has_mass = mass > 0
    above = (jnp.cumsum(mass, axis=1) > target[:, None]) & has_mass
    last = mass.shape[1] - 1 - jnp.argmax(has_mass[:, ::-1], axis=1)
    return jnp.where(jnp.any(above, axis=1), jnp.argmax(above, axis=1), last)


def lloyd_centers(key: Array, rows: Rows, k: int, tol: Any, max_iter: Any) -> Array:
    """Centers (K, D) of Lloyd's algorithm from k-means++ seeds; a long table is subsampled."""
    rows = part_of(key, rows, max(SAMPLE, 128 * k))
    centers = seeds(key, rows, k)
    tol, max_iter = jnp.asarray(tol, rows.x.dtype), jnp.asarray(max_iter, jnp.int32)

    def move(carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        centers, _, n_iter = carry

        def block(x: Array, weights: Array, index: Array) -> tuple[Array, Array]:
            nearest = _nearest(x, centers)
            member = jnp.where(nearest[None] == jnp.arange(k)[:, None], weights[None], 0)
            return jnp.sum(member, axis=1), matmul(member, x.T)

        count, total = rows.sum(block)
        filled = (count > 0)[:, None]
        new = jnp.where(filled, total / jnp.where(filled, count[:, None], 1), centers)
        return new, jnp.sum((new - centers) ** 2), n_iter + 1

    def moving(carry: tuple[Array, Array, Array]) -> Array:
        return (carry[1] > tol) & (carry[2] < max_iter)

    far = jnp.array(jnp.inf, centers.dtype)
    return lax.while_loop(moving, move, (centers, far, jnp.int32(0)))[0]


def nearest_centers(centers: Array, rows: Rows, n_rows: int) -> Array:
    """The number of each row's nearest center: (N,)."""

    return rows.collect(lambda x: _nearest(x, centers), n_rows)


def hard_assignment(centers: Array, rows: Rows, n_rows: int) -> Array:
    """Each row's nearest center, as boolean responsibilities (N, K)."""
    labels = nearest_centers(centers, rows, n_rows)
    return labels[:, None] == jnp.arange(centers.shape[0])[None]
