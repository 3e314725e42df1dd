"""The checkpoint files of an unfinished stream fit, one for each process."""

import time
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ..files import filled, named, read_checkpoint, write_arrays
from ..files.validity import require_mixture
from ..fitting.solver import RUNNING
from ..mixture.mixture import Mixture
from .processes import Team

FORM, VERSION = "mixjax stream", 2


class Saved(NamedTuple):
    """What a checkpoint keeps.

    Attributes:
      common: the part that is equal in all processes: the progress and the next mixture.
      n_iter: the number of finished iterations.
      own: sums over the rows of this process in the current iteration.
    """

    common: Any
    n_iter: int
    own: Any


class Checkpoint:
    """The checkpoint of one process.

    Attributes:
      path: the file; all processes but the first add their number to the name.
      fit: digest of the fit; the checkpoint of another fit is refused.
      rows: digest of the rows of this process; sums over other rows are discarded.
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
        """The most advanced state among all processes, or ``begun`` if there is none.

        A process may have died before it recorded an iteration, or have lost its file, or the
        rows may be divided differently. It then takes the common part from a process that is
        further, and starts its part of the current iteration again.
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
        header, arrays = read_checkpoint(
            self.path, FORM, VERSION, {"fit": self.fit},
            "fit (another key, stream, number of components, family, start or solver)",
        )  # fmt: skip
        n_iter, same_rows = header.get("n_iter"), header.get("rows") == self.rows
        if not same_rows:  # sums over other blocks and devices may have other shapes
            common = {name: leaf for name, leaf in arrays.items() if name.startswith("[0]")}
            arrays = {**named((begun.common, begun.own)), **common}
        common, own = filled((begun.common, begun.own), arrays, self.path.name)
        progress, candidate = common
        if type(n_iter) is not int or n_iter != int(progress.n_iter) or n_iter < -1:
            raise ValueError(f"{self.path.name}: its n_iter is {n_iter!r}, not {progress.n_iter}")
        if progress.status == RUNNING:  # a failed fit may hold any values
            for name, mixture in (("mixture", progress.state.mixture), ("candidate", candidate)):
                released = Mixture(mixture.log_weights, mixture.components.released())
                require_mixture(released, f"{self.path.name}: {name}")
        return Saved(common, n_iter, own), same_rows
