"""Exact rates: 0.1 means one tenth, which is not a binary number."""

import math
from fractions import Fraction
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from .. import checks
from ..programs import on_device

# Up to this denominator a rate is the simplest fraction that rounds to it, such as 1/9.
SIMPLE = 10**6


def written(rate: Any) -> Fraction | None:
    """The decimal number that prints as this float; None under ``jit``."""
    if not checks.is_concrete(rate):
        return None
    value = np.asarray(rate)[()]
    decimal = Fraction(str(value))
    simple = decimal.limit_denominator(SIMPLE)
    return simple if value.dtype.type(float(simple)) == value else decimal


def whole_part(n: int, rate: Array) -> Array:
    """The whole part of n * rate, int32, of the shape of the rate.

    Exact for the decimal rate. Under ``jit`` a product within rounding of a whole number counts
    as that number.
    """
    if checks.is_concrete(rate):
        rates, place = np.unique(np.asarray(rate), return_inverse=True)
        parts = np.array([math.floor(n * (written(one) or 0)) for one in rates], np.int32)
        return jnp.asarray(parts[place].reshape(jnp.shape(rate)))
    product = n * rate
    nearest = jnp.round(product)
    near = jnp.abs(product - nearest) <= 2 * jnp.finfo(rate.dtype).eps * product
    return jnp.where(near, nearest, jnp.floor(product)).astype(jnp.int32)


def steps(n: int, rate: Array) -> Array:
    """``k * rate / n`` for k = 1 ... n, (n,), each rounded once from the exact number."""
    exact = written(rate)
    if exact is not None:
        # Both factors are whole, so for rates of a few digits the quotient is rounded once.
        multiples = np.arange(1, n + 1, dtype=np.float64) * exact.numerator
        return on_device(multiples / (n * exact.denominator), rate.dtype)
    k = jnp.arange(1, n + 1, dtype=rate.dtype)
    return quotient(k, n) * rate * (1 + 2 * jnp.finfo(rate.dtype).eps)


def quotient(count: Array, n: int) -> Array:
    """``count / n`` rounded once: XLA would multiply by a rounded 1 / n."""
    if isinstance(count, np.ndarray | np.generic):
        return count / count.dtype.type(n)
    return count / lax.optimization_barrier(jnp.full_like(count, n))
