"""A scoring function as one file of StableHLO, which runs without mixjax."""

from collections.abc import Callable
from typing import Any

import jax
from jax import Array

from ..detect.detector import Detector
from ..files import FilePath, atomically, check_outputs
from ..mixture.mixture import Mixture, require_one
from ..mixture.questions import energy


def export(
    model: Detector | Mixture,
    path: FilePath,
    *,
    platforms: tuple[str, ...] = ("cpu", "cuda", "tpu"),
) -> None:
    r"""Write a scoring function to a file that runs without mixjax.

    It holds `Detector.scores`, or the energy of a mixture, with its parameters, for tables (N, D)
    of any N. Both sides need flatbuffers (extra ``export``). Another process needs only jax and
    flatbuffers: ``jax.export.deserialize(open(path, "rb").read()).call(x)``.

    The table is scored in one piece: pass long tables in batches. Columns are standardized in the
    dtype of the model. A column far from zero, such as a time in seconds, therefore loses digits
    that `Detector.scores` keeps for NumPy's double precision.

    Args:
      model: a detector or a mixture.
      path: the file; it is replaced atomically.
      platforms: where it can run: some of "cpu", "cuda", "rocm" and "tpu".

    Raises:
      TypeError: model is neither a detector nor a mixture.
      ValueError: a platform is unknown; model holds several models.
      OSError: the file cannot be written, for example because its folder does not exist.
      ImportError: flatbuffers is missing.

    Example:
      >>> import jax, mixjax, tempfile, pathlib
      >>> x = jax.random.normal(jax.random.key(0), (100, 2))
      >>> mixture = mixjax.fit(jax.random.key(1), x, 2).mixture
      >>> path = pathlib.Path(tempfile.mkdtemp()) / "energy.stablehlo"
      >>> mixjax.export(mixture, path)
      >>> scores = jax.export.deserialize(bytearray(path.read_bytes())).call(x[:7])
      >>> bool(jax.numpy.allclose(scores, mixjax.energy(mixture, x[:7]), rtol=1e-5))
      True

    Source: OpenXLA, StableHLO specification; `jax.export`.
    """
    score, n_features, dtype = _scoring(model)
    known = {"cpu", "cuda", "rocm", "tpu"}
    if not platforms or not set(platforms) <= known:
        raise ValueError(f"platforms must be some of {', '.join(sorted(known))}, got {platforms!r}")
    check_outputs({"path": path})
    _require_flatbuffers()
    (n,) = jax.export.symbolic_shape("n")
    rows = jax.ShapeDtypeStruct((n, n_features), dtype)
    written = jax.export.export(jax.jit(score), platforms=platforms)(rows).serialize()
    with atomically(path) as file:
        file.write(written)


def _require_flatbuffers() -> None:
    """Raise before the long work; jax would look for it only at the end."""
    try:
        import flatbuffers  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "export needs its extra (flatbuffers is missing): pip install 'mixjax[export]'"
        ) from error


def _scoring(model: Any) -> tuple[Callable[[Array], Array], int, Any]:
    if isinstance(model, Detector):
        return model.scores, model.n_features, model.typical.dtype
    if not isinstance(model, Mixture):
        raise TypeError(
            "model must be a mixjax.Mixture or what detect.fit returned, got "
            f"{type(model).__name__}"
        )
    require_one(model)
    return lambda x: energy(model, x), model.n_features, model.log_weights.dtype
