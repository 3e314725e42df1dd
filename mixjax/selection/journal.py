"""Finished fits of a long search, in a file that is replaced as they become more."""

import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from ..families.family import Family
from ..files import read_checkpoint, write_arrays
from ..fitting.outcome import Fit, skeleton

FORM, VERSION = "mixjax search", 1


class Journal:
    """Arrays of finished fits by the name of their stage and their number.

    Attributes:
      path: the file; None keeps nothing.
      digest: of the rows and options; the file of another search is refused.
    """

    def __init__(self, path: Path | None, digest: str, seconds: float) -> None:
        self.path, self.digest, self.seconds = path, digest, seconds
        self.last, self.lock = time.monotonic(), threading.Lock()
        self.arrays: dict[str, np.ndarray] = {}
        if path is None or not path.exists():
            return
        what = "search (other rows, another key or other options)"
        self.arrays = read_checkpoint(path, FORM, VERSION, {"fit": digest}, what)[1]

    def add(self, name: str, leaves: list[Any]) -> None:
        """Keep the arrays of a fit, and write all if that was long ago."""
        if self.path is None:
            return
        with self.lock:
            for i, leaf in enumerate(leaves):
                self.arrays[f"{name}/{i}"] = np.asarray(leaf)
            due = time.monotonic() - self.last >= self.seconds
        if due:
            self.write()

    def write(self) -> None:
        """Replace the file."""
        if self.path is None or not self.arrays:
            return
        with self.lock:
            header = {"format": FORM, "version": VERSION, "fit": self.digest}
            write_arrays(self.path, header, self.arrays)
            self.last = time.monotonic()

    def leaves(self, name: str) -> list[np.ndarray]:
        """The arrays of a fit; none if it is not finished."""
        found: list[np.ndarray] = []
        while f"{name}/{len(found)}" in self.arrays:
            found.append(self.arrays[f"{name}/{len(found)}"])
        return found


class Stage(NamedTuple):
    """The part of a journal for fits that run together."""

    journal: Journal
    name: str

    def add(self, i: int, fit: Fit, energies: list[np.ndarray]) -> None:
        """Keep the i-th fit, and what comes with it."""
        self.journal.add(f"{self.name}/{i}", [*jax.tree.leaves(fit), *energies])

    def known(
        self, i: int, family: type[Family], k: int, width: int, dtype: Any
    ) -> tuple[Fit, list[np.ndarray]] | None:
        """The i-th fit and what comes with it, or None if it is not finished.

        Args:
          i: its number.
          family: what was fitted.
          k: the number of components.
          width: the number of columns of the table.
          dtype: its dtype.
        """
        leaves = self.journal.leaves(f"{self.name}/{i}")
        if not leaves:
            return None
        shapes_of = skeleton(lambda: family.standard(k, width, dtype).released())
        own, structure = jax.tree.flatten(shapes_of)
        shapes = [leaf.shape for leaf in leaves[: len(own)]]
        if shapes != [leaf.shape for leaf in own]:
            raise ValueError(f"the checkpoint has arrays of other shapes for {self.name}/{i}")
        return jax.tree.unflatten(structure, leaves[: len(own)]), leaves[len(own) :]
