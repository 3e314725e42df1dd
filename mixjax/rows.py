"""A table in blocks of rows, so that nothing of size rows × components is ever kept.

Inside a block the rows lie along the last axis: a reduction over columns or over
components then runs over a leading axis, which compilers vectorise well.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from .pytree import pytree


def block_length(n_rows: int, width: int) -> int:
    """Rows in a block, for ``width`` intermediate numbers a row.

    On a CPU a block should stay in the cache; an accelerator wants long ones.
    """
    budget = 2**20 if jax.default_backend() == "cpu" else 2**26
    longest = 8192 if jax.default_backend() == "cpu" else 2**17
    length = int(np.clip(budget // max(width, 1), 1024, longest))
    n_blocks = -(-n_rows // length)
    return min(n_rows, 16 * -(-n_rows // (16 * n_blocks)))


@pytree
class Rows:
    """Blocks of C rows; the last block overlaps the one before, with weight zero there.

    Attributes:
      x: (B, D, C) the columns; finite, since a row that is not finite counts as absent.
      weights: (B, C) weight of each row, at most 1.
      start: (B,) position of each block's first row in the table.
      total: () sum of the weights.
      nonfinite: () whether a row of positive weight was not finite.
      order: (N, D) the rows that sort each column; None unless `sorted`.
      rank: (N, D) the place of each row in that order.
    """

    x: Array
    weights: Array
    start: Array
    total: Array
    nonfinite: Array
    order: Array | None = None
    rank: Array | None = None

    @property
    def n_features(self) -> int:
        return self.x.shape[1]

    def sum(self, f: Callable[[Array, Array, Array], Any]) -> Any:
        """Sum over blocks of ``f(x (D, C), weights (C,), index (C,))``."""
        steps = jnp.arange(self.weights.shape[1])
        if self.x.shape[0] == 1:
            return f(self.x[0], self.weights[0], self.start[0] + steps)

        def body(total: Any, block: tuple[Array, Array, Array]) -> tuple[Any, None]:
            x, weights, start = block
            return jax.tree.map(jnp.add, total, f(x, weights, start + steps)), None

        shapes = jax.eval_shape(f, self.x[0], self.weights[0], steps)
        zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
        # Recomputed in the backward pass: stored, the residuals would be rows × components.
        blocks = (self.x, self.weights, self.start)
        return lax.scan(jax.checkpoint(body), zeros, blocks)[0]

    def collect(self, f: Callable[[Array], Array], n_rows: int) -> Array:
        """One value a row, (N,), from ``f(x (D, C)) -> (C,)``."""
        shape = jax.eval_shape(f, self.x[0])

        def body(out: Array, block: tuple[Array, Array]) -> tuple[Array, None]:
            x, start = block
            return lax.dynamic_update_slice(out, f(x), (start,)), None

        out = jnp.zeros((n_rows,), shape.dtype)
        return lax.scan(body, out, (self.x, self.start))[0]

    def columns_at(self, index: Array) -> Array:
        """The rows at ``index`` (n,), with rows last: (D, n)."""
        block, place = self._locate(index)
        return self.x[block, :, place].T

    def values_at(self, index: Array, column: Array) -> Array:
        """The values of these columns in these rows, of the shape of both."""
        block, place = self._locate(index)
        return self.x[block, column, place]

    def weights_at(self, index: Array) -> Array:
        """The weights (n,) of the rows at ``index`` (n,)."""
        return self.weights[self._locate(index)]

    def sorted(self, x: Array) -> "Rows":
        """With the order of each column of the table x (N, D), for medians."""
        order = jnp.argsort(lax.stop_gradient(x), axis=0).astype(jnp.int32)
        places = jnp.broadcast_to(jnp.arange(x.shape[0], dtype=jnp.int32)[:, None], x.shape)
        columns = jnp.broadcast_to(jnp.arange(x.shape[1])[None], x.shape)
        rank = jnp.zeros(x.shape, jnp.int32).at[order, columns].set(places)
        return dataclasses.replace(self, order=order, rank=rank)

    def _locate(self, index: Array) -> tuple[Array, Array]:
        length = self.weights.shape[1]
        block = index // length
        return block, index - self.start[block].astype(index.dtype)


def in_blocks(x: Array, weights: Array | None, length: int) -> Rows:
    """The table x (N, D) in blocks of ``length`` rows; absent rows read as zero."""
    n = x.shape[0]
    fresh = jnp.arange(-(-n // length)) * length
    start = jnp.minimum(fresh, n - length)
    heaviest = jnp.ones((), x.dtype)
    if weights is not None:
        heaviest = jnp.max(jnp.where(jnp.isfinite(weights), weights, 0)).astype(x.dtype)
        heaviest = jnp.where(heaviest > 0, heaviest, 1)

    def block(_: None, bounds: tuple[Array, Array]) -> tuple[None, tuple[Array, ...]]:
        start, fresh = bounds
        rows = lax.dynamic_slice_in_dim(x, start, length)
        w = jnp.ones((length,), x.dtype)
        if weights is not None:
            # At most 1, so that neither tiny nor huge weights leave the range of floats.
            w = lax.dynamic_slice_in_dim(weights, start, length).astype(x.dtype) / heaviest
        finite = jnp.all(jnp.isfinite(rows), axis=1) & jnp.isfinite(w)
        new = start + jnp.arange(length) >= fresh
        present = new & finite & (w > 0)
        columns = jnp.where(present[:, None], rows, 0).T
        lost = jnp.any(new & ~finite & (w != 0))
        return None, (columns, jnp.where(present, w, 0), lost)

    _, (columns, w, lost) = lax.scan(block, None, (start, fresh))
    return Rows(columns, w, start, jnp.sum(jnp.sum(w, axis=1)), jnp.any(lost))


def map_rows(f: Callable[[Array], Array], x: Array, width: int) -> Array:
    """``f(x)`` for a function of rows, (N, D) -> (N, ...), computed in blocks."""
    n = x.shape[0]
    length = block_length(max(n, 1), width)
    n_blocks = n // length if length else 0
    if n_blocks <= 1:
        return f(x)
    f = jax.checkpoint(f)
    whole = lax.map(f, x[: n_blocks * length].reshape(n_blocks, length, x.shape[1]))
    whole = whole.reshape(n_blocks * length, *whole.shape[2:])
    if n_blocks * length == n:
        return whole
    return jnp.concatenate([whole, f(x[n_blocks * length :])])
