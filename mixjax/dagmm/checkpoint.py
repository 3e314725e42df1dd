"""The checkpoint file of an unfinished training."""

import dataclasses
from pathlib import Path
from typing import Any, Self

from ..files import FilePath, digest_of, filled, named, read_checkpoint, write_arrays
from ..files.validity import require_finite
from .losses import Terms

VERSION = 1


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """The file of an unfinished training, and a digest that identifies the training."""

    path: Path
    digest: str

    @classmethod
    def of(cls, path: FilePath, identity: Any) -> Self:
        """The checkpoint of a training identified by key, model, data and options."""
        return cls(Path(path), digest_of("", identity))

    def write(self, run: Any, done: tuple[Terms, ...]) -> None:
        """Write the state after these epochs, atomically."""
        header = {"format": "mixjax.dagmm checkpoint", "version": VERSION, "digest": self.digest}
        write_arrays(self.path, {**header, "epochs": len(done)}, named((run, done)))

    def read(self, begun: Any) -> tuple[Any, tuple[Terms, ...]]:
        """The state to resume from: that of the file, or ``begun`` if there is no file."""
        if not self.path.exists():
            return begun, ()
        header, arrays = read_checkpoint(
            self.path, "mixjax.dagmm checkpoint", VERSION, {"digest": self.digest},
            "training (another key, model, table, labels, objective, inputs, batch_size or form "
            "of the optimizer's state)",
        )  # fmt: skip
        epochs = header.get("epochs")
        if type(epochs) is not int or not 0 <= epochs <= len(arrays):
            raise ValueError(f"{self.path.name}: its number of epochs is {epochs!r}")
        terms = Terms(*(begun.diverged.astype(begun.model.dtype) for _ in Terms._fields))
        run, done = filled((begun, (terms,) * epochs), arrays, self.path.name)
        # The model is the last good one, even if the run diverged.
        require_finite(run.model, f"{self.path.name}: model")
        return run, done
