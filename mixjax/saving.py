"""Mixtures, fits and detectors as files: one file, no pickle, whole or not there."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .average import Average
from .committee import Calibration, Member
from .detector import Detector
from .families.family import Family
from .families.known import KNOWN
from .files import FilePath, read_arrays, write_arrays
from .grid import Candidate
from .mixture import Mixture
from .outcome import Fit
from .stepwise import Stepwise
from .threshold.conformal import Conformal
from .threshold.peaks import Tail

FORMAT, VERSION = "mixjax", 1
CLASSES: dict[str, type[Any]] = KNOWN | {
    kind.__name__: kind
    for kind in (Average, Calibration, Candidate, Conformal, Detector, Fit, Member, Mixture,
                 Stepwise, Tail)
}  # fmt: skip


def save(path: FilePath, tree: Any) -> None:
    """Write a mixture, a fit, a detector or a tuple of such to one file, atomically.

    The file is an ``.npz`` of plain arrays with a header in JSON: NumPy alone can read it,
    and reading it runs no code.

    Args:
      path: the file; it is replaced.
      tree: a `Mixture`, `Fit`, `Average`, `Stepwise`, detector or rule of a threshold;
        also many of them along leading axes.

    Raises:
      TypeError: something else, or a family of your own.
      FileNotFoundError: the folder does not exist.

    Example:
      >>> import jax, mixjax, pathlib, tempfile
      >>> x = jax.random.normal(jax.random.key(0), (100, 2))
      >>> mixture = mixjax.fit(jax.random.key(1), x, 2).mixture
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     path = pathlib.Path(folder, "mixture.npz")
      ...     mixjax.save(path, mixture)
      ...     again = mixjax.load(path)
      >>> bool((mixjax.energy(again, x) == mixjax.energy(mixture, x)).all())
      True
    """
    arrays: dict[str, np.ndarray] = {}
    told = _told(tree, "", arrays)
    write_arrays(path, {"format": FORMAT, "version": VERSION, "tree": told}, arrays)


def load(path: FilePath) -> Any:
    """Read what `save` wrote.

    Args:
      path: the file.

    Returns:
      What was saved, bit for bit.

    Raises:
      ValueError: a file that was cut short, is none of `save`'s, of another version, or
        whose arrays do not fit together; one with float64 parameters where JAX has none.
      FileNotFoundError: there is no such file.

    Example:
      >>> import mixjax, pathlib, tempfile
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     path = pathlib.Path(folder, "mixture.npz")
      ...     _ = path.write_text("something else")
      ...     try:
      ...         mixjax.load(path)
      ...     except ValueError as error:
      ...         print(str(error)[:38])
      mixture.npz is not a whole mixjax file
    """
    header, arrays = read_arrays(path, FORMAT, VERSION)
    name = Path(path).name
    try:
        tree = _built(header["tree"], arrays)
        if arrays:
            raise ValueError(f"there is more than the header tells: {', '.join(sorted(arrays))}")
        _require_shapes(tree)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise ValueError(f"{name}: its parts do not fit together: {error}") from error
    return tree


def _told(tree: Any, place: str, arrays: dict[str, np.ndarray]) -> Any:
    """What the header says of a tree, whose arrays are put aside by their places."""
    if isinstance(tree, jax.Array | np.ndarray):
        host = isinstance(tree, np.ndarray)
        arrays[place] = np.asarray(tree)
        return {"array": place, "shape": list(tree.shape), "dtype": tree.dtype.name, "host": host}
    if isinstance(tree, tuple) and not hasattr(tree, "_fields"):
        return [_told(part, f"{place}.{i}", arrays) for i, part in enumerate(tree)]
    if isinstance(tree, type) and tree in KNOWN.values():
        return {"family": tree.__name__}
    if CLASSES.get(type(tree).__name__) is type(tree):
        fields = {n: _told(getattr(tree, n), f"{place}.{n}", arrays) for n in _fields(type(tree))}
        return {"class": type(tree).__name__, "fields": fields}
    if isinstance(tree, Family) or (isinstance(tree, type) and issubclass(tree, Family)):
        raise TypeError(
            f"save knows the families {', '.join(KNOWN)}, not {tree}: a file holds no code, so "
            "one of your own cannot be read back"
        )
    if place and isinstance(tree, str | int | float | None):
        return {"value": tree}
    raise TypeError(f"save writes mixtures, fits and detectors, not {type(tree).__name__}")


def _built(told: Any, arrays: dict[str, np.ndarray]) -> Any:
    """The tree that the header tells; its arrays are taken out of those given."""
    if isinstance(told, list):
        return tuple(_built(part, arrays) for part in told)
    if "array" in told:
        value = arrays.pop(told["array"])
        if list(value.shape) != told["shape"] or value.dtype.name != told["dtype"]:
            raise ValueError(
                f"{told['array']} has shape {value.shape} of {value.dtype}, the header tells "
                f"{tuple(told['shape'])} of {told['dtype']}"
            )
        if told["host"]:
            return value
        if value.dtype == np.float64 and not jax.config.read("jax_enable_x64"):
            raise ValueError("its parameters are float64: set jax_enable_x64 to read them")
        return jnp.asarray(value)
    if "family" in told:
        return KNOWN[told["family"]]
    if "class" in told:
        kind, fields = CLASSES[told["class"]], told["fields"]
        if sorted(fields) != sorted(_fields(kind)):
            raise ValueError(f"{kind.__name__} has the fields {sorted(fields)}")
        return kind(**{name: _built(part, arrays) for name, part in fields.items()})
    return told["value"]


def _fields(kind: type[Any]) -> list[str]:
    """Of a dataclass or a named tuple."""
    if dataclasses.is_dataclass(kind):
        return [field.name for field in dataclasses.fields(kind)]
    return list(kind._fields)


def _require_shapes(tree: Any) -> None:
    """Every mixture has as many parameters as its family asks; a detector its columns."""
    if isinstance(tree, tuple):
        for part in tree:
            _require_shapes(part)
    elif isinstance(tree, Mixture):
        lanes, k = tree.log_weights.shape[:-1], tree.log_weights.shape[-1]
        components = tree.components
        d = components.shape[1]
        expected = jax.eval_shape(lambda: type(components).reference(k, d, tree.log_weights.dtype))
        for name, leaf in vars(expected).items():
            found = getattr(components, name)
            if found.shape != lanes + leaf.shape or found.dtype != leaf.dtype:
                raise ValueError(
                    f"{name} of {type(components).__name__} has shape {found.shape} of "
                    f"{found.dtype}, expected {lanes + leaf.shape} of {leaf.dtype}"
                )
    elif dataclasses.is_dataclass(tree) and not isinstance(tree, Family | type):
        for name in _fields(type(tree)):
            _require_shapes(getattr(tree, name))
    if isinstance(tree, Detector):
        width = len(tree.columns)
        parts = {member.mixtures.components.shape[1] for member in tree.members}
        vectors = tree.center.shape, tree.scale.shape, tree.typical.shape
        if parts != {width} or set(vectors) != {(width,)}:
            raise ValueError(f"a detector of {width} columns has parts for {parts} and {vectors}")
        if len(tree.feature_names) != tree.n_features or max(tree.columns) >= tree.n_features:
            raise ValueError("its columns are not those that it has names for")
