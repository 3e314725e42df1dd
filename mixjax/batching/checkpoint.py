"""The checkpoint file of many fits: those that are finished."""

import time
from pathlib import Path
from typing import Any

import jax
import numpy as np

from ..files import digest_of, filled, named, read_checkpoint, write_arrays
from ..fitting.outcome import Fit, skeleton
from ..fitting.recipe import Recipe
from ..fitting.starts import name_of_start
from .table_set import TableSet

FORM, VERSION = "mixjax batch", 1


class BatchCheckpoint:
    """The finished fits, in a file that is replaced as they become more.

    The fit of a table depends only on the table, its number and the key, so that a resumed batch
    ends as an uninterrupted one.

    Attributes:
      path: the file.
      digest: of the tables, the key and the recipe; the file of another batch is refused.
    """

    def __init__(
        self, path: Path, key: Any, tables: TableSet, recipe: Recipe, seconds: float
    ) -> None:
        self.path, self.seconds = path, seconds
        self.digest = _digest(key, tables, recipe)
        self.skeleton = _skeleton(tables, recipe)
        self.last = time.monotonic()

    @property
    def due(self) -> bool:
        """Whether the last writing was long ago."""
        return time.monotonic() - self.last >= self.seconds

    def read(self, n_tables: int, n_lanes: int) -> tuple[list[np.ndarray], Any, Any] | None:
        """The leaves of the fits, their ranks and which lanes are finished; None without a file.

        Raises:
          ValueError: the file is damaged, or of another batch.
        """
        if not self.path.exists():
            return None
        _, arrays = read_checkpoint(
            self.path, FORM, VERSION, {"fit": self.digest},
            "batch (other tables, another key, number of components, family, start, solver or "
            "tolerance)",
        )  # fmt: skip
        try:
            rank, finished = arrays.pop("rank"), arrays.pop("finished")
        except KeyError as error:
            raise ValueError(f"{self.path.name} has no {error}") from error
        if rank.shape != (n_tables, 2) or finished.shape != (n_lanes,) or finished.dtype != bool:
            raise ValueError(f"{self.path.name}: rank and finished have other shapes than the fits")
        fits = filled(self.skeleton, arrays, self.path.name, (n_tables,))
        return [np.array(leaf) for leaf in jax.tree.leaves(fits)], rank, finished

    def write(self, leaves: list[np.ndarray], rank: np.ndarray, finished: np.ndarray) -> None:
        """Replace the file."""
        fits = jax.tree.unflatten(jax.tree.structure(self.skeleton), leaves)
        arrays = named(fits) | {"rank": rank, "finished": finished}
        write_arrays(self.path, {"format": FORM, "version": VERSION, "fit": self.digest}, arrays)
        self.last = time.monotonic()


def _skeleton(tables: TableSet, recipe: Recipe) -> Fit:
    """A fit of one table, with shapes for leaves."""

    family, k = recipe.family, recipe.n_components
    return skeleton(lambda: family.standard(k, tables.width, tables.dtype))


def _digest(key: Any, tables: TableSet, recipe: Recipe) -> str:
    start = recipe.start
    name = name_of_start(start)
    text = (
        f"{len(tables)} {tables.dtype} {recipe.family.__name__} {name} {recipe.n_components} "
        f"{recipe.n_init}"
    )
    options = [recipe.solver, recipe.tol, recipe.max_iter, jax.tree.leaves(start)]
    of_tables = [
        digest_of("", [part for part in (*tables.read(i), _noise(tables, i)) if part is not None])
        for i in range(len(tables))
    ]
    return digest_of(text + "".join(of_tables), [key, options])


def _noise(tables: TableSet, i: int) -> Any:
    return None if tables.noise is None else tables.noise(i)
