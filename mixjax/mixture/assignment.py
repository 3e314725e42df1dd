"""Responsibilities that are given, not computed from a mixture."""

from typing import Any

import numpy as np
from jax import Array

from ..pytrees import pytree
from ..rows.blocks import Rows
from ..rows.executor import executor_of


@pytree
class Labels:
    """Each row belongs to one component.

    Attributes:
      labels: (N,) the number of the component.
      centers: (K, D) about where the rows of each component lie, or None.
    """

    labels: Array
    centers: Array | None = None

    def of(self, index: Array, k: int, dtype: Any) -> Array:
        """The responsibilities (K, n) of the rows at ``index`` (n,)."""
        numbers = executor_of(self.labels).xp.arange(k, dtype=np.int32)
        return (numbers[:, None] == self.labels[index][None]).astype(dtype)


@pytree
class Shares:
    """Each row belongs to several components in part.

    Attributes:
      shares: (N, K) the responsibilities.
      centers: (K, D) about where the rows of each component lie, or None.
    """

    shares: Array
    centers: Array | None = None

    def of(self, index: Array, k: int, dtype: Any) -> Array:
        """The responsibilities (K, n) of the rows at ``index`` (n,)."""
        return self.shares[index].T.astype(dtype)


Assignment = Labels | Shares


def means_of(assignment: Assignment, rows: Rows, k: int) -> Array:
    """The means (K, D) of the rows of each component; 0 for one without rows."""
    xp = rows.on.xp

    def block(x: Array, weights: Array, index: Array) -> tuple[Array, Array]:
        resp = assignment.of(index, k, x.dtype) * weights[None]
        return xp.sum(resp, axis=1), rows.on.matmul(resp, x.T)

    count, total = rows.sum(block)
    present = count > 0
    means = xp.where(present[:, None], total / xp.where(present, count, 1)[:, None], 0)
    # Responsibilities of a user's start may not be finite: then any center will do.
    return xp.where(xp.isfinite(means), means, 0)
