"""A table on the host: its blocks are padded, so that programs do not depend on its length."""

import math
from collections.abc import Callable
from typing import Any, Self

import numpy as np

from ..pytrees import pytree, static
from .blocks import Rows, block_length
from .executor import Executor, OnHost

# A table of more blocks than this is not padded: to compile is little beside running it.
MANY_BLOCKS = 512
# The lengths of several blocks are multiples of this.
STEP = 256
MANY_ROWS = 2**17


def padded_length(n: int) -> int:
    """The next of four lengths an octave: 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, ..."""
    step = 1 << max(1, (max(n, 8) - 1).bit_length() - 3)
    return max(8, -(-n // step) * step)


def padded_rows(n: int) -> int:
    """A length for rows that are asked about one by one: the more rows, the less is added."""
    if n <= 4096:
        return padded_length(n)
    step = 1 << ((n - 1).bit_length() - 5)
    return n if n > MANY_ROWS else -(-n // step) * step


def padded_count(n_blocks: int) -> int:
    """The next of two numbers an octave: 1, 2, 3, 4, 6, 8, 12, 16, ..."""
    if n_blocks > MANY_BLOCKS:
        return n_blocks
    power = 1 << (n_blocks - 1).bit_length()
    return 3 * power // 4 if power > 2 and n_blocks <= 3 * power // 4 else power


@pytree
class HostTable:
    """A table that NumPy reads block by block; see `mixjax.rows.blocks.Table`.

    Attributes:
      x: (N, D) finite rows; in memory, a column after the other.
      weights: (N,) at most 1; 0 for rows that were not finite.
      nonfinite: () whether a row of positive weight was not finite.
      length: C, rows in a block.
    """

    x: np.ndarray
    weights: np.ndarray
    nonfinite: Any
    length: int = static()
    axes: tuple[str, ...] = static(default=())

    @classmethod
    def of(cls, x: np.ndarray, weights: np.ndarray | None, n_components: int) -> Self:
        """A table in blocks of a good length for a mixture of n_components."""
        longest = block_length(2**31, n_components * x.shape[1])
        length = padded_length(len(x))
        if len(x) > longest:
            # Blocks of about equal length, so that the last one is nearly full.
            n_blocks = math.ceil(len(x) / longest)
            length = min(longest, STEP * math.ceil(len(x) / (n_blocks * STEP)))
        # NumPy goes through a column much faster where its numbers are neighbors.
        x = np.asfortranarray(x)
        w = np.ones(len(x), x.dtype) if weights is None else weights
        finite = np.isfinite(x).all(axis=1) & np.isfinite(w)
        heaviest = w[finite].max(initial=0)
        w = w / (heaviest if heaviest > 0 else heaviest.dtype.type(1))
        present = finite & (w > 0)
        nonfinite = np.asarray((~finite & (w != 0)).any())
        if not present.all():
            x, w = np.where(present[:, None], x, x.dtype.type(0)), np.where(present, w, 0)
        return cls(x, w.astype(x.dtype), nonfinite, length)

    @property
    def on(self) -> Executor:
        return OnHost

    @property
    def n_blocks(self) -> int:
        """The number of blocks with rows."""
        return math.ceil(len(self.x) / self.length)

    def in_places(self) -> np.ndarray:
        """The rows in the order of their numbers, those of the padding included."""
        more = padded_count(self.n_blocks) * self.length - len(self.x)
        return np.pad(self.x, ((0, more), (0, 0)))

    def fold(self, f: Callable[[Any, Any, Any], Any], carry: Any) -> Any:
        """``carry = f(carry, rows (C, D), weights (C,))`` over the blocks."""
        for first in range(0, len(self.x), self.length):
            part = slice(first, first + self.length)
            carry = f(carry, self.x[part], self.weights[part])
        return carry

    def standardized(self, shift: Any, scale: Any) -> Rows:
        """The rows ``(x - shift) / scale``; absent rows read as zero."""
        n_blocks, room = self.n_blocks, padded_count(self.n_blocks)
        x: Any = np.zeros((room, self.x.shape[1], self.length), self.x.dtype)
        weights: Any = np.zeros((room, self.length), self.x.dtype)
        for i in range(n_blocks):
            part = slice(i * self.length, (i + 1) * self.length)
            w = self.weights[part]
            weights[i, : len(w)] = w
            z = (self.x[part] - shift) / scale
            x[i, :, : len(w)] = np.where(w[:, None] > 0, z, 0).T
        start: Any = np.arange(room, dtype=np.int32) * np.int32(self.length)
        count: Any = None if room == 1 else np.asarray(n_blocks, np.int32)
        total: Any = weights.sum(axis=1).sum()
        return Rows(x, weights, start, total, self.nonfinite, n_blocks=count)
