"""The file of an unfinished stream fit: one for each process that works on it."""

import time
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ..files import filled, named, read_arrays, write_arrays
from ..files.validity import require_mixture
from ..fitting.solver import RUNNING
from .processes import Team

FORM, VERSION = "mixjax stream", 2


class Saved(NamedTuple):
    """What is kept of a fit.

    Attributes:
      common: what is the same in all processes: the iterations done and the next mixture.
      n_iter: how many iterations these are.
      own: sums over the rows of this process in the iteration under way.
    """

    common: Any
    n_iter: int
    own: Any


class Checkpoint:
    """Where a process keeps its part.

    Attributes:
      path: the file: that which was asked for, and with a number for further processes.
      fit: the digest of what is fitted; of another fit nothing can be taken.
      rows: the digest of this process's rows; sums over other rows are of no use.
    """

    def __init__(self, path: Path, fit: str, rows: str, seconds: float, team: Team) -> None:
        self.path = self.path_of(path, team)
        self.fit, self.rows, self.seconds, self.team = fit, rows, seconds, team
        self.last = time.monotonic()

    @staticmethod
    def path_of(path: Path, team: Team) -> Path:
        """The file of this process."""
        return path.with_name(f"{path.name}.{team.rank}") if team.rank else path

    def resumed(self, begun: Saved) -> Saved:
        """What to go on from: what most iterations were done for, else what is given.

        A process may have died before it wrote that an iteration was done, or have lost
        its file, or rows may have been dealt anew: it then takes what is common from
        one that knows more, and begins its part of the iteration again.
        """
        with self.team.raise_on_all():
            found, same_rows = self._read(begun)
        known = self.team.all_gather(np.int32(found.n_iter)).tolist()
        leader = int(np.argmax(known))
        if min(known) < known[leader]:
            common = jax.tree.map(lambda leaf: self.team.all_gather(leaf)[leader], found.common)
            found = Saved(jax.tree.map(jnp.asarray, common), found.n_iter, found.own)
        useful = same_rows and found.n_iter == known[leader]
        return Saved(found.common, known[leader], found.own if useful else begun.own)

    def write(self, saved: Saved) -> None:
        header = {"format": FORM, "version": VERSION, "fit": self.fit, "rows": self.rows}
        write_arrays(
            self.path, {**header, "n_iter": saved.n_iter}, named((saved.common, saved.own))
        )
        self.last = time.monotonic()

    @property
    def due(self) -> bool:
        return time.monotonic() - self.last >= self.seconds

    def _read(self, begun: Saved) -> tuple[Saved, bool]:
        if not self.path.exists():
            return begun, True
        header, arrays = read_arrays(self.path, FORM, VERSION)
        if header.get("fit") != self.fit:
            raise ValueError(
                f"{self.path.name} is the checkpoint of another fit (another key, stream, number "
                "of components, family, start or solver): give this one a file of its own, or "
                "delete that one"
            )
        n_iter, same_rows = header.get("n_iter"), header.get("rows") == self.rows
        if not same_rows:  # sums of other devices and blocks, which may be of another shape
            common = {name: leaf for name, leaf in arrays.items() if name.startswith("[0]")}
            arrays = {**named((begun.common, begun.own)), **common}
        common, own = filled((begun.common, begun.own), arrays, self.path.name)
        progress, candidate = common
        if type(n_iter) is not int or n_iter != int(progress.n_iter) or n_iter < -1:
            raise ValueError(f"{self.path.name}: its n_iter is {n_iter!r}, not {progress.n_iter}")
        if progress.status == RUNNING:  # a fit that failed may hold anything
            require_mixture(progress.state.mixture, f"{self.path.name}: mixture")
            require_mixture(candidate, f"{self.path.name}: candidate")
        return Saved(common, n_iter, own), same_rows
