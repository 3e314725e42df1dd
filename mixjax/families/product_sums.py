"""Sums over rows for families over groups of columns, group by group."""

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from ..pytrees import pytree
from ..rows.observed import Seen


@pytree
class ProductSums:
    """Sums over rows: of the responsibilities (K,), and the statistics of each part."""

    count: Array
    parts: tuple[Any, ...]


def seen_in(seen: Seen, g: np.ndarray) -> Seen:
    """What is seen of rows in the columns of a group."""
    noise = seen.noise
    if noise is not None:
        noise = noise[:, g] if noise.ndim == 2 else noise[:, g][:, :, g]
    return Seen(seen.x[:, g], seen.known[:, g], noise)


def together(each: Sequence[tuple[Array, Callable[[Array], Any]]]) -> tuple[Array, Any]:
    """The sum of the log-densities (N, K) of the parts, and their sums as a function of resp."""

    def statistics(resp: Array) -> ProductSums:
        return ProductSums(jnp.sum(resp, axis=0), tuple(sums(resp) for _, sums in each))

    return sum(log_prob for log_prob, _ in each), statistics  # type: ignore[return-value]
