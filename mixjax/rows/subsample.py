"""Even samples: one row from each of equal strata, at a random place in each.

If ten sensors take turns, every tenth row is a row of the same sensor. With a random place in each
stratum such a table is sampled like a shuffled one, and a sorted table is sampled evenly. The
random places come from a hash: it compiles much faster than JAX's generator.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .. import checks
from .executor import executor_of


def scrambled(number: Any) -> Any:
    """A 32-bit hash of uint32 arrays: Wellons, Prospecting for Hash Functions (2018)."""
    with np.errstate(over="ignore"):  # the products wrap around
        number = number ^ (number >> np.uint32(16))
        number = number * np.uint32(0x7FEB352D)
        number = number ^ (number >> np.uint32(15))
        number = number * np.uint32(0x846CA68B)
        return number ^ (number >> np.uint32(16))


def seed_of(key: Array, xp: Any = jnp) -> Any:
    """() a uint32 seed made from a random key."""
    words = xp.asarray(jax.random.key_data(key)).reshape(-1)
    seed = xp.zeros((), np.uint32)
    for i in range(words.shape[0]):
        seed = scrambled(seed ^ words[i]) + np.uint32(1)
    return seed


def seeds_of(key: Array, n: int) -> list[Any]:
    """n different seeds made from a random key; on the host, if it is there."""
    with np.errstate(over="ignore"):
        first = seed_of(key, np if checks.on_host(key) else jnp)
        return [scrambled(first + np.uint32(i)) for i in range(n)]


def offsets(n: int, seed: Any = 0, xp: Any = jnp) -> Any:
    """(n,) pseudorandom float32 numbers in [0, 1)."""
    return _hashed(xp.arange(n, dtype=xp.uint32), seed, xp)


def uniform_at(index: Any, seed: Any, xp: Any = jnp) -> Any:
    """Pseudorandom float32 numbers in (0, 1), one for each index (n,)."""
    return _hashed(index.astype(xp.uint32), scrambled(xp.asarray(seed)), xp) + np.float32(2**-26)


def _hashed(index: Any, seed: Any, xp: Any) -> Any:
    steps = index * np.uint32(0x9E3779B9)
    drawn = scrambled(steps + xp.asarray(seed).astype(xp.uint32).reshape(1))
    # 24 bits: more would round up to 1.
    return (drawn >> np.uint32(8)).astype(xp.float32) * np.float32(2**-24)


def places(n_rows: int, n: int, seed: Any = 0, xp: Any = jnp) -> Any:
    """(n,) ascending places from 0 to n_rows - 1, one in each of n equal strata; n <= n_rows.

    The strata begin at ``i * n_rows / n``, computed without the product: positions are int32.
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

    A place of mass 0 is drawn only through rounding.
    """
    on = executor_of(mass)
    xp, length = on.xp, mass.shape[1]
    within = xp.cumsum(mass, axis=1)
    ends = xp.cumsum(within[:, -1])
    before = xp.concatenate([xp.zeros_like(ends[:1]), ends[:-1]])
    step = ends[-1] / n
    begin = xp.arange(n, dtype=np.int32).astype(mass.dtype) * step
    offset = offsets(n, seed, xp).astype(mass.dtype) * step

    def halve(_: Any, bounds: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = bounds
        middle = low + (high - low) // 2
        block = middle // length
        # The offset last: a sum over all rows loses the digits that separate neighbors.
        target = (begin - before[block]) + offset
        beyond = within[block, middle % length] <= target
        return xp.where(beyond, middle + 1, low), xp.where(beyond, high, middle)

    first = xp.zeros((n,), np.int32)
    bounds = (first, first + np.int32(mass.size - 1))
    return on.fori_loop(0, mass.size.bit_length(), halve, bounds)[0]
