"""Thousands of fits: tables of any lengths, in any number, on all local devices."""

from collections.abc import Sequence

import numpy as np
from jax import Array
from jax.typing import ArrayLike

from ..families.family import Family
from ..families.gaussian import Gaussian
from ..files import FilePath
from ..fitting.em import EM
from ..fitting.outcome import Fit
from ..fitting.recipe import Recipe
from ..fitting.solver import Solver
from ..fitting.starts import KMeans, Start
from .queue import fit_tables
from .table_set import family_for, grouped, listed


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
    checkpoint: FilePath | None = None,
    checkpoint_seconds: float = 60.0,
) -> Fit:
    r"""Fit a mixture to each of many tables: lane i is ``fit(fold_in(key, i), xs[i], ...)``.

    It runs on the host and uses all cores or local devices. Lanes that have converged are
    replaced by waiting ones, so a slow lane does not delay the others, and only
    ``batch_size`` lanes are held at a time. The result of a lane depends only on its table, its
    number and the key.

    Threads use the cores. Start your own processes by spawn or forkserver
    (``multiprocessing.get_context("spawn")``): a process forked after JAX was used may hang.

    Args:
      key: a typed random key.
      xs: (B, N, D) tables, or a sequence of B tables (N_i, D) of different lengths; all
        float32 or all float64. A table may be empty. Tables with missing values or errors are
        `mixjax.Observed`, of (B, N, D) or each.
      n_components: K, a Python int.
      family: the class of the components.
      weights: (B, N), or a sequence of (N_i,) weights of the rows.
      start: (key, x, K, weights) -> responsibilities (N, K).
      n_init: number of starts for each table; the fit of lowest energy is kept.
      solver: `EM`, `Gradient` or your own.
      tol: the change of the mean energy, in nats, below which a fit has converged.
      max_iter: the largest number of iterations.
      batch_size: fits that a worker holds at a time; None chooses by the size of the tables.
      progress: whether to show a progress bar (needs rich).
      checkpoint: a file for the finished fits. If it exists, only the others are fitted. It is
        also written when the call is interrupted.
      checkpoint_seconds: how often it is written.

    Returns:
      The fits, with a leading axis of B, in the order of the tables; ``fits[i]`` is one fit.
      A lane that failed does not affect the others. Its ``status`` is `Status.NONFINITE` for
      NaN or infinity and `Status.TOO_FEW_ROWS` for fewer rows than components.

    Raises:
      TypeError: a table is not floating, or the call is under ``jit`` or ``vmap``.
      ValueError: tables differ in width (the first such table is named), or shapes or options
        are wrong; or the checkpoint is of other tables or options.

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
    recipe = Recipe.checked(
        n_components, family_for(tables, family), start, n_init, solver, tol, max_iter,
        tables.largest,
    )  # fmt: skip
    return fit_tables(key, tables, recipe, batch_size, progress, checkpoint, checkpoint_seconds)


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
    checkpoint: FilePath | None = None,
    checkpoint_seconds: float = 60.0,
) -> tuple[np.ndarray, Fit]:
    """Fit a mixture to each group of rows of one long table.

    Args:
      key: a typed random key.
      x: (N, D) rows, float32 or float64, or `mixjax.Observed` rows.
      groups: (N,) the group of each row: numbers, strings or dates.
      n_components: K, a Python int.
      family: the class of the components.
      weights: (N,) weight of each row.
      start: (key, x, K, weights) -> responsibilities (N, K).
      n_init: number of starts for each group; the fit of lowest energy is kept.
      solver: `EM`, `Gradient` or your own.
      tol: the change of the mean energy, in nats, below which a fit has converged.
      max_iter: the largest number of iterations.
      batch_size: fits that a worker holds at a time; None chooses by the size of the tables.
      progress: whether to show a progress bar (needs rich).
      checkpoint: a file for the finished fits. If it exists, only the others are fitted. It is
        also written when the call is interrupted.
      checkpoint_seconds: how often it is written.

    Returns:
      The groups (G,), sorted, and the fits with a leading axis of G; see `fit_batch`.

    Raises:
      TypeError, ValueError: as `fit_batch`; or groups and x differ in length.

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
    recipe = Recipe.checked(
        n_components, family_for(tables, family), start, n_init, solver, tol, max_iter,
        tables.largest,
    )  # fmt: skip
    return names, fit_tables(
        key, tables, recipe, batch_size, progress, checkpoint, checkpoint_seconds
    )
