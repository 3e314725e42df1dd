"""What families of independent columns share: a center and a scale for each column."""

from typing import Any, ClassVar, Self

import jax.numpy as jnp
from jax import Array

from ..rows.scaling import Scaling
from .family import Family


class IndependentColumns(Family):
    """Components with a center and a scale in each column, in this order the fields (K, D)."""

    scaling: ClassVar[Scaling] = Scaling.COLUMNS
    independent_columns: ClassVar[bool] = True
    scales: Any

    @classmethod
    def standard(cls, n_components: int, n_features: int, dtype: Any) -> Self:
        """Components at 0 of scale 1."""
        centers = jnp.zeros((n_components, n_features), dtype)
        return cls(centers, jnp.ones_like(centers))  # type: ignore[call-arg]

    @property
    def shape(self) -> tuple[int, ...]:
        """(K, D)."""
        return self.centers.shape[-2:]

    @property
    def sharpness(self) -> Array:
        """(K, D) one over the scales, in units of 1/x."""
        return 1 / self.scales

    @property
    def n_parameters(self) -> int:
        """2 K D."""
        return 2 * self.shape[0] * self.shape[1]

    def extent(self) -> tuple[Array, Array]:
        """Centers and scales."""
        return self.centers, self.scales

    def marginal(self, columns: Any) -> Self:
        """The marginal components of these columns (C,)."""
        return self._with(self.centers[:, columns], self.scales[:, columns])

    def conditional(self, rest: Any, columns: Any, values: Array) -> Self:
        """The components of the columns ``rest``; they do not depend on the other columns."""
        return self.marginal(rest)

    def affine(self, scale: Array, shift: Array) -> Self:
        """The components of ``scale * x + shift``."""
        return self._with(self.centers * scale[None] + shift[None], self.scales * scale[None])

    def unconstrain(self) -> tuple[Array, Array]:
        """Centers and the logarithms of the scales."""
        return self.centers, jnp.log(self.scales)

    @classmethod
    def constrain(cls, leaves: tuple[Array, Array]) -> Self:
        """The inverse of `unconstrain`."""
        return cls(leaves[0], jnp.exp(leaves[1]))  # type: ignore[call-arg]

    def _with(self, centers: Array, scales: Array) -> Self:
        return type(self)(centers, scales)  # type: ignore[call-arg]
