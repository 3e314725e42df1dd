"""The centers of k-means, on blocks of scaled rows, compiled or on the host."""

import functools
import math
from typing import Any

import numpy as np
from jax import Array

from ..programs import jit
from ..rows.blocks import Rows, Table
from ..rows.executor import executor_of
from ..rows.host_table import HostTable
from ..rows.subsample import places_by_mass, uniform_at

# Rows that k-means uses.
SAMPLE = 2**14


@functools.partial(jit, static_argnums=3)
def nested_seeds(seed: Array, x: Array, weights: Array, most: int) -> Array:
    """k-means++ seeds (most, D) of scaled rows; the first k are seeds for k components."""
    zero = x[0] * 0
    return seeds(seed, Table.of(x, weights, most).standardized(zero, zero + 1), most)


def nested_seeds_on_host(seed: Any, x: np.ndarray, weights: np.ndarray, most: int) -> Any:
    """The same, without compiling."""
    zero = np.zeros_like(x[0])
    with np.errstate(all="ignore"):
        return seeds(seed, HostTable.of(x, weights, most).standardized(zero, zero + 1), most)


def seeds(seed: Any, rows: Rows, k: int) -> Array:
    """k-means++ centers (K, D), from a uint32 seed."""
    on, xp = rows.on, rows.on.xp
    weights = rows.weights.reshape(-1)
    # Rows of weight zero do not count, so the others are drawn as if they were alone.
    order = xp.cumsum((weights > 0).astype(np.int32))
    n_candidates = min(2 * (2 + int(math.log(k))), weights.size)

    def distances(centers: Array) -> Array:
        """Squared distances of all rows: (n, B C)."""
        each = rows.each(lambda x: xp.sum((x[None] - centers[:, :, None]) ** 2, axis=1))
        return xp.moveaxis(each, 0, 1).reshape(len(centers), -1)

    def add(i: Any, carry: tuple[Array, Array]) -> tuple[Array, Array]:
        centers, distance = carry
        # There are no distances yet when the first center is drawn. If no row has mass (only
        # copies of the centers are left), rows are drawn by weight.
        mass = weights * xp.where(i == 0, 1, distance)
        mass = xp.where(xp.any(mass > 0), mass, weights)
        place = drawn(seed + xp.asarray(i).astype(np.uint32), mass, order, n_candidates)
        candidates = rows.columns_at(rows.number_at(place)).T

        left = on.by_rows(distances, candidates)
        left = xp.where(i == 0, left, xp.minimum(left, distance[None]))
        # A row without mass is a candidate only if too few have mass.
        potential = xp.where(mass[place] > 0, on.matmul(left, weights), xp.inf)
        best = xp.argmin(potential)
        return on.put(centers, i, candidates[best]), left[best]

    centers = xp.zeros((k, rows.n_features), rows.x.dtype)
    return on.fori_loop(0, k, add, (centers, xp.zeros_like(weights)))[0]


def drawn(seed: Any, mass: Array, order: Array, n: int) -> Array:
    """The places (n,) of different rows, drawn one after the other in proportion to their mass.

    Each row has a clock, number ``order`` (N,), that rings after an exponential time of rate
    ``mass`` (N,); the rows are those whose clocks ring first.
    """
    on = executor_of(mass)
    uniform = uniform_at(order, seed, on.xp).astype(mass.dtype)
    return on.largest(-mass / on.xp.log(uniform), n)


def part_of(seed: Any, rows: Rows, n: int) -> Rows:
    """All rows of a short table, or n rows of a long one, from strata of equal weight."""
    length = rows.weights.shape[1]
    if rows.n_places <= 2 * n:
        return rows
    xp, n_blocks = rows.on.xp, -(-n // length)
    index = rows.number_at(places_by_mass(rows.weights, n, seed))
    more = n_blocks * length - n
    x = xp.pad(rows.columns_at(index), ((0, 0), (0, more))).reshape(-1, n_blocks, length)
    weights = xp.pad((rows.weights_at(index) > 0).astype(x.dtype), (0, more))
    start = xp.arange(n_blocks, dtype=np.int32) * length
    weights = weights.reshape(n_blocks, length)
    return Rows(xp.moveaxis(x, 0, 1), weights, start, xp.sum(weights), rows.nonfinite)


def lloyd_centers(seed: Any, rows: Rows, k: int, tol: Any, max_iter: Any) -> Array:
    """Centers (K, D) of Lloyd's algorithm from k-means++ seeds; a long table is subsampled."""
    rows = part_of(seed, rows, max(SAMPLE, 128 * k))
    on, xp = rows.on, rows.on.xp
    tol, max_iter = xp.asarray(tol, rows.x.dtype), xp.asarray(max_iter, np.int32)

    def move(carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        centers, _, n_iter = carry

        def block(x: Array, weights: Array, index: Array) -> tuple[Array, Array]:
            nearest = _nearest(x, centers, on)
            member = xp.where(
                nearest[None] == xp.arange(k, dtype=np.int32)[:, None], weights[None], 0
            )
            return xp.sum(member, axis=1), on.matmul(member, x.T)

        count, total = rows.sum(block)
        filled = (count > 0)[:, None]
        new = xp.where(filled, total / xp.where(filled, count[:, None], 1), centers)
        return new, xp.sum((new - centers) ** 2), n_iter + 1

    def moving(carry: tuple[Array, Array, Array]) -> Array:
        return (carry[1] > tol) & (carry[2] < max_iter)

    far = xp.asarray(xp.inf, rows.x.dtype)
    carry = (seeds(seed, rows, k), far, xp.asarray(0, np.int32))
    return on.while_loop(moving, move, carry)[0]


def _nearest(x: Array, centers: Array, on: Any) -> Array:
    """The number of the nearest center, for each row of a block x (D, C): (C,)."""
    # |x|² is the same for all centers, so the digits that this product loses matter only for
    # rows that are equally near to two centers.
    norms = on.xp.sum(centers**2, axis=1)[:, None]
    return on.smallest(norms - 2 * on.matmul(centers, x))


def nearest_centers(centers: Array, rows: Rows, n_rows: int) -> Array:
    """The number of each row's nearest center: (N,)."""
    return rows.collect(lambda x: _nearest(x, centers, rows.on), n_rows)
