"""What all thresholds ask of their arguments."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from .. import checks
from ..frames import rows_of, values_of


def scores_of(values: Any, name: str = "scores") -> Array:
    """Floats of one axis, at least one, none of them NaN."""
    values, _ = rows_of(values, name)
    if values.dtype not in (np.float32, np.float64):
        raise TypeError(f"{name} must be float32 or float64 numbers, got {values.dtype}")
    if values.ndim != 1 or values.size == 0:
        raise ValueError(f"{name} must have shape (rows,) with a row, got {values.shape}")
    if checks.is_concrete(values) and np.isnan(np.asarray(values)).any():
        first = int(np.argmax(np.isnan(np.asarray(values))))
        raise ValueError(f"{name} hold NaN, the first in row {first}: leave such rows out")
    return jnp.asarray(values)


def between(value: Any, low: float, high: float, name: str, scores: Array) -> Array:
    """One number in a range, as a float like the scores."""
    if np.ndim(value) != 0:
        raise ValueError(f"{name} must be one number, got shape {np.shape(value)}")
    if checks.is_concrete(value) and not low <= float(value) <= high:
        wanted = f"between {low:g} and {high:g}" if np.isfinite(high) else f"at least {low:g}"
        raise ValueError(f"{name} must be {wanted}, got {value}")
    return jnp.asarray(value, scores.dtype)


def anomalies_of(labels: ArrayLike, scores: Array) -> Array:
    """(N,) bool from 0 and 1, with at least one anomaly where that can be seen."""
    flags: Any = values_of(labels, "labels")
    if flags.shape != scores.shape:
        raise ValueError(
            f"labels must have the shape of the scores {scores.shape}, got {flags.shape}"
        )
    if checks.is_concrete(flags):
        found = np.unique(np.asarray(flags))
        if not np.isin(found, [0, 1]).all():
            shown = ", ".join(str(value) for value in found[:5])
            raise ValueError(f"labels must be 1 for anomalies and 0 for normal rows, got {shown}")
        if not found.any():
            raise ValueError("labels hold no anomaly: there is nothing to find a threshold for")
    return jnp.asarray(flags).astype(bool)
