"""Several mixtures that judge together, each by how rare its energy is among normal rows."""

import math

import jax
import jax.numpy as jnp
from jax import Array

from .mixture import Mixture, log_prob
from .pytree import pytree
from .threshold.conformal import Conformal

# The share of the energies that make the tail, and the heaviest tail that is believed.
TAIL = 0.1
HEAVIEST = 0.9


@pytree
class Calibration:
    """How rare an energy is among normal rows.

    Attributes:
      energies: (n,) of normal rows, ascending, each by a mixture that has not seen it.
      start: () the energy from which the tail is a generalised Pareto law.
      scale: () of that law.
      shape: () of that law, from 0 (exponential) to 0.9.
    """

    energies: Array
    start: Array
    scale: Array
    shape: Array

    @classmethod
    def of(cls, energies: Array) -> "Calibration":
        """With the tail of the energies (n,) by the method of moments."""
        ordered = jnp.sort(energies)
        n_tail = max(1, int(TAIL * len(ordered)))
        start = ordered[-n_tail - 1]
        excess = ordered[-n_tail:] - start
        mean = jnp.mean(excess)
        variance = jnp.mean((excess - mean) ** 2)
        tiny = jnp.finfo(mean.dtype).eps * jnp.maximum(jnp.abs(start), 1)
        mean = jnp.maximum(mean, tiny)
        shape = 0.5 * (1 - mean**2 / jnp.maximum(variance, tiny**2))
        # No lighter than exponential: the tail must not end where rows still differ.
        shape = jnp.clip(shape, 0, HEAVIEST)
        return cls(ordered, start, mean * (1 - shape), shape)

    def rarity(self, energy: Array) -> Array:
        """(N,) minus the logarithm of the share of normal rows with as high an energy."""
        n = self.energies.shape[0]
        counted = Conformal(self.energies, self.shape).p_values(energy)
        # Energies may be infinite; their order is kept as far as floats go.
        y = jnp.minimum((energy - self.start) / self.scale, jnp.finfo(energy.dtype).max / 4)
        y = jnp.maximum(y, 0)
        curved = self.shape > 1e-4
        safe = jnp.where(curved, self.shape, 1)
        law = jnp.where(curved, jnp.log1p(safe * y) / safe, y)
        share = max(1, int(TAIL * n)) / n
        return jnp.where(energy > self.start, law - math.log(share), -jnp.log(counted))


@pytree
class Member:
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


@jax.jit
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
