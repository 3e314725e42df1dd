"""A table in blocks of rows, so that no array of size rows × components is ever kept.

Inside a block the rows lie along the last axis: a reduction over columns or over
components then runs over a leading axis, which compilers vectorize well.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, Self, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from ..pytrees import pytree, static
from .executor import Executor, OnHost, executor_of


def block_length(n_rows: int, width: int) -> int:
    """Rows in a block, given ``width`` intermediate numbers for each row.

    On a CPU a block should fit in the cache; an accelerator needs long blocks.
    """
    on_cpu = jax.default_backend() == "cpu"
    # Not only for speed: jaxlib 0.10.2 returns wrong sums of larger arrays on a CPU, where
    # it fuses a product or two with the sum (jax issue 39103).
    budget = 2**21 if on_cpu else 2**26
    length = int(np.clip(budget // max(width, 1), 16 if on_cpu else 256, 3072 if on_cpu else 2**17))
    n_blocks = -(-n_rows // length)
    return min(n_rows, 16 * -(-n_rows // (16 * n_blocks)))


# Blocks that are enough for a rough M-step.
FIRST = 8

# The names of the mesh axes over which rows are spread; empty for one device.
Axes = tuple[str, ...]


def summed(tree: Any, axes: Axes) -> Any:
    """The sums of all leaves over devices, in one all-reduce."""
    if not axes:
        return tree
    leaves, structure = jax.tree.flatten(tree)
    flat = lax.psum(jnp.concatenate([jnp.ravel(leaf) for leaf in leaves]), axes)
    ends = np.cumsum([leaf.size for leaf in leaves])[:-1].tolist()
    parts = zip(jnp.split(flat, ends), leaves, strict=True)
    return jax.tree.unflatten(structure, [part.reshape(leaf.shape) for part, leaf in parts])


@pytree
class Rows:
    """Blocks of C rows. The last block overlaps the one before; repeated rows have weight zero.

    Blocks that were made on the host do not overlap: rows of weight zero fill the last one, and
    more blocks of them may follow.

    Attributes:
      x: (B, D, C) the columns; finite, because a row that is not finite counts as absent.
      weights: (B, C) weight of each row, at most 1.
      start: (B,) position of each block's first row in the table.
      total: () sum of the weights.
      nonfinite: () whether a row of positive weight was not finite.
      order: (N, D) row numbers that sort each column; None unless `sorted` was called.
      rank: (N, D) the position of each row in that order.
      n_blocks: () the number of blocks with rows, or None for all.
      axes: the mesh axes over which the rows are spread; `sum` adds over all of them.
    """

    x: Array
    weights: Array
    start: Array
    total: Array
    nonfinite: Array
    order: Array | None = None
    rank: Array | None = None
    n_blocks: Array | None = None
    axes: Axes = static(default=())

    @property
    def n_features(self) -> int:
        return self.x.shape[1]

    @property
    def n_places(self) -> int:
        """The number of places in blocks with rows; as many as rows, but for part of a block."""
        n_blocks, length = self.weights.shape
        own = int(self.n_blocks) if self.on is OnHost and self.n_blocks is not None else n_blocks
        return own * length

    @property
    def on(self) -> Executor:
        """Where algorithms on these rows run."""
        return executor_of(self.x)

    def with_columns(self, x: Array) -> Self:
        """The same rows with other columns (B, D, C)."""
        return dataclasses.replace(self, x=x)

    def sum(self, f: Callable[[Array, Array, Array], Any]) -> Any:
        """Sum over blocks of ``f(x (D, C), weights (C,), index (C,))``."""
        steps = self.on.xp.arange(self.weights.shape[1], dtype=np.int32)
        if self.x.shape[0] == 1:
            alone = f(self.x[0], self.weights[0], self.start[0] + steps)
            return summed(alone, self.axes)
        blocks = (self.x, self.weights, self.start)
        if self.on is OnHost:
            each = zip(*(leaf[: self.n_blocks] for leaf in blocks), strict=True)
            parts = [f(x, weights, start + steps) for x, weights, start in each]
            return jax.tree.map(lambda *leaves: sum(leaves[1:], start=leaves[0]), *parts)
        shapes = jax.eval_shape(f, self.x[0], self.weights[0], steps)
        zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)

        def body(total: Any, block: tuple[Array, Array, Array]) -> tuple[Any, None]:
            x, weights, start = block
            return jax.tree.map(jnp.add, total, f(x, weights, start + steps)), None

        if self.n_blocks is not None:
            # Only those with rows; not for gradients.
            def add(i: Array, total: Any) -> Any:
                return body(total, jax.tree.map(lambda leaf: leaf[i], blocks))[0]

            return lax.fori_loop(0, self.n_blocks, add, zeros)
        # Recomputed in the backward pass: stored residuals would have size rows × components.
        return summed(lax.scan(jax.checkpoint(body), zeros, blocks)[0], self.axes)

    def begun(self, only: Array) -> Self:
        """The same rows; where their number is known at run time, the first of them if ``only``."""
        if self.n_blocks is None:
            return self
        first = jnp.minimum(self.n_blocks, FIRST)
        return dataclasses.replace(self, n_blocks=jnp.where(only, first, self.n_blocks))

    @property
    def n_present(self) -> Array:
        """() the number of rows of positive weight."""
        return summed(jnp.sum((self.weights > 0).astype(jnp.int32)), self.axes)

    def each(self, f: Callable[..., Any], *more: Any) -> Any:
        """``f(x (D, C), ...)`` of each block, stacked; ``more`` are arrays with an axis of B."""
        if self.x.shape[0] == 1:
            alone = f(self.x[0], *(leaf[0] for leaf in more))
            return jax.tree.map(lambda leaf: leaf[None], alone)
        return self.on.scan(lambda _, block: (None, f(*block)), None, (self.x, *more))[1]

    def collect(self, f: Callable[[Array], Array], n_rows: int) -> Array:
        """One value for each row, (N,), from ``f(x (D, C)) -> (C,)``.

        On the host there is a value for each place in the blocks.
        """
        values = self.each(f)
        if self.on is OnHost:
            return values.reshape(-1)
        if self.x.shape[0] == 1:
            return values[0]
        out = jnp.zeros((n_rows,), values.dtype)

        def put(out: Array, block: tuple[Array, Array]) -> tuple[Array, None]:
            values, start = block
            return lax.dynamic_update_slice(out, values, (start,)), None

        # The last block first: the rows that it repeats read as zero there.
        return lax.scan(put, out, (values, self.start), reverse=True)[0]

    def number_at(self, place: Array) -> Array:
        """The numbers (n,) of the rows at these places in the concatenated blocks."""
        length = self.weights.shape[1]
        return self.start[place // length] + (place % length).astype(np.int32)

    def columns_at(self, index: Array) -> Array:
        """The rows at ``index`` (n,), with rows last: (D, n)."""
        block, place = self._locate(index)
        found = self.x[block, :, place].T
        # NumPy would keep the columns last in memory, and go through them many times slower.
        return cast(Array, np.ascontiguousarray(found)) if self.on is OnHost else found

    def values_at(self, index: Array, column: Array) -> Array:
        """The values at these rows and columns, two arrays of the same shape."""
        block, place = self._locate(index)
        return self.x[block, column, place]

    def weights_at(self, index: Array) -> Array:
        """The weights (n,) of the rows at ``index`` (n,)."""
        return self.weights[self._locate(index)]

    def sorted(self, x: Any) -> Self:
        """The same rows with the sort order of each column of the table x (N, D), for medians."""
        if self.on is OnHost:
            order: Any = np.argsort(x, axis=0).astype(np.int32)
            rank: Any = np.empty_like(order)
            steps = np.arange(len(x), dtype=np.int32)[:, None]
            np.put_along_axis(rank, order, np.broadcast_to(steps, order.shape), axis=0)
            return dataclasses.replace(self, order=order, rank=rank)
        order = jnp.argsort(lax.stop_gradient(x), axis=0).astype(jnp.int32)
        numbers = jnp.broadcast_to(jnp.arange(x.shape[0], dtype=jnp.int32)[:, None], x.shape)
        columns = jnp.broadcast_to(jnp.arange(x.shape[1])[None], x.shape)
        rank = jnp.zeros(x.shape, jnp.int32).at[order, columns].set(numbers)
        return dataclasses.replace(self, order=order, rank=rank)

    def _locate(self, index: Array) -> tuple[Array, Array]:
        length = self.weights.shape[1]
        block = index // length
        return block, index - self.start[block].astype(index.dtype)


@pytree
class Table:
    """A table that is read block by block, without a copy.

    Attributes:
      x: (N, D) rows.
      weights: (N,) or None for 1 each.
      heaviest: () the largest weight.
      length: C, rows in a block.
      axes: the mesh axes over which the rows are spread; each device has (N, D) rows.
    """

    x: Array
    weights: Array | None
    heaviest: Array
    length: int = static()
    axes: Axes = static(default=())

    @classmethod
    def of(cls, x: Array, weights: Array | None, n_components: int, axes: Axes = ()) -> Self:
        """A table in blocks of a good length for a mixture of n_components."""
        heaviest = jnp.ones((), x.dtype)
        if weights is not None:
            heaviest = jnp.max(jnp.where(jnp.isfinite(weights), weights, 0))
            heaviest = lax.pmax(heaviest, axes) if axes else heaviest
            heaviest = jnp.where(heaviest > 0, heaviest, 1)
        length = block_length(x.shape[0], n_components * x.shape[1])
        return cls(x, weights, heaviest, length, axes)

    @property
    def on(self) -> Executor:
        """Where algorithms on this table run."""
        return executor_of(self.x)

    @property
    def start(self) -> Array:
        """(B,) the first row of each block."""
        n = self.x.shape[0]
        steps = jnp.arange(-(-n // self.length), dtype=jnp.int32)
        return jnp.minimum(steps * self.length, n - self.length)

    @property
    def alone(self) -> bool:
        """Whether the table is one block, for which nothing is scanned."""
        return self.x.shape[0] == self.length

    def block(self, i: Any) -> tuple[Array, Array, Array]:
        """The i-th block (C, D), its weights (C,), and whether any row is not finite.

        Weights are scaled to at most 1, so that neither tiny nor huge ones leave the range
        of floats. The weight is 0 for rows of an earlier block and for rows that are not
        finite; the latter read as zero.
        """
        rows, w, new = self.x, self.weights, jnp.ones((self.length,), bool)
        if not self.alone:
            start = self.start[i]
            rows = lax.dynamic_slice_in_dim(rows, start, self.length)
            w = None if w is None else lax.dynamic_slice_in_dim(w, start, self.length)
            new = start + jnp.arange(self.length, dtype=jnp.int32) >= i * self.length
        w = jnp.ones((self.length,), rows.dtype) if w is None else w / self.heaviest
        finite = jnp.all(jnp.isfinite(rows), axis=1) & jnp.isfinite(w)
        present = new & finite & (w > 0)
        lost = jnp.any(new & ~finite & (w != 0))
        return jnp.where(present[:, None], rows, 0), jnp.where(present, w, 0), lost

    def in_places(self) -> Array:
        """The rows (N, D) in the order of their numbers."""
        return self.x

    def fold(self, f: Callable[[Any, Array, Array], Any], carry: Any) -> Any:
        """``carry = f(carry, rows (C, D), weights (C,))`` over the blocks."""

        def body(carry: Any, i: Any) -> tuple[Any, None]:
            rows, weights, _ = self.block(i)
            return f(carry, rows, weights), None

        if self.alone:
            return body(carry, 0)[0]

        return lax.scan(body, carry, jnp.arange(self.start.shape[0], dtype=jnp.int32))[0]

    def standardized(self, shift: Array, scale: Array) -> Rows:
        """The rows ``(x - shift) / scale``; absent rows read as zero."""

        def body(_: Any, i: Any) -> tuple[Any, tuple[Array, Array, Array]]:
            rows, weights, lost = self.block(i)
            z = (rows - shift[None]) / scale[None]
            return None, (jnp.where(weights[:, None] > 0, z, 0).T, weights, lost)

        if self.alone:
            x, weights, lost = (part[None] for part in body(None, 0)[1])
        else:
            numbers = jnp.arange(self.start.shape[0], dtype=jnp.int32)
            _, (x, weights, lost) = lax.scan(body, None, numbers)
        total = summed(jnp.sum(jnp.sum(weights, axis=1)), self.axes)
        lost = summed(jnp.any(lost).astype(jnp.int32), self.axes) > 0
        return Rows(x, weights, self.start, total, lost, axes=self.axes)


def map_rows(f: Callable[[Any], Any], x: Any, width: int) -> Any:
    """``f(x)`` computed in blocks, for a function that maps (N, ...) to (N, ...) in every leaf."""
    n = jax.tree.leaves(x)[0].shape[0]
    if not isinstance(n, int):
        return f(x)  # exported for any number of rows, so it cannot be cut
    length = block_length(max(n, 1), width)
    if n <= length:
        return f(x)
    n_blocks = n // length
    f = jax.checkpoint(f)
    end = n_blocks * length
    blocks = jax.tree.map(lambda a: a[:end].reshape(n_blocks, length, *a.shape[1:]), x)
    whole = lax.map(f, blocks)
    whole = jax.tree.map(lambda a: a.reshape(end, *a.shape[2:]), whole)
    if end == n:
        return whole
    rest = f(jax.tree.map(lambda a: a[end:], x))
    return jax.tree.map(lambda a, b: jnp.concatenate([a, b]), whole, rest)
