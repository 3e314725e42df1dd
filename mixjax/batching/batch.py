"""Thousands of fits: tables of any lengths, in any number, on all local devices."""

from collections.abc import Sequence

import numpy as np
from jax import Array
from jax.typing import ArrayLike

from ..families.family import Family
from ..families.gaussian import Gaussian
from ..fitting.em import EM
from ..fitting.outcome import Fit
from ..fitting.solver import Solver
from ..fitting.starts import KMeans, Start
from .queue import fit_all
from .table_set import grouped, listed


def fit_batch(
    key: Array,
    xs: ArrayLike | Sequence[ArrayLike],
    n_components: int,
    *,
    family: type[Family] = Gaussian,
    weights: ArrayLike | Sequence[ArrayLike] | None = None,
    start: Start = KMeans(),  # noqa: B008 - frozen
    n_init: int = 1,
    solver: Solver = EM(),  # noqa: B008 - frozen
    tol: float = 1e-3,
    max_iter: int = 100,
    batch_size: int | None = None,
    progress: bool = False,
) -> Fit:
    r"""Fit a mixture to each of many tables: lane i is ``fit(fold_in(key, i), xs[i], ...)``.

    It runs on the host and spreads over the cores or the local devices. Lanes leave when
    they have converged and others take their places, so that a slow one keeps nobody
    waiting, and only ``batch_size`` of them are held at a time. A lane depends on its
    table, its number and the key, and on nothing else.

    The cores are used by threads. Processes of your own must be started by spawn or
    forkserver (``multiprocessing.get_context("spawn")``): one that is forked after JAX was
    used may hang, whatever it calls.

    Args:
      key: a typed random key.
      xs: (B, N, D) tables, or a sequence of B tables (N_i, D) of different lengths; all
        float32 or all float64. A table may be empty.
      n_components: K, a Python int.
      family: the class of the components.
      weights: (B, N), or a sequence of (N_i,): the weight of each row.
      start: (key, x, K, weights) -> responsibilities (N, K).
      n_init: starts a table; the fit of the lowest energy is kept.
      solver: `EM`, `Gradient` or one of your own.
      tol: the change of the mean energy, in nats, below which a fit has converged.
      max_iter: the largest number of iterations.
      batch_size: fits held at a time by a worker; None chooses by the size of the tables.
      progress: whether to show a progress bar (needs rich).

    Returns:
      The fits, with a leading axis of B, in the order given; ``fits[i]`` is one of them.
      A lane that went wrong says so in its ``status`` and disturbs no other: NaN or
      infinity is `Status.NONFINITE`, fewer rows than components `Status.TOO_FEW_ROWS`.

    Raises:
      TypeError: tables that are not floating; a call under ``jit`` or ``vmap``.
      ValueError: tables of different widths (the first is named), wrong shapes or options.

    Example:
      >>> import jax, mixjax
      >>> key = jax.random.key(0)
      >>> xs = [jax.random.normal(jax.random.key(i), (20 + i, 2)) for i in range(3)]
      >>> fits = mixjax.fit_batch(key, xs, 2)
      >>> fits.mixture.components.means.shape, fits[1].mixture.n_components
      ((3, 2, 2), 2)

    Source: Dempster, Laird and Rubin (1977), section 2, for each table.
    """
    tables = listed(xs, weights)
    return fit_all(
        key, tables, n_components, family, start, n_init, solver, tol, max_iter,
        batch_size, progress,
    )  # fmt: skip


def fit_groups(
    key: Array,
    x: ArrayLike,
    groups: ArrayLike,
    n_components: int,
    *,
    family: type[Family] = Gaussian,
    weights: ArrayLike | None = None,
    start: Start = KMeans(),  # noqa: B008 - frozen
    n_init: int = 1,
    solver: Solver = EM(),  # noqa: B008 - frozen
    tol: float = 1e-3,
    max_iter: int = 100,
    batch_size: int | None = None,
    progress: bool = False,
) -> tuple[np.ndarray, Fit]:
    """Fit a mixture to each group of rows of one long table.

    Args:
      key: a typed random key.
      x: (N, D) rows, float32 or float64.
      groups: (N,) the group of each row: numbers, texts or dates.
      n_components: K, a Python int.
      family: the class of the components.
      weights: (N,) weight of each row.
      start: (key, x, K, weights) -> responsibilities (N, K).
      n_init: starts a group; the fit of the lowest energy is kept.
      solver: `EM`, `Gradient` or one of your own.
      tol: the change of the mean energy, in nats, below which a fit has converged.
      max_iter: the largest number of iterations.
      batch_size: fits held at a time by a worker; None chooses by the size of the tables.
      progress: whether to show a progress bar (needs rich).

    Returns:
      The groups (G,), sorted, and the fits with a leading axis of G; see `fit_batch`.

    Raises:
      TypeError, ValueError: as `fit_batch`; group keys of another length than x.

    Example:
      >>> import jax, numpy as np, mixjax
      >>> x = np.random.default_rng(0).normal(size=(60, 2)).astype("float32")
      >>> sensors = np.repeat(["a", "b", "c"], 20)
      >>> names, fits = mixjax.fit_groups(jax.random.key(0), x, sensors, 2)
      >>> names.tolist(), len(fits)
      (['a', 'b', 'c'], 3)

    Source: Dempster, Laird and Rubin (1977), section 2, for each group.
    """
    names, tables = grouped(x, groups, weights)
    fits = fit_all(
        key, tables, n_components, family, start, n_init, solver, tol, max_iter,
        batch_size, progress,
    )  # fmt: skip
    return names, fits
