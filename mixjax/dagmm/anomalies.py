"""The cost of the energy of rows labeled as anomalies."""

from typing import Any, ClassVar

import jax.numpy as jnp
from jax import Array

from ..pytrees import pytree


@pytree
class InverseEnergy:
    r"""The published cost: $1/E$.

    An energy is minus the logarithm of a density, so it may be zero or negative. There 1/E has a
    pole and then the wrong sign. So energies below ``floor`` cost $1/$floor without a gradient,
    and such a row is never pushed away. This form is therefore harmful if energies are
    negative. As published, the labeled rows stay in the moments and in the reconstruction.

    Attributes:
      floor: the energy, in nats, below which the cost is constant; positive.

    Example:
      >>> import jax.numpy as jnp
      >>> from mixjax import dagmm
      >>> cost = dagmm.InverseEnergy()(jnp.array([-5.0, 0.5, 4.0]), jnp.array(0.0))
      >>> [round(c.item(), 2) for c in cost]
      [1000.0, 2.0, 0.25]

    Source: the labeled-anomaly variant of DAGMM, after Zong et al. (2018), equation 7.
    """

    floor: Any = 1e-3
    keeps_apart: ClassVar[bool] = False

    def __call__(self, energy: Array, typical: Array) -> Array:
        """The cost (N,) of energies (N,); the typical energy () is not used."""
        return 1 / jnp.maximum(energy, self.floor)


@pytree
class Repulsion:
    r"""A bounded cost that decreases everywhere, with a gradient of at most one half.

    $\tfrac w2\bigl(1 - \tfrac{u}{1+|u|}\bigr)$ with $u = (E - \bar E - m)/w$ and
    $\bar E$ the mean energy of the normal rows of the batch. It falls from w to 0 as the energy
    rises more than m above the typical energy. Its tails are those of 1/u, so a row on the wrong
    side is still pushed. The labeled rows are excluded from the moments and the reconstruction.

    Attributes:
      margin: m, in nats above the mean energy of normal rows.
      width: w, in nats; positive.

    Example:
      >>> import jax.numpy as jnp
      >>> from mixjax import dagmm
      >>> cost = dagmm.Repulsion(margin=10.0, width=10.0)
      >>> [round(c.item(), 2) for c in cost(jnp.array([-1e9, 10.0, 1e9]), jnp.array(0.0))]
      [10.0, 5.0, 0.0]

    Source: this library; the softsign of Bergstra et al. (2009), equation 2.
    """

    margin: Any = 20.0
    width: Any = 20.0
    keeps_apart: ClassVar[bool] = True

    def __call__(self, energy: Array, typical: Array) -> Array:
        """The cost (N,) of energies (N,), given the typical energy () of normal rows."""
        u = (energy - typical - self.margin) / self.width
        return 0.5 * self.width * (1 - u / (1 + jnp.abs(u)))
