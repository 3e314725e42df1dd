"""Trained models as files, without pickle."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..families import known
from ..files import (
    FilePath,
    check_outputs,
    filled,
    named,
    printable,
    read_arrays,
    reason,
    write_arrays,
)
from ..files.validity import (
    finite,
    not_nan,
    numbers,
    positive,
    require_finite,
    require_mixture,
    some_share,
)
from ..mixture.mixture import Mixture
from ..threshold import ElkanNoto
from .autoencoders.autoencoder import Autoencoder, whole_number
from .autoencoders.quantized import VectorQuantizedAutoencoder
from .autoencoders.variational import VariationalAutoencoder
from .inputs import Inputs
from .losses import Terms
from .model import DAGMM
from .networks import Layers
from .pu_learning import EXTRA, PositiveUnlabeled
from .trained import Status, Trained

VERSION = 1
# Errors from building a model with an invalid header.
DAMAGE = (
    KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError, RecursionError,
    MemoryError,
)  # fmt: skip
some_limit = numbers("numbers above 0", lambda limit: limit > 0)
AUTOENCODERS: dict[str, type[Autoencoder]] = {
    kind.__name__: kind
    for kind in (Autoencoder, VariationalAutoencoder, VectorQuantizedAutoencoder)
}
# Names in files of earlier versions, and today's.
RENAMED = {"VectorQuantisedAutoencoder": "VectorQuantizedAutoencoder"}


def save(path: FilePath, trained: Trained | PositiveUnlabeled) -> None:
    """Write a trained model to one file, atomically; NumPy can read its arrays.

    Args:
      path: the file; it is replaced.
      trained: the result of `train` or `positive_unlabeled`.

    Raises:
      TypeError: trained is something else, its autoencoder is your own, or its family shares its
        name with another family.
      ValueError: a parameter is invalid; the message names the field.
      OSError: the file cannot be written, for example because its folder does not exist.

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
    check_outputs({"path": path})
    saved, classifier = trained, None
    if isinstance(trained, PositiveUnlabeled):
        classifier = [layer.out_features for layer in trained.network.linear[:-1]]
        trained = trained.trained
    if not isinstance(trained, Trained):
        raise TypeError(
            "trained must be the result of dagmm.train or dagmm.positive_unlabeled, got "
            f"{type(trained).__name__}"
        )
    model, mixture = trained.model, trained.mixture
    for family in (model.family, type(mixture.components)):
        if known.by_name().get(family.__name__) is not family:
            raise TypeError(known.name_taken(family))
    kind = type(model.autoencoder)
    if AUTOENCODERS.get(kind.__name__) is not kind:
        raise TypeError(
            f"dagmm.save knows the autoencoders {', '.join(AUTOENCODERS)}, not {kind.__name__}: a "
            "file holds no code, so an autoencoder of your own cannot be read back"
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
        "classifier": classifier,
    }
    _require_valid(saved)
    write_arrays(path, header, named(saved))


def load(path: FilePath) -> Any:
    """Read what `save` wrote.

    Args:
      path: the file.

    Returns:
      The trained model, or the classifier of `positive_unlabeled`. Its results equal those of
      the saved object, bit for bit.

    Raises:
      ValueError: the file is truncated, damaged, not written by `save`, or of another version;
        shapes of arrays differ from the header; a value is invalid.
      OSError: the file cannot be opened, for example because it does not exist.

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
    name = printable(Path(path).name)
    try:
        skeleton = _skeleton(header)
    except DAMAGE as error:
        raise ValueError(f"{name}: the header describes no model: {reason(error)}") from error
    lanes = arrays[".status"].shape if ".status" in arrays else ()
    loaded = filled(skeleton, arrays, name, lanes)
    try:
        _require_valid(loaded)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    return loaded


def _skeleton(header: dict[str, Any]) -> Any:
    """The object that the header describes, with shapes instead of arrays."""
    about, mix = dict(header["model"]), header["mixture"]
    name = header["autoencoder"]["kind"]
    kind = AUTOENCODERS[RENAMED.get(name, name)]
    autoencoder = kind(**header["autoencoder"]["options"])
    family, dtype = known.named(about.pop("family")), about.pop("dtype")
    epochs, k = header["epochs"], whole_number("n_components", mix["n_components"])
    if type(epochs) is not int or epochs < 0:
        raise ValueError(f"epochs must be a whole number of at least 0, got {epochs!r}")
    width, classifier = autoencoder.latent + 2, header.get("classifier")

    def make() -> Any:
        model = DAGMM(
            jax.random.key(0), about.pop("n_features"), autoencoder=autoencoder, family=family,
            dtype=dtype, **about,
        )  # fmt: skip
        zero = jnp.zeros((), dtype)
        components = known.named(mix["family"]).standard(k, width, dtype)
        history = Terms(*(jnp.zeros(epochs, dtype) for _ in Terms._fields))
        inputs = Inputs.unchanged(model.n_features, dtype)
        mixture = Mixture(jnp.zeros(k, dtype), components)
        trained = Trained(model, inputs, mixture, zero, history, jnp.zeros((), jnp.int32))
        if classifier is None:
            return trained
        hidden = [whole_number("classifier", n) for n in classifier]
        network = Layers(jax.random.key(0), (width + EXTRA, *hidden, 1), dtype=dtype)
        looked_at = Inputs.of(jnp.zeros((1, width + EXTRA), dtype))
        return PositiveUnlabeled(trained, looked_at, network, ElkanNoto(zero))

    return jax.eval_shape(make)


def _require_valid(loaded: Trained | PositiveUnlabeled) -> None:
    """Raise unless all values are valid."""
    if isinstance(loaded, PositiveUnlabeled):
        _require_inputs(loaded.inputs, "inputs")
        require_finite(loaded.network, "network")
        some_share(loaded.rule.c, "rule.c")
        return _require_valid(loaded.trained)
    if not np.isin(loaded.status, [int(status) for status in Status]).all():
        raise ValueError(f"status holds {np.asarray(loaded.status)}, not numbers of dagmm.Status")
    require_finite(loaded.model, "model")
    _require_inputs(loaded.inputs, "inputs")
    require_mixture(loaded.mixture, "mixture")
    not_nan(loaded.mean_error, "mean_error")


def _require_inputs(inputs: Inputs, place: str) -> None:
    finite(inputs.shift, f"{place}.shift")
    positive(inputs.scale, f"{place}.scale")
    some_limit(inputs.limit, f"{place}.limit")
