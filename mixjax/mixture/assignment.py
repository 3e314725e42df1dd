"""Responsibilities that are given, not computed from a mixture."""

from typing import Any, Self

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

    def informed(self, known: Any, k: int) -> Self:
        """With the numbers that are known (N,), -1 where not.

        Other rows get the numbers of the known ones that they share a component with.
        """
        on, n = executor_of(self.labels), len(known)
        xp, numbers = on.xp, on.xp.arange(k, dtype=np.int32)
        own = self.labels[:n]
        both = (known[None] == numbers[:, None]).astype(np.float32)
        mine = (own[None] == numbers[:, None]).astype(np.float32)
        counts = on.matmul(both, mine.T)  # (K known, K own)

        def match(i: Any, carry: tuple[Any, Any]) -> tuple[Any, Any]:
            left, new = carry
            best = xp.argmax(left).astype(np.int32)
            to, old = best // k, best % k
            left = xp.where((numbers[:, None] == to) | (numbers[None] == old), -1, left)
            return left, xp.where(numbers == old, to, new)

        new = on.fori_loop(0, k, match, (counts, numbers))[1]
        labels = new[xp.minimum(self.labels, k - 1)]
        first = xp.where(known >= 0, known, labels[:n]).astype(np.int32)
        labels = xp.concatenate([first, labels[n:]])
        return type(self)(labels)

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

    def informed(self, known: Any, k: int) -> Self:
        """With the components that are known (N,), -1 where not."""
        xp, n = executor_of(self.shares).xp, len(known)
        numbers = xp.arange(self.shares.shape[1], dtype=np.int32)
        sure = (known[:, None] == numbers[None]).astype(self.shares.dtype)
        first = xp.where(known[:, None] >= 0, sure, self.shares[:n].astype(self.shares.dtype))
        return type(self)(xp.concatenate([first, self.shares[n:]]), self.centers)

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
