"""The queue of fits for the workers."""

import dataclasses
import functools
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .. import checks
from ..files import FilePath, check_outputs
from ..fitting.outcome import Fit
from ..fitting.recipe import Recipe
from ..mixture.mixture import Mixture
from ..programs import jit, on_device
from ..progress import progress_bar
from ..rows.origin import placed
from ..rows.scaling import Scaling
from ..workers import as_here, n_cores
from .checkpoint import BatchCheckpoint
from .lanes import Pool, pool_shape
from .table_set import TableSet


class Queue:
    """The waiting lanes and the finished fits; shared by the workers."""

    def __init__(
        self, key: Array, tables: TableSet, n_init: int, file: BatchCheckpoint | None = None
    ) -> None:
        self.key, self.tables, self.n_init, self.file = key, tables, n_init, file
        self.waiting: list[int] = []
        self.length = 0
        self.n_done = 0
        self.leaves: list[np.ndarray] | None = None
        self.structure: Any = None
        self.rank = np.full((len(tables), 2), np.inf)
        self.finished = np.zeros(len(tables) * n_init, bool)
        self.lock = threading.Lock()
        if file is not None and (saved := file.read(len(tables), len(self.finished))) is not None:
            self.leaves, self.rank, self.finished = saved
            self.structure = jax.tree.structure(file.skeleton)
            self.n_done = int(self.finished.sum())

    def write(self) -> None:
        """Write the checkpoint, if there is one and a fit is finished."""
        with self.lock:
            if self.file is not None and self.leaves is not None:
                self.file.write(self.leaves, self.rank, self.finished)

    def open(self, numbers: np.ndarray, length: int) -> None:
        """Give these tables to the workers, padded to ``length``."""
        lanes = (numbers[:, None] * self.n_init + np.arange(self.n_init)).reshape(-1)
        lanes = lanes[~self.finished[lanes]]
        self.waiting, self.length = lanes[::-1].tolist(), length

    def take(self, n: int) -> tuple[np.ndarray, Array, np.ndarray, np.ndarray] | None:
        """Up to n waiting lanes, padded to n with copies of the first one."""
        with self.lock:
            lanes = np.array([self.waiting.pop() for _ in range(min(n, len(self.waiting)))])
        if len(lanes) == 0:
            return None
        padded = np.concatenate([lanes, np.repeat(lanes[:1], n - len(lanes))])
        x, weights = self.tables.padded(padded // self.n_init, self.length)
        keys = _keys(self.key, padded // self.n_init, padded % self.n_init, self.n_init)
        return lanes, keys, x, weights

    def put(self, lanes: np.ndarray, fits: Fit) -> None:
        """Keep each of these fits if it is the first or the best of its table."""
        leaves, structure = jax.tree.flatten(fits)
        energy = np.where(fits.failed, np.inf, fits.energy)
        with self.lock:
            if self.leaves is None:
                size = (len(self.tables),)
                self.leaves = [np.zeros(size + leaf.shape[1:], leaf.dtype) for leaf in leaves]
                self.structure = structure
            for i, lane in enumerate(lanes):
                table, attempt = divmod(int(lane), self.n_init)
                rank = (energy[i], attempt)
                if self.n_init > 1 and rank > tuple(self.rank[table]):
                    continue
                self.rank[table] = rank
                for all_, own in zip(self.leaves, leaves, strict=True):
                    all_[table] = own[i]
            self.finished[lanes] = True
            self.n_done += len(lanes)
            due = self.file is not None and self.file.due
        if due:
            self.write()

    def fits(self) -> Fit:
        return jax.tree.unflatten(self.structure, [on_device(leaf) for leaf in self.leaves or []])


@functools.partial(jit, static_argnums=3)
def _keys(key: Array, tables: Array, attempts: Array, n_init: int) -> Array:
    """The keys of the starts in ``fit(fold_in(key, table), ..., n_init=n_init)``."""

    def one(table: Array, attempt: Array) -> Array:
        own = jax.random.fold_in(key, table)
        return own if n_init == 1 else jax.random.split(own, n_init)[attempt]

    return jax.vmap(one)(tables, attempts)


def fit_tables(
    key: Array,
    tables: TableSet,
    recipe: Recipe,
    batch_size: int | None,
    progress: bool,
    checkpoint: FilePath | None,
    checkpoint_seconds: float,
) -> Fit:
    """The fits of all tables, with a leading axis."""
    if not all(checks.is_concrete(value) for value in (key, recipe.tol, recipe.max_iter)):
        raise TypeError(checks.HOST_ONLY.format("fit_batch", "jax.vmap(mixjax.fit)"))
    checks.key(key)
    if batch_size is not None:
        batch_size = checks.count(batch_size, "batch_size")
    # A start of the user gets the original rows, not rows relative to an origin.
    if recipe.family.scaling is Scaling.NONE or not recipe.start.relative:
        tables = dataclasses.replace(tables, origin=None)
    file = None
    if checkpoint is not None:
        check_outputs({"checkpoint": checkpoint})
        file = BatchCheckpoint(Path(checkpoint), key, tables, recipe, checkpoint_seconds)
    work = Queue(key, tables, recipe.n_init, file)
    one = dataclasses.replace(
        recipe,
        solver=jax.tree.map(jnp.asarray, recipe.solver),
        tol=jnp.asarray(recipe.tol, tables.dtype),
        max_iter=jnp.asarray(recipe.max_iter, jnp.int32),
        n_init=1,  # the queue holds a lane for each start
    )
    total = len(tables) * recipe.n_init
    with progress_bar("fitting", "fit", total, 0, progress) as show:
        try:
            for numbers, length in tables.by_length(recipe.n_components):
                work.open(numbers, length)
                _run(work, one, batch_size, lambda: show(work.n_done, ""))
        finally:
            # Also if a person interrupts it.
            work.write()
    fits = work.fits()
    mixture = fits.mixture
    mixture = Mixture(mixture.log_weights, mixture.components.released())
    return dataclasses.replace(fits, mixture=placed(mixture, tables.origin))


def _run(work: Queue, recipe: Recipe, batch_size: int | None, report: Any) -> None:
    """Fit all waiting lanes, with one worker for each device, or for each core of one device."""
    n_lanes = len(work.waiting)
    if n_lanes == 0:
        return
    width = work.tables.width
    width *= recipe.family.bulk(width)
    shape = pool_shape(n_lanes, work.length * width, batch_size)
    devices = jax.local_devices()
    if devices[0].platform == "cpu" and len(devices) == 1:
        # A program for small tables keeps one core busy.
        devices = devices * n_cores()
    devices = devices[: max(1, -(-n_lanes // shape[1]))]
    size = n_lanes * work.length * width * recipe.n_components
    pools = [Pool(work, device, shape, recipe, size) for device in devices]
    if pools[0].step():  # compiles for the others
        report()
    else:
        return
    stop = threading.Event()

    def serve(pool: Pool) -> None:
        while not stop.is_set() and pool.step():
            report()

    with ThreadPoolExecutor(len(pools)) as threads:
        try:
            for job in [threads.submit(as_here(serve), pool) for pool in pools]:
                job.result()
        finally:
            stop.set()
