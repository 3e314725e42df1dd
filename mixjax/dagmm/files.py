"""Trained models and unfinished trainings as files, without pickle."""

import dataclasses
from pathlib import Path
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np

from ..families.known import KNOWN
from ..files import FilePath, check_outputs, digest_of, filled, named, read_arrays, write_arrays
from ..mixture import Mixture
from .autoencoders.autoencoder import Autoencoder
from .autoencoders.quantised import VectorQuantisedAutoencoder
from .autoencoders.variational import VariationalAutoencoder
from .inputs import Inputs
from .loss import Terms
from .model import DAGMM
from .trained import Trained

VERSION = 1
AUTOENCODERS: dict[str, type[Autoencoder]] = {
    kind.__name__: kind
    for kind in (Autoencoder, VariationalAutoencoder, VectorQuantisedAutoencoder)
}


def save(path: FilePath, trained: Trained) -> None:
    """Write a trained model to one file, atomically; NumPy can read its arrays.

    Args:
      path: the file; it is replaced.
      trained: what `train` returned.

    Raises:
      TypeError: something else, or a family or autoencoder of your own.
      FileNotFoundError: the folder does not exist.

    Example:
      >>> import jax, tempfile, pathlib
      >>> from mixjax import dagmm
      >>> x = jax.random.normal(jax.random.key(0), (200, 5))
      >>> model = dagmm.DAGMM(jax.random.key(1), 5)
      >>> trained = dagmm.train(
      ...     jax.random.key(2), model, x, epochs=1, batch_size=50, progress=False)
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     path = pathlib.Path(folder, "model.npz")
      ...     dagmm.save(path, trained)
      ...     again = dagmm.load(path)
      >>> bool((dagmm.score(again, x) == dagmm.score(trained, x)).all())
      True
    """
    if not isinstance(trained, Trained):
        raise TypeError(f"trained must be what dagmm.train returns, got {type(trained).__name__}")
    model, mixture = trained.model, trained.mixture
    for what, value, known in (
        ("family", model.family, KNOWN),
        ("family", type(mixture.components), KNOWN),
        ("autoencoder", type(model.autoencoder), AUTOENCODERS),
    ):
        if known.get(value.__name__) is not value:
            raise TypeError(
                f"dagmm.save knows the {what} {', '.join(known)}, not {value.__name__}: a file "
                "holds no code, so one of your own cannot be read back"
            )
    estimation = model.estimation
    header = {
        "format": "mixjax.dagmm",
        "version": VERSION,
        "model": {
            "n_features": model.n_features,
            "n_components": model.n_components,
            "family": model.family.__name__,
            "estimation": [layer.out_features for layer in estimation.linear[:-1]],
            "dropout": estimation.dropout,
            "dtype": np.dtype(model.dtype).name,
        },
        "autoencoder": {
            "kind": type(model.autoencoder).__name__,
            "options": dataclasses.asdict(model.autoencoder),
        },
        "mixture": {
            "family": type(mixture.components).__name__,
            "n_components": mixture.log_weights.shape[-1],
        },
        "epochs": trained.history.total.shape[-1],
    }
    write_arrays(path, header, named(trained))


def load(path: FilePath) -> Trained:
    """Read what `save` wrote.

    Args:
      path: the file.

    Returns:
      The trained model; its scores are those of the one that was saved, bit for bit.

    Raises:
      ValueError: a file that was cut short, is none of `save`'s, of another version, or
        whose arrays do not have the shapes that its header tells.
      FileNotFoundError: there is no such file.

    Example:
      >>> import tempfile, pathlib
      >>> from mixjax import dagmm
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     path = pathlib.Path(folder, "model.npz")
      ...     _ = path.write_text("something else")
      ...     try:
      ...         dagmm.load(path)
      ...     except ValueError as error:
      ...         print(str(error)[:37])
      model.npz is not a whole mixjax.dagmm
    """
    header, arrays = read_arrays(path, "mixjax.dagmm", VERSION)
    try:
        skeleton = _skeleton(header)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{Path(path).name}: its header does not tell a model: {error}") from error
    lanes = arrays[".status"].shape if ".status" in arrays else ()
    return filled(skeleton, arrays, Path(path).name, lanes)


def _skeleton(header: dict[str, Any]) -> Trained:
    """The shapes of what the header tells."""
    about, mix = dict(header["model"]), header["mixture"]
    kind = AUTOENCODERS[header["autoencoder"]["kind"]]
    autoencoder = kind(**header["autoencoder"]["options"])
    family, dtype = KNOWN[about.pop("family")], about.pop("dtype")
    epochs, k, width = header["epochs"], mix["n_components"], autoencoder.latent + 2

    def make() -> Trained:
        model = DAGMM(
            jax.random.key(0), about.pop("n_features"), autoencoder=autoencoder, family=family,
            dtype=dtype, **about,
        )  # fmt: skip
        zero = jnp.zeros((), dtype)
        components = KNOWN[mix["family"]].reference(k, width, dtype)
        history = Terms(*(jnp.zeros(epochs, dtype) for _ in Terms._fields))
        inputs = Inputs.unchanged(model.n_features, dtype)
        mixture = Mixture(jnp.zeros(k, dtype), components)
        return Trained(model, inputs, mixture, zero, history, jnp.zeros((), jnp.int32))

    return jax.eval_shape(make)


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """The file of an unfinished training, and the digest of what that training is."""

    path: Path
    digest: str

    @classmethod
    def of(cls, path: FilePath, identity: Any) -> Self:
        """For a training told by these leaves: key, model, data and options."""
        check_outputs({"checkpoint": path})
        return cls(Path(path), digest_of("", identity))

    def write(self, run: Any, done: tuple[Terms, ...]) -> None:
        """The state after these epochs, atomically."""
        header = {"format": "mixjax.dagmm checkpoint", "version": VERSION, "digest": self.digest}
        write_arrays(self.path, {**header, "epochs": len(done)}, named((run, done)))

    def read(self, begun: Any) -> tuple[Any, tuple[Terms, ...]]:
        """The state to go on from: that of the file, or where there is none the one given."""
        if not self.path.exists():
            return begun, ()
        header, arrays = read_arrays(self.path, "mixjax.dagmm checkpoint", VERSION)
        if header["digest"] != self.digest:
            raise ValueError(
                f"{self.path.name} is the checkpoint of another training (another key, model, "
                "table, labels, objective, inputs, batch_size or form of the optimizer's state): "
                "give this one a file of its own, or delete that one"
            )
        terms = Terms(*(begun.diverged.astype(begun.model.dtype) for _ in Terms._fields))
        return filled((begun, (terms,) * header["epochs"]), arrays, self.path.name)
