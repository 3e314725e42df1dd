"""Sums over rows without errors, for each pattern of missing values.

What a row says of a component depends on its values and on which of them are there. Of few columns
there are fewer patterns than rows, so an M-step works on sums for each pattern.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .. import linalg
from ..pytrees import pytree
from ..rows.observed import Seen
from .moments import Moments

# A column alone needs no sums for its two patterns; of more columns there are too many patterns.
FEWEST, MOST = 2, 8
# For fewer rows, those one by one are as quick.
ENOUGH = 512


def by_pattern(seen: Seen) -> bool:
    """Whether sums for each pattern are quicker than sums over rows."""
    n, d = seen.x.shape
    return seen.noise is None and FEWEST <= d <= MOST and n >= max(2**d, ENOUGH)


@pytree
class PatternSums:
    """Sums over the rows with each of the P = 2^D patterns, a being ``x - mean`` or 0 if missing.

    Attributes:
      count: (K,) the sums of r over all rows.
      resp: (P, K) the sums of r.
      first: (P, K, D) the sums of r a.
      pairs: (P, K, D (D + 1) / 2) the sums of r a aᵀ, row by row of the lower triangle.
    """

    count: Array
    resp: Array
    first: Array
    pairs: Array

    @staticmethod
    def known(n_features: int) -> Array:
        """Which values (P, D) each pattern has."""
        numbers = np.arange(2**n_features)[:, None] >> np.arange(n_features)
        return jnp.asarray(numbers & 1 > 0)

    def moments(self, whiten: Array) -> Moments:
        """The sums of h = T⁻¹ a, and of h hᵀ - T⁻¹, over all rows.

        Args:
          whiten: (K or 1, P, D, D) the roots W of the inverses, T⁻¹ = WᵀW, 0 where missing.
        """
        d = self.first.shape[-1]
        place = np.zeros((d, d), int)
        place[np.tril_indices(d)] = np.arange(d * (d + 1) // 2)
        place = np.maximum(place, place.T)
        outer = jnp.moveaxis(self.pairs[..., place.reshape(-1)], 1, 0)
        outer = outer.reshape(*outer.shape[:2], d, d)
        resp, first = self.resp.T, jnp.moveaxis(self.first, 1, 0)
        white = linalg.einsum("kpij,kpj->kpi", jnp.broadcast_to(whiten, outer.shape), first)
        pull = linalg.einsum("kpij,kpi->kj", jnp.broadcast_to(whiten, outer.shape), white)
        if len(whiten) == 1:
            resp = jnp.sum(resp, axis=0, keepdims=True)
            outer = jnp.sum(outer, axis=0, keepdims=True)
        inner = linalg.matmul(linalg.matmul(whiten, outer), whiten.mT)
        inner = inner - resp[..., None, None] * linalg.eye_like(inner)
        second = jnp.sum(linalg.matmul(linalg.matmul(whiten.mT, inner), whiten), axis=1)
        return Moments(self.count, pull, second)


def pattern_sums(seen: Seen, means: Array, resp: Array) -> PatternSums:
    """The sums over N rows with responsibilities resp (N, K)."""
    n, d = seen.x.shape
    away = jnp.where(seen.known[:, None], seen.x[:, None] - means[None], 0)
    each = resp[:, :, None] * away
    parts: list[Any] = [resp[:, :, None], each]
    parts += [each[:, :, i : i + 1] * away[:, :, : i + 1] for i in range(d)]
    bits = 2 ** np.arange(d, dtype=np.int32)
    number = jnp.sum(jnp.where(seen.known, bits[None], 0), axis=1, dtype=np.int32)
    rows = jnp.concatenate(parts, axis=2).reshape(n, -1)
    sums = jax.ops.segment_sum(rows, number, 2**d).reshape(2**d, len(means), -1)
    return PatternSums(
        jnp.sum(resp, axis=0), sums[..., 0], sums[..., 1 : 1 + d], sums[..., 1 + d :]
    )
