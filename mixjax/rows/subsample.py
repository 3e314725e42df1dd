"""Even samples: one from each of equal strata, at a place of its own in each.

Every tenth row of a table in which ten sensors take turns is a row of the same sensor. A place
drawn anew in each stratum makes such a table as good as a shuffled one, and a sorted one is
sampled evenly. What is drawn comes from a hash, whose program is a fraction of a generator's.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax


def scrambled(number: Any) -> Any:
    """A hash of 32 bits, of arrays of uint32: Wellons, Prospecting for Hash Functions (2018)."""
    number = number ^ (number >> np.uint32(16))
    number = number * np.uint32(0x7FEB352D)
    number = number ^ (number >> np.uint32(15))
    number = number * np.uint32(0x846CA68B)
    return number ^ (number >> np.uint32(16))


def seed_of(key: Array) -> Array:
    """() uint32 that another key makes another."""
    seed = jnp.zeros((), jnp.uint32)
    for word in jax.random.key_data(key).reshape(-1):
        seed = scrambled(seed ^ word) + np.uint32(1)
    return seed


def offsets(n: int, seed: Any = 0, xp: Any = jnp) -> Any:
    """(n,) numbers from 0 to below 1, without a pattern; float32."""
    steps = xp.arange(n, dtype=xp.uint32) * np.uint32(0x9E3779B9)
    drawn = scrambled(steps + xp.asarray(seed).astype(xp.uint32).reshape(1))
    # 24 bits, as more would round up to 1.
    return (drawn >> np.uint32(8)).astype(xp.float32) * np.float32(2**-24)


def places(n_rows: int, n: int, seed: Any = 0, xp: Any = jnp) -> Any:
    """(n,) ascending places from 0 to n_rows - 1, one in each of n equal strata; n <= n_rows.

    The strata begin at ``i * n_rows / n``, of which no product is formed: positions are int32.
    """
    whole, rest = divmod(n_rows, n)
    i = xp.arange(n + 1, dtype=xp.int32)
    share = (i.astype(xp.float32) * np.float32(rest / n)).astype(xp.int32)
    begin = i * np.int32(whole) + xp.minimum(share, np.int32(rest))
    size = begin[1:] - begin[:-1]
    within = (offsets(n, seed, xp) * size.astype(xp.float32)).astype(xp.int32)
    return begin[:-1] + xp.minimum(within, size - 1)


def places_by_mass(mass: Array, n: int, seed: Any = 0) -> Array:
    """(n,) places in ``mass`` (B, C) laid end to end, one in each of n strata of equal mass.

    Where mass is 0 there is a place only if rounding put it there.
    """
    length = mass.shape[1]
    within = jnp.cumsum(mass, axis=1)
    ends = jnp.cumsum(within[:, -1])
    before = jnp.concatenate([jnp.zeros_like(ends[:1]), ends[:-1]])
    step = ends[-1] / n
    begin = jnp.arange(n, dtype=jnp.int32).astype(mass.dtype) * step
    offset = offsets(n, seed).astype(mass.dtype) * step

    def halve(_: Any, bounds: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = bounds
        middle = low + (high - low) // 2
        block = middle // length
        # The offset last: a sum over all rows has lost the digits that tell neighbors apart.
        target = (begin - before[block]) + offset
        beyond = within[block, middle % length] <= target
        return jnp.where(beyond, middle + 1, low), jnp.where(beyond, high, middle)

    first = jnp.zeros((n,), jnp.int32)
    bounds = (first, first + np.int32(mass.size - 1))
    return lax.fori_loop(0, mass.size.bit_length(), halve, bounds)[0]
