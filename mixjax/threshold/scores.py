"""Checks of arguments for all thresholds, and the comparison of scores with a threshold."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from .. import checks
from ..programs import jit, on_device
from ..rows.frames import rows_of


def above(scores: ArrayLike, threshold: ArrayLike) -> Array:
    """Which scores are above the threshold (an equal score is not), or NaN."""
    return _above(on_device(scores), on_device(threshold))


@jit
def _above(scores: Array, threshold: Array) -> Array:
    dtype = jnp.promote_types(scores.dtype, threshold.dtype)
    return ~(scores.astype(dtype) <= threshold.astype(dtype))


ascending = jit(jnp.sort)


def no_nan(scores: ArrayLike) -> Array:
    """The scores with NaN replaced by infinity, the strangest score."""
    scores = jnp.asarray(scores)
    return jnp.where(jnp.isnan(scores), jnp.inf, scores)


def scores_of(values: Any, name: str = "scores") -> Array:
    """Floats of one axis, not empty. NaN raises, and under ``jit`` counts as the strangest."""
    values, _ = rows_of(values, name)
    if values.dtype not in (np.float32, np.float64):
        raise TypeError(f"{name} must be float32 or float64 numbers, got {values.dtype}")
    if values.ndim != 1 or values.size == 0:
        raise ValueError(f"{name} must have shape (rows,) and not be empty, got {values.shape}")
    if not checks.is_concrete(values):
        return no_nan(values)
    if np.isnan(np.asarray(values)).any():
        first = int(np.argmax(np.isnan(np.asarray(values))))
        raise ValueError(f"{name} hold NaN, the first in row {first}: drop such rows")
    return on_device(values)


def probabilities_of(values: Any, name: str) -> Array:
    """Floats from 0 to 1 of one axis, not empty."""
    values = scores_of(values, name)
    if checks.is_concrete(values):
        host = np.asarray(values)
        outside = ~((host >= 0) & (host <= 1))
        if outside.any():
            first = int(np.argmax(outside))
            raise ValueError(f"{name} must be from 0 to 1, got {host[first]} in row {first}")
    return values


def between(value: Any, low: float, high: float, name: str, scores: Array) -> Array:
    """One number in a range, with the dtype of the scores; under ``jit`` it is clipped."""
    if np.ndim(value) != 0:
        raise ValueError(f"{name} must be one number, got shape {np.shape(value)}")
    if not checks.is_concrete(value):
        number = jnp.asarray(value, scores.dtype)
        return jnp.clip(jnp.where(jnp.isnan(number), low, number), low, high)
    if not low <= float(value) <= high:
        wanted = f"between {low:g} and {high:g}" if np.isfinite(high) else f"at least {low:g}"
        raise ValueError(f"{name} must be {wanted}, got {value}")
    return jnp.asarray(value, scores.dtype)


def anomalies_of(labels: ArrayLike, n: int) -> Array:
    """(n,) bool from 0 and 1; raises without an anomaly, except under ``jit``."""
    labels = checks.labels(labels, n)
    if checks.is_concrete(labels) and not np.asarray(labels).any():
        raise ValueError("labels hold no anomaly: at least one is needed to choose a threshold")
    return on_device(labels, bool)
