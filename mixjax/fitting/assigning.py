"""What a start gives: the assignment of each row."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from .. import checks
from ..families.family import Family
from ..mixture.assignment import Assignment, Labels, Shares
from ..programs import jit, on_device
from ..rows.blocks import Rows, Table
from ..rows.host_table import HostTable
from ..rows.origin import near, near_on_host
from ..rows.scaling import Scaling, standardized
from ..rows.subsample import seed_of
from .lloyd import nearest_centers


@functools.partial(jit, static_argnums=3)
def drawn_shares(key: Array, x: Array, weights: Array | None, k: int) -> Array:
    """Random responsibilities (N, K) of the rows x (N, D)."""
    drawn = jax.random.exponential(key, (x.shape[0], k), x.dtype)
    if weights is not None:
        # The n-th row of positive weight takes the n-th draw.
        drawn = drawn[jnp.maximum(jnp.cumsum(weights > 0) - 1, 0)]
    return drawn / jnp.sum(drawn, axis=1, keepdims=True)


def assignment_of(
    start: Any,
    key: Array,
    x: Array,
    k: int,
    weights: Array | None,
    rows: Rows,
    family: type[Family],
) -> Assignment:
    """What a start gives for a table (N, D) whose scaled rows are there already."""
    if not hasattr(start, "centers"):
        return Shares(start(key, family.values_for_start(x), k, weights))
    own = family.start_is_in_scale()
    rows = family.rows_for_start(Table.of(x, weights, k), rows)
    centers = start.centers(seed_of(key), rows, k)
    labels = nearest_centers(centers, rows, x.shape[0])
    return Labels(labels, centers if own else None)


def host_assignment_of(start: Any, key: Array, rows: Rows, n_rows: int, k: int) -> Labels:
    """The same for a start made of centers, on the host, of rows with scaled columns."""
    centers = start.centers(seed_of(key, np), rows, k)
    return Labels(nearest_centers(centers, rows, n_rows), centers)


def hard_assignment(start: Any, key: Array, x: Any, n_components: int, weights: Any) -> Array:
    """The boolean responsibilities (N, K) of a start that is made of centers."""
    if checks.on_host(key, x, weights, start):
        return _hard_on_host(start, key, x, n_components, weights)
    table, row_weights, n_components = checked(key, x, n_components, weights)
    return assigned(key, table, row_weights, start, n_components)


def _hard_on_host(start: Any, key: Array, x: Any, n_components: int, weights: Any) -> Array:
    checks.key(key)
    rows, _ = near_on_host(checks.rows(x))
    k = checks.n_components(n_components, len(rows))
    row_weights = checks.row_weights(weights, rows)
    with np.errstate(all="ignore"):
        table = HostTable.of(rows, None if row_weights is None else np.asarray(row_weights), k)
        scaled, _ = standardized(table, Scaling.COLUMNS)
        labels = host_assignment_of(start, key, scaled, len(rows), k).labels
    return on_device(labels[: len(rows), None] == np.arange(k)[None])


@functools.partial(jit, static_argnums=4)
def assigned(key: Array, x: Array, weights: Array | None, start: Any, k: int) -> Array:
    rows, _ = standardized(Table.of(x, weights, k), Scaling.COLUMNS)
    labels = nearest_centers(start.centers(seed_of(key), rows, k), rows, x.shape[0])
    return labels[:, None] == jnp.arange(k, dtype=jnp.int32)[None]


def checked(
    key: Array, x: ArrayLike, n_components: int, weights: ArrayLike | None
) -> tuple[Array, Array | None, int]:
    """The table, the weights and the number of components, if they are valid."""
    checks.key(key)
    rows, _ = near(checks.rows(x))
    n_components = checks.n_components(n_components, rows.shape[0])
    return rows, checks.row_weights(weights, rows), n_components
