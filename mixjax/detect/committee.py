"""Several mixtures that judge together, each by how rare its energy is among normal rows."""

import jax
import jax.numpy as jnp
from jax import Array

from ..describing.summary import Described
from ..mixture.mixture import Mixture
from ..mixture.questions import log_prob
from ..programs import jit
from ..pytrees import pytree
from ..threshold import pareto
from ..threshold.conformal_prediction import share_as_high

# The share of the energies that make the tail.
TAIL = 0.1
# In nats: energies this near (or this share of them) are equal; the least scale of a tail.
TIES = 1e-5
NARROWEST = 0.05


@pytree
class Calibration(Described):
    """How rare an energy is among normal rows.

    Attributes:
      energies: (n,) of normal rows, ascending, each by a mixture that has not seen it.
      start: () the energy from which the tail is a generalized Pareto law.
      scale: () of that law.
      shape: () of that law, from 0 (exponential) to 0.9.
    """

    energies: Array
    start: Array
    scale: Array
    shape: Array

    @classmethod
    def of(cls, energies: Array) -> "Calibration":
        """With the tail of the energies (n,), by `threshold.pareto`."""
        ordered = jnp.sort(energies)
        n_tail = max(1, int(TAIL * len(ordered)))
        start, _, shape, scale = pareto.tail_of(ordered, n_tail, pareto.moments)
        # A tail of equal energies has the width of what rounding leaves of them.
        return cls(ordered, start, jnp.maximum(scale, NARROWEST), shape)

    def rarity(self, energy: Array) -> Array:
        """(N,) minus the logarithm of the share of normal rows with as high an energy."""
        # Copies of a row may differ by rounding.
        near = jnp.where(jnp.isfinite(energy), TIES * jnp.maximum(jnp.abs(energy), 1), 0)
        counted = share_as_high(self.energies, energy - near)
        # Energies may be infinite; their order is kept as far as floats go.
        y = jnp.minimum((energy - self.start) / self.scale, jnp.finfo(energy.dtype).max / 4)
        y = jnp.maximum(y, 0)
        n_higher = jnp.sum((self.energies > self.start).astype(energy.dtype))
        share = (1 + n_higher) / (self.energies.shape[0] + 1)
        law = -pareto.log_survival(y, self.shape)
        rarity = jnp.where(energy > self.start, law - jnp.log(share), -jnp.log(counted))
        # NaN is never normal.
        return jnp.where(jnp.isnan(energy), energy, rarity)


@pytree
class Member(Described):
    """The best candidate of a family, fitted once for every part of the rows left out.

    Attributes:
      mixtures: F of them, with a leading axis.
      calibration: of the median of their energies.
    """

    mixtures: Mixture
    calibration: Calibration

    def rarity(self, x: Array) -> Array:
        """(N,) of rows: minus the logarithm of a share of normal rows."""
        each = jax.lax.map(lambda mixture: -log_prob(mixture, x), self.mixtures)
        # Not the mean: a row of a rare kind, which one part alone had none of, is not strange.
        return self.calibration.rarity(jnp.median(each, axis=0))


@jit
def calibrated(normal: Array, energies: Array) -> tuple[Calibration, Array]:
    """For M members: their calibrations by normal rows (M, n), and scores (N,) of all rows."""
    each = jax.vmap(Calibration.of)(normal)
    return each, combined(jax.vmap(Calibration.rarity)(each, energies))


def combined(rarities: Array) -> Array:
    r"""One score (N,) from those of the members (M, N): $-\log$ of their harmonic mean p.

    $-\log\bar p = \log\tfrac1M\sum_m 1/p_m$: a row is strange if one member finds it so, and
    it does not matter how much the members depend on each other.

    Source: Wilson, The Harmonic Mean p-value for Combining Dependent Tests (2019),
    equation 1.
    """
    n_members = rarities.shape[0]
    return jax.nn.logsumexp(rarities, axis=0) - jnp.log(jnp.asarray(n_members, rarities.dtype))
