"""A scoring function as one file of StableHLO, which needs no mixjax to be run."""

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
    r"""Write how rows are scored to a file that is run without mixjax.

    It holds `Detector.scores`, or the energy of a mixture, for tables (N, D) of any N, with the
    parameters in it. Both sides need flatbuffers (extra ``export``). In another process, with
    jax and flatbuffers alone:
    ``jax.export.deserialize(open(path, "rb").read()).call(x)``.

    The table is scored at once: give long ones in batches. Columns are standardized in the
    dtype of the model, so that a column far from zero, as a time in seconds, has fewer digits
    than `Detector.scores` keeps of NumPy's double precision.

    Args:
      model: what scores: a detector, or a mixture.
      path: the file, replaced as a whole or not at all.
      platforms: where it is to run: of "cpu", "cuda", "rocm" and "tpu".

    Raises:
      TypeError: the model is neither.
      ValueError: a platform that is not known; several models at once.
      OSError: the file cannot be written, as where its folder does not exist.
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
        raise ValueError(f"platforms must be of {', '.join(sorted(known))}, got {platforms!r}")
    check_outputs({"path": path})
    _require_flatbuffers()
    (n,) = jax.export.symbolic_shape("n")
    rows = jax.ShapeDtypeStruct((n, n_features), dtype)
    written = jax.export.export(jax.jit(score), platforms=platforms)(rows).serialize()
    with atomically(path) as file:
        file.write(written)


def _require_flatbuffers() -> None:
    """Raise before the long work: jax looks for it at its end."""
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
