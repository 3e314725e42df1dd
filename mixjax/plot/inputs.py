"""Checks of arguments for the pictures; numbers become float64 NumPy arrays."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .. import checks
from ..mixture.mixture import Mixture, require_one
from ..rows.frames import rows_of


def mixture_of(value: Any) -> Mixture:
    """A single mixture with known parameters and without NaN."""
    require_one(value)
    leaves = jax.tree.leaves(value)
    if not all(checks.is_concrete(leaf) for leaf in leaves):
        raise TypeError(checks.HOST_ONLY.format("mixjax.plot", "what the fit returned"))
    if any(np.isnan(np.asarray(leaf)).any() for leaf in leaves):
        raise ValueError("mixture holds NaN: mixjax.check(fit) says what went wrong")
    return jax.tree.map(jnp.asarray, value)


def numbers_of(values: Any, name: str, n_axes: int = 1) -> np.ndarray:
    """Real numbers with ``n_axes`` axes, not empty."""
    if not checks.is_concrete(values):
        raise TypeError(checks.HOST_ONLY.format("mixjax.plot", "what the function returned"))
    values = np.asarray(rows_of(values, name)[0])
    if values.ndim != n_axes or values.size == 0:
        wanted = {1: "(n,)", 2: "(rows, columns)"}[n_axes]
        raise ValueError(f"{name} must have shape {wanted} and not be empty, got {values.shape}")
    return values.astype(np.float64)


def no_nan(values: np.ndarray, name: str) -> np.ndarray:
    """The same numbers (n,); raises if one is NaN."""
    if np.isnan(values).any():
        first = int(np.argmax(np.isnan(values)))
        raise ValueError(f"{name} hold NaN, the first at position {first}: drop such entries")
    return values


def table_of(x: Any, mixture: Mixture) -> np.ndarray:
    """A finite table with the columns of the mixture."""
    x = numbers_of(x, "x", 2)
    checks.width(x, mixture.n_features)
    checks.finite_rows(x)
    return x


def columns_of(columns: Any, n_features: int, n_wanted: int | None = None) -> list[int]:
    """Distinct column numbers from 0; negative ones count from the end."""
    if n_wanted is not None and n_features < n_wanted:
        raise ValueError(
            f"this picture needs {n_wanted} columns, but the mixture has {n_features}: "
            "mixjax.plot.pairs draws any number"
        )
    found: list[int] = checks.columns(columns, n_features, n_wanted).tolist()
    return found


def two_columns(
    mixture: Any, columns: Any, names: Sequence[str] | None
) -> tuple[Mixture, list[int], dict[str, str]]:
    """The mixture, two of its columns, and the labels of the axes for `Axes.set`."""
    mixture = mixture_of(mixture)
    pair = columns_of(columns, mixture.n_features, 2)
    names = names_of(names, mixture.n_features)
    return mixture, pair, {"xlabel": names[pair[0]], "ylabel": names[pair[1]]}


def names_of(names: Sequence[str] | None, n_features: int) -> list[str]:
    """A name for each column; dollar signs are escaped, so matplotlib sees no formulas."""
    if names is None:
        return [f"column {d}" for d in range(n_features)]
    if isinstance(names, str) or len(names) != n_features:
        raise ValueError(f"names must be a list of {n_features} names, got {names!r}")
    return [str(name).replace("$", r"\$") for name in names]


def flags_of(is_anomaly: Any, n_rows: int) -> np.ndarray:
    """(N,) bool from True and False, or 1 and 0."""
    return np.asarray(checks.labels(is_anomaly, n_rows, "is_anomaly")).astype(bool)
