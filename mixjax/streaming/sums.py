"""Compensated sums over thousands of blocks."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from ..pytrees import pytree


@pytree
class Sums:
    """Sums over the blocks of a pass so far, each with its rounding error.

    Attributes:
      total: the sums of the energies, of the statistics and of the rows.
      lost: the rounding errors, to be subtracted from the sums.
      n_blocks: () number of blocks.
    """

    total: tuple[Array, Any, Array]
    lost: tuple[Array, Any, Array]
    n_blocks: Array

    def plus(self, more: tuple[Array, Any, Array]) -> "Sums":
        """The sums with one more block, by compensated summation."""
        exact = jax.tree.map(jnp.subtract, more, self.lost)
        total = jax.tree.map(jnp.add, self.total, exact)
        lost = jax.tree.map(lambda new, old, x: (new - old) - x, total, self.total, exact)
        return Sums(total, lost, self.n_blocks + 1)
