"""The region where a mixture lies, and its density there."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ..mixture.conditioning import marginal
from ..mixture.mixture import Mixture
from ..mixture.questions import log_prob, sample

# The number of rows drawn from a mixture to find where it lies.
SAMPLED = 4096
# Rows farther from the mixture than this many times its width are not shown.
FARTHEST = 3.0


class Viewport(NamedTuple):
    """The part of the plane, or of the line, that a picture shows.

    Attributes:
      sampled: (n, C) rows drawn from the mixture.
      low: (C,) lower ends of the axes.
      high: (C,) upper ends of the axes.
    """

    sampled: np.ndarray
    low: np.ndarray
    high: np.ndarray

    def of(self, columns: Sequence[int]) -> "Viewport":
        """The same for some of the columns."""
        kept = list(columns)
        return Viewport(self.sampled[:, kept], self.low[kept], self.high[kept])

    def lines(self, column: int, n: int) -> np.ndarray:
        """n increasing points along a column: half of them evenly spaced, half at quantiles.

        The quantiles find components that are narrower than the even spacing.
        """
        low, high, n_even = self.low[column], self.high[column], n - n // 2
        shares = np.linspace(0, 1, n // 2 + 2)[1:-1]
        dense = np.clip(np.quantile(self.sampled[:, column], shares), low, high)
        return np.sort(np.concatenate([np.linspace(low, high, n_even), dense]))

    def outside(self, x: np.ndarray) -> str:
        """A note if some rows (N, C) are outside."""
        n = int(((x < self.low) | (x > self.high)).any(axis=1).sum())
        return f"{n:,} far {'row' if n == 1 else 'rows'} outside" if n else ""


def viewport_of(mixture: Mixture, x: np.ndarray | None) -> Viewport:
    """The region of the mixture and of the rows (N, D), without far rows."""
    sampled = np.asarray(sample(jax.random.key(0), mixture, SAMPLED)[0], np.float64)
    low, high = np.quantile(sampled, [0.001, 0.999], axis=0)
    width = np.maximum(high - low, 1e-6 * np.maximum(np.abs(high), 1e-30))
    first, last = low - 0.1 * width, high + 0.1 * width
    if x is not None:
        near = (x >= low - FARTHEST * width) & (x <= high + FARTHEST * width)
        margin = 0.02 * width
        first = np.minimum(first, np.min(x, axis=0, where=near, initial=np.inf) - margin)
        last = np.maximum(last, np.max(x, axis=0, where=near, initial=-np.inf) + margin)
    return Viewport(sampled, first, last)


def part_of(mixture: Mixture, columns: Sequence[int]) -> Mixture:
    """The marginal mixture of the columns; the mixture itself if these are all, in order."""
    if list(columns) == list(range(mixture.n_features)):
        return mixture
    return marginal(mixture, columns)


def log_density(part: Mixture, rows: np.ndarray) -> np.ndarray:
    """Log-density (...) of rows (..., C), in nats."""
    flat = jnp.asarray(rows.reshape(-1, rows.shape[-1]), part.log_weights.dtype)
    return np.asarray(log_prob(part, flat), np.float64).reshape(rows.shape[:-1])
