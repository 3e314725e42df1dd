"""How the columns of a network's input are centered, scaled and bounded."""

from typing import Any, Self

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from ..programs import jit
from ..pytrees import pytree
from ..rows.blocks import Table
from ..rows.scaling import Scale, column_scale


@pytree
class Inputs:
    r"""Scaled input columns: $(x - \text{shift})/\text{scale}$, clipped to $\pm$ limit.

    A nearly constant column has rows hundreds of standard deviations from its mean. Without a
    limit their squares would dominate the reconstruction error.

    Attributes:
      shift: (D,) in the units of x.
      scale: (D,) in the units of x.
      limit: () in units of the scale.

    Example:
      >>> import jax.numpy as jnp
      >>> from mixjax import dagmm
      >>> inputs = dagmm.Inputs.of(jnp.array([[0.0, 5.0], [2.0, 5.0]]))
      >>> inputs(jnp.array([[1.0, 5.0], [99.0, 4.0]])).tolist()
      [[0.0, 0.0], [5.0, -1.0]]
    """

    shift: Array
    scale: Array
    limit: Array

    @classmethod
    def of(cls, x: Array, weights: Array | None = None, limit: ArrayLike = 5.0) -> Self:
        """Inputs scaled by the mean and standard deviation of each column of x (N, D)."""
        scale = _column_scale(x, weights)
        return cls(scale.shift, scale.scale, jnp.asarray(limit, x.dtype))

    @classmethod
    def unchanged(cls, n_features: int, dtype: Any = None) -> Self:
        """Inputs that leave the columns unchanged."""
        zeros = jnp.zeros(n_features, dtype)
        return cls(zeros, jnp.ones_like(zeros), jnp.asarray(jnp.inf, zeros.dtype))

    def __call__(self, x: Array) -> Array:
        """The scaled and clipped rows (N, D)."""
        scaled = (x - self.shift[None]) / self.scale[None]
        return jnp.clip(scaled, -self.limit, self.limit)


@jit
def _column_scale(x: Array, weights: Array | None) -> Scale:
    return column_scale(Table.of(x, weights, 1))
