"""Sums over thousands of blocks that lose no digits."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from ..pytrees import pytree


@pytree
class Sums:
    """Sums over the blocks of a pass so far, each with the digits that it has lost.

    Attributes:
      total: the sums of the energies, of the statistics and of the rows.
      lost: what is to be subtracted from them.
      n_blocks: () blocks seen.
    """

    total: tuple[Array, Any, Array]
    lost: tuple[Array, Any, Array]
    n_blocks: Array

    def plus(self, more: tuple[Array, Any, Array]) -> "Sums":
        """With one block more; compensated, as thousands of blocks may come."""
        exact = jax.tree.map(jnp.subtract, more, self.lost)
        total = jax.tree.map(jnp.add, self.total, exact)
        lost = jax.tree.map(lambda new, old, x: (new - old) - x, total, self.total, exact)
        return Sums(total, lost, self.n_blocks + 1)
