"""Repeats in a table: copies of rows, and rounded values."""

import numpy as np

# At most this many rows are used to find the spacing of the values.
MOST_ROWS = 2**16
# Below this share of repeated values in a column, the repeats are chance.
BY_CHANCE = 0.05
# A row whose copies are more than one in this many rows does not fit into one fold.
MOST_PARTS = 5
# The variance of the error of rounding to steps of 1.
ROUNDING = 1 / 12


def copies(x: np.ndarray) -> np.ndarray:
    """(N,) a number for each distinct row, in order of first copy: 0, 1, 2, ... if all differ."""
    n = len(x)
    if len(np.unique(x[:, 0])) == n:
        return np.arange(n)
    # By a 64-bit hash of each row: sorting whole rows takes twenty times as long.
    bits = np.ascontiguousarray(x + 0.0).view(f"u{x.dtype.itemsize}")
    mixed = np.zeros(n, np.uint64)
    for column in bits.T:
        mixed = (mixed ^ column.astype(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
    _, first, group = np.unique(mixed, return_index=True, return_inverse=True)
    rank = np.empty(len(first), int)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[group]


def fold_of_rows(
    rng: np.random.Generator, present: np.ndarray, n_folds: int, copy_of: np.ndarray
) -> np.ndarray:
    """The fold (N,) of each row, drawn evenly among the present rows; -1 for absent ones.

    Copies of a row share a fold, so that no row is judged by a mixture fitted to its copy. A row
    whose copies fill a large part of the table is assigned one copy at a time. A fold may be empty.
    """
    fold = np.full(len(present), -1)
    rows = np.flatnonzero(present)
    group = copy_of[rows]
    many = np.bincount(group)[group] > len(rows) // min(n_folds, MOST_PARTS)
    # Numbered by the position of the first copy, as if each were one row.
    own = np.where(many, len(present) + np.arange(len(rows)), group)
    _, first, group = np.unique(own, return_index=True, return_inverse=True)
    places = np.argsort(first)
    of_group = np.empty(len(first), int)
    of_group[places[rng.permutation(len(first))]] = np.arange(len(first)) % n_folds
    fold[rows] = of_group[group]
    return fold


def steps(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The step (D,) to which the values of each column of x (N, D) are rounded.

    It is the median spacing of the values that occur more than once. It is 0 for a column with
    few repeated values, or with a single value.
    """
    if len(x) > MOST_ROWS:
        x = x[rng.permutation(len(x))[:MOST_ROWS]]
    return np.array([_step(column[~np.isnan(column)]) for column in x.T])


def hidden(x: np.ndarray, step: np.ndarray) -> np.ndarray:
    r"""$s^2/12$, the variance of rounding to steps s (D,), as shares (D,) of the variances.

    At most 1: a nearly constant column may vary less than the rounding error.
    """
    rounded = step > 0
    # In units of steps, so that no square leaves the range of floats.
    away = np.where(rounded, x.astype(np.float64) - np.nanmin(x, axis=0), 0)
    spread = np.nanvar(away / np.where(rounded, step, 1), axis=0)
    return np.where(rounded, np.minimum(ROUNDING / np.where(rounded, spread, 1), 1), 0)


def dithered(x: np.ndarray, step: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """x (N, D) plus uniform noise within half a step (D,): possible values before rounding.

    A density fitted to repeated values is unbounded; one fitted to dithered values is not. Where
    the step is 0 the rows are unchanged.

    Source: Theis, van den Oord and Bethge, A Note on the Evaluation of Generative Models
    (2016), section 3.1.
    """
    within = rng.uniform(-0.5, 0.5, x.shape) * step
    return np.where(step > 0, x + within, x).astype(x.dtype)


def _step(column: np.ndarray) -> float:
    values, counts = np.unique(column, return_counts=True)
    # 0.1 + 0.2 differs from 0.3 in the last digit, but counts as the same value.
    new = np.diff(values, prepend=-np.inf) > 4 * np.spacing(np.abs(values))
    values, counts = values[new].astype(np.float64), np.add.reduceat(counts, np.flatnonzero(new))
    if len(values) < 2 or len(column) - len(values) < BY_CHANCE * len(column):
        return 0.0
    gaps = np.diff(values)
    nearest = np.minimum(np.append(gaps, np.inf), np.insert(gaps, 0, np.inf))
    order = np.argsort(nearest)
    weight = np.cumsum(counts[order] - 1)
    return float(nearest[order][np.searchsorted(weight, 0.5 * weight[-1])])
