"""Where an algorithm runs: compiled by JAX, or on the host by NumPy.

To compile a scale or a start takes a second, to run it a millisecond. So what runs once a fit is
written for either, and a fit outside of ``jit`` on a CPU does not compile it.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ..linalg import matmul


class Compiled:
    """The operations of JAX, for arrays on a device or under ``jit``."""

    xp: Any = jnp
    scan = staticmethod(lax.scan)
    fori_loop = staticmethod(lax.fori_loop)
    while_loop = staticmethod(lax.while_loop)
    matmul = staticmethod(matmul)

    @staticmethod
    def by_rows(f: Callable[[Any], Any], xs: Any) -> Any:
        """``f(xs)``, which treats every row alone; compiled, one after the other."""
        return lax.map(lambda x: f(x[None])[0], xs)

    @staticmethod
    def largest(values: Any, n: int) -> Any:
        """The places (n,) of the largest of (N,) values."""
        return lax.top_k(values, n)[1]

    @staticmethod
    def smallest(values: Any) -> Any:
        """The number (N,) of the first of the smallest of (K, N) values."""
        return jnp.argmin(values, axis=0).astype(jnp.int32)

    @staticmethod
    def put(array: Any, i: Any, value: Any) -> Any:
        """The array with another entry."""
        return array.at[i].set(value)

    @staticmethod
    def largest_so_far(values: Any) -> Any:
        """The largest of the values (N,) up to each place."""
        return lax.cummax(values)


class OnHost:
    """The same for NumPy arrays."""

    xp: Any = np
    matmul = staticmethod(np.matmul)

    @staticmethod
    def scan(f: Callable[[Any, Any], Any], carry: Any, xs: Any) -> Any:
        results = []
        for i in range(len(jax.tree.leaves(xs)[0])):
            carry, result = f(carry, jax.tree.map(lambda leaf, i=i: leaf[i], xs))
            results.append(result)
        return carry, jax.tree.map(lambda *parts: np.stack(parts), *results)

    @staticmethod
    def fori_loop(first: int, last: int, f: Callable[[Any, Any], Any], carry: Any) -> Any:
        for i in range(first, last):
            carry = f(i, carry)
        return carry

    @staticmethod
    def while_loop(goes_on: Callable[[Any], Any], f: Callable[[Any], Any], carry: Any) -> Any:
        while goes_on(carry):
            carry = f(carry)
        return carry

    @staticmethod
    def by_rows(f: Callable[[Any], Any], xs: Any) -> Any:
        return f(xs)

    @staticmethod
    def largest(values: Any, n: int) -> Any:
        return np.argpartition(-values, n - 1)[:n] if n < len(values) else np.arange(len(values))

    @staticmethod
    def smallest(values: Any) -> Any:
        # `argmin` goes down one column after the other; maxima of whole rows are much faster.
        k = len(values)
        from_last = np.arange(k, 0, -1, dtype=np.int32)[:, None]
        found = (values == values.min(axis=0)) * from_last
        return np.minimum(k - found.max(axis=0), k - 1)

    @staticmethod
    def put(array: Any, i: Any, value: Any) -> Any:
        array = array.copy()
        array[i] = value
        return array

    @staticmethod
    def largest_so_far(values: Any) -> Any:
        return np.maximum.accumulate(values)


Executor = type[Compiled] | type[OnHost]


def executor_of(array: Any) -> Executor:
    """Where algorithms on this array run."""
    return OnHost if isinstance(array, np.ndarray | np.generic) else Compiled
