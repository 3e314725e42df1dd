"""Shapes of the parameters that a family is made from."""

import jax.numpy as jnp
from jax import Array


def shaped(means: Array, axes: str, **given: Array) -> tuple[Array, Array]:
    """Means (..., K, D) and one more array, whose axes are given as in "KDD", as arrays."""
    ((name, value),) = given.items()
    means, value = jnp.asarray(means), jnp.asarray(value)
    if means.ndim < 2:
        raise ValueError(f"means must have shape (K, D), got {means.shape}")
    sizes = dict(zip("KD", means.shape[-2:], strict=True))
    expected = means.shape[:-2] + tuple(sizes[axis] for axis in axes)
    if value.shape != expected:
        raise ValueError(
            f"{name} must have shape ({', '.join(axes)}) = {expected} for means of shape "
            f"{means.shape}, got {value.shape}"
        )
    return means, value
