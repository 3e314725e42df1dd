"""Thousands of fits: tables of any lengths, in any number, on all local devices."""

import dataclasses
import functools
import operator
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from .. import checks
from ..families.family import Family
from ..families.gaussian import Gaussian
from ..fitting.em import EM
from ..fitting.front_door import check_options
from ..fitting.outcome import Fit
from ..fitting.solver import Solver
from ..fitting.starts import Start, is_known, kmeans
from ..mixture.mixture import Mixture, energy, require, responsibilities
from ..programs import jit, on_device
from ..progress import progress_bar
from ..rows.origin import Origin, origin_of, placed, relative, relative_rows
from ..rows.scaling import Scaling
from ..workers import as_here, n_cores
from .lanes import Model, Pool, pool_shape
from .table_set import TableSet, grouped, listed


def fit_batch(
    key: Array,
    xs: ArrayLike | Sequence[ArrayLike],
    n_components: int,
    *,
    family: type[Family] = Gaussian,
    weights: ArrayLike | Sequence[ArrayLike] | None = None,
    start: Start = kmeans,
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
      max_iter: the most iterations.
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
    return _fit_all(
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
    start: Start = kmeans,
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
      max_iter: the most iterations.
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
    fits = _fit_all(
        key, tables, n_components, family, start, n_init, solver, tol, max_iter,
        batch_size, progress,
    )  # fmt: skip
    return names, fits


def energy_batch(mixtures: Mixture, xs: ArrayLike | Sequence[ArrayLike]) -> Any:
    """`energy` of each table under its own mixture, a few tables at a time.

    Args:
      mixtures: mixtures with a leading axis of B, such as ``fit_batch(...).mixture``.
      xs: (B, N, D) tables, or a sequence of B tables (N_i, D).

    Returns:
      (B, N), or a list of (N_i,), in nats.

    Raises:
      TypeError, ValueError: as `energy`; another number of tables than of mixtures.

    Example:
      >>> import jax, mixjax
      >>> xs = jax.random.normal(jax.random.key(0), (3, 50, 2))
      >>> fits = mixjax.fit_batch(jax.random.key(1), xs, 2)
      >>> mixjax.energy_batch(fits.mixture, xs).shape
      (3, 50)

    Source: Zong et al., Deep Autoencoding Gaussian Mixture Model (2018), equation 6.
    """
    return _each(energy, mixtures, xs)


def responsibilities_batch(mixtures: Mixture, xs: ArrayLike | Sequence[ArrayLike]) -> Any:
    """`responsibilities` of each table under its own mixture, a few tables at a time.

    Args:
      mixtures: mixtures with a leading axis of B, such as ``fit_batch(...).mixture``.
      xs: (B, N, D) tables, or a sequence of B tables (N_i, D).

    Returns:
      (B, N, K), or a list of (N_i, K); rows of sum 1.

    Raises:
      TypeError, ValueError: as `responsibilities`; another number of tables than of
        mixtures.

    Example:
      >>> import jax, mixjax
      >>> xs = jax.random.normal(jax.random.key(0), (3, 50, 2))
      >>> fits = mixjax.fit_batch(jax.random.key(1), xs, 2)
      >>> mixjax.responsibilities_batch(fits.mixture, xs).shape
      (3, 50, 2)

    Source: Bishop, Pattern Recognition and Machine Learning (2006), equation 9.23.
    """
    return _each(responsibilities, mixtures, xs)


class _Work:
    """The lanes that wait, and the fits that are done; shared by the workers."""

    def __init__(self, key: Array, tables: TableSet, n_init: int) -> None:
        self.key, self.tables, self.n_init = key, tables, n_init
        self.waiting: list[int] = []
        self.length = 0
        self.n_done = 0
        self.leaves: list[np.ndarray] | None = None
        self.structure: Any = None
        self.rank = np.full((len(tables), 2), np.inf)
        self.lock = threading.Lock()

    def open(self, numbers: np.ndarray, length: int) -> None:
        """Let the workers have these tables, padded to ``length``."""
        lanes = (numbers[:, None] * self.n_init + np.arange(self.n_init)).reshape(-1)
        self.waiting, self.length = lanes[::-1].tolist(), length

    def take(self, n: int) -> tuple[np.ndarray, Array, np.ndarray, np.ndarray] | None:
        """Up to n lanes that wait, filled up to n with copies of the first one."""
        with self.lock:
            lanes = np.array([self.waiting.pop() for _ in range(min(n, len(self.waiting)))])
        if len(lanes) == 0:
            return None
        padded = np.concatenate([lanes, np.repeat(lanes[:1], n - len(lanes))])
        x, weights = self.tables.padded(padded // self.n_init, self.length)
        keys = _keys(self.key, padded // self.n_init, padded % self.n_init, self.n_init)
        return lanes, keys, x, weights

    def put(self, lanes: np.ndarray, fits: Fit) -> None:
        """Keep these fits (the first of the leading axis), or those that beat what is there."""
        leaves, structure = jax.tree.flatten(fits)
        energy = np.where(fits.failed, np.inf, fits.energy)
        with self.lock:
            if self.leaves is None:
                size = (len(self.tables),)
                self.leaves = [np.empty(size + leaf.shape[1:], leaf.dtype) for leaf in leaves]
                self.structure = structure
            for i, lane in enumerate(lanes):
                table, attempt = divmod(int(lane), self.n_init)
                rank = (energy[i], attempt)
                if self.n_init > 1 and rank > tuple(self.rank[table]):
                    continue
                self.rank[table] = rank
                for all_, own in zip(self.leaves, leaves, strict=True):
                    all_[table] = own[i]
            self.n_done += len(lanes)

    def fits(self) -> Fit:
        return jax.tree.unflatten(self.structure, [on_device(leaf) for leaf in self.leaves or []])


@functools.partial(jit, static_argnums=3)
def _keys(key: Array, tables: Array, attempts: Array, n_init: int) -> Array:
    """The keys that ``fit(fold_in(key, table), ..., n_init=n_init)`` would give its starts."""

    def one(table: Array, attempt: Array) -> Array:
        own = jax.random.fold_in(key, table)
        return own if n_init == 1 else jax.random.split(own, n_init)[attempt]

    return jax.vmap(one)(tables, attempts)


def _fit_all(
    key: Array,
    tables: TableSet,
    n_components: int,
    family: type[Family],
    start: Start,
    n_init: int,
    solver: Any,
    tol: Any,
    max_iter: Any,
    batch_size: int | None,
    progress: bool,
) -> Fit:
    if not (checks.is_concrete(key) and checks.is_concrete(tol) and checks.is_concrete(max_iter)):
        raise TypeError(checks.HOST_ONLY.format("fit_batch", "jax.vmap(mixjax.fit)"))
    checks.key(key)
    longest = int(max(tables.lengths))
    n_components = checks.n_components(n_components, longest)
    n_init = checks.count(n_init, "n_init")
    check_options(start, solver, tables.n_features, tol, max_iter)
    if batch_size is not None:
        batch_size = checks.count(batch_size, "batch_size")
    model = Model(n_components, checks.family(family), start)
    # A start of one's own is shown the rows where they are.
    if family.scaling is Scaling.NONE or not is_known(start):
        tables = tables._replace(origin=None)
    options = (
        jax.tree.map(jnp.asarray, solver),
        jnp.asarray(tol, tables.dtype),
        jnp.asarray(max_iter, jnp.int32),
        model,
    )
    work = _Work(key, tables, n_init)
    total = len(tables) * n_init
    with progress_bar("fitting", "fit", total, 0, progress) as show:
        for numbers, length in tables.by_length(n_components):
            work.open(numbers, length)
            _run(work, options, batch_size, lambda: show(work.n_done, ""))
    fits = work.fits()
    return dataclasses.replace(fits, mixture=placed(fits.mixture, tables.origin))


def _run(work: _Work, options: Any, batch_size: int | None, report: Any) -> None:
    """Fit all that wait, with a worker a device, or a core where there is one device."""
    n_lanes = len(work.waiting)
    shape = pool_shape(n_lanes, work.length * work.tables.n_features, batch_size)
    devices = jax.local_devices()
    if devices[0].platform == "cpu" and len(devices) == 1:
        # A program for small tables keeps one core busy.
        devices = devices * n_cores()
    devices = devices[: max(1, -(-n_lanes // shape[1]))]
    pools = [Pool(work, device, shape, options) for device in devices]
    if pools[0].step():  # compiles for the others
        report()
    else:
        return
    stop = threading.Event()

    def labour(pool: Pool) -> None:
        while not stop.is_set() and pool.step():
            report()

    with ThreadPoolExecutor(len(pools)) as threads:
        try:
            for job in [threads.submit(as_here(labour), pool) for pool in pools]:
                job.result()
        finally:
            stop.set()


def _each(f: Any, mixtures: Mixture, xs: Any) -> Any:
    require(mixtures)
    if jnp.ndim(mixtures.log_weights) != 2:
        raise ValueError(
            "mixtures must have one leading axis, weights of shape (B, K), got "
            f"{jnp.shape(mixtures.log_weights)}: for one mixture use mixjax.energy"
        )
    n_mixtures = mixtures.log_weights.shape[0]
    if len(xs) != n_mixtures:
        raise ValueError(f"there are {n_mixtures} mixtures, but {len(xs)} tables")
    if hasattr(xs, "ndim"):
        if xs.ndim != 3:
            raise ValueError(f"xs must have shape (B, N, D), got {xs.shape}")
        if mixtures.components.scaling is Scaling.NONE or (origin := origin_of(xs)) is None:
            return _mapped(f, mixtures, xs)
        rows = np.stack(
            [relative_rows(x, Origin(*own)) for x, *own in zip(xs, *origin, strict=True)]
        )
        return _mapped(f, relative(mixtures, origin), rows)
    tables = listed(xs, None)
    if mixtures.components.scaling is Scaling.NONE:
        tables = tables._replace(origin=None)
    mixtures = relative(mixtures, tables.origin)
    # On the host, where a slice of every length is no program of its own.
    concrete = all(checks.is_concrete(leaf) for leaf in jax.tree.leaves(mixtures))
    host = np.asarray if concrete else jnp.asarray
    known = jax.tree.map(host, mixtures)
    out: list[Any] = [None] * len(tables)
    for numbers, length in tables.by_length(1):
        x, _ = tables.padded(numbers, length)
        own = jax.tree.map(operator.itemgetter(numbers), known)
        values = host(_mapped(f, own, x))
        for value, number in zip(values, numbers, strict=True):
            out[number] = on_device(value[: tables.lengths[number]])
    return out


@functools.partial(jit, static_argnums=0)
def _mapped(f: Any, mixtures: Mixture, xs: Array) -> Array:
    abreast = min(32, xs.shape[0])
    return jax.lax.map(lambda both: f(*both), (mixtures, xs), batch_size=abreast)
