"""What families of independent columns share: a center and a scale for each column."""

from typing import Any, ClassVar, Self

import jax
import jax.numpy as jnp
from jax import Array

from ..pytrees import pytree
from ..rows.observed import Seen
from ..rows.scaling import Scaling
from .family import Family


@pytree
class ByColumn:
    """Sums over rows for each column by itself.

    Attributes:
      count: (K,) sum of the responsibilities.
      columns: the statistics of each column, with a leading axis of D.
    """

    count: Array
    columns: Any


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

    def observed_log_prob_and_statistics(self, seen: Seen) -> tuple[Array, Any]:
        """As `log_prob_and_statistics`, of rows with missing values, which are left out.

        The columns are fitted each by itself, as D tables of one column.
        """
        each = jnp.where(seen.known[:, None], self.coordinate_log_prob(seen.x), 0)

        def sums(resp: Array) -> ByColumn:
            def of_column(one: Self, x: Array, known: Array) -> Any:
                own = jnp.where(known[:, None], resp, 0)
                return one._one_column().statistics(x[:, None], own)

            stats = jax.vmap(of_column, in_axes=(-1, 1, 1))(self, seen.x, seen.known)
            return ByColumn(jnp.sum(resp, axis=0), stats)

        return jnp.sum(each, axis=2), sums

    def observed_means(self, seen: Seen) -> Array:
        """The known values, and for the others the centers: (N, K, D)."""
        return jnp.where(seen.known[:, None], seen.x[:, None], self.centers[None])

    def from_observed_statistics(self, stats: Any, reg_covar: Array) -> Self:
        """The M-step of each column, from the sums of its known values."""

        def of_column(one: Self, stats: Any, reg: Array) -> Self:
            return one._one_column().from_statistics(stats, reg[None])

        found = jax.vmap(of_column, in_axes=(-1, 0, 0))(self, stats.columns, reg_covar)
        return jax.tree.map(lambda leaf: leaf[..., 0].T, found)

    def _one_column(self) -> Self:
        """Components whose parameters (K,) are those of one column."""
        return jax.tree.map(lambda leaf: leaf[..., None], self)

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
