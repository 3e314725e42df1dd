"""Mixtures, fits and detectors as files: one atomic file, without pickle."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..families import known
from ..families.categorical import Categorical
from ..families.family import Family
from ..families.product import Product, product_of
from ..files import FilePath, check_outputs, printable, read_arrays, reason, write_arrays
from .savable import FIELDS, require_valid

FORMAT, VERSION = "mixjax", 1
# What fields were called in earlier files.
RENAMED = {("Candidate", "reg_covar"): "ridge"}


# Fields that earlier files lack, from the others: there, two standard deviations about the mean.
ADDED = {
    ("Detector", "usual"): lambda fields: np.stack(
        [fields["center"] - 2 * fields["scale"], fields["center"] + 2 * fields["scale"]], axis=1
    ),
    ("Detector", "levels"): lambda fields: None,
    ("Categorical", "words"): lambda fields: (),
}


def classes() -> dict[str, type[Any]]:
    """What a file may hold, by name."""
    return known.by_name() | {kind.__name__: kind for kind in FIELDS}


def save(path: FilePath, tree: Any) -> None:
    """Write a mixture, a fit, a detector or a rule to one file, atomically.

    The file is an ``.npz`` of plain arrays with a JSON header. NumPy alone can read it, and
    reading it runs no code.

    Args:
      path: the file; it is replaced.
      tree: a `Mixture` or its components, a `Fit`, `Selection`, `Average`, `Stepwise`,
        `detect.Detector`, a rule of `mixjax.threshold` (`Conformal`, `Tail`, `BestF1`,
        `ElkanNoto`), or an array, such as a threshold. Leading axes are allowed, and so are
        tuples of these, such as `fit_groups` returns.

    Raises:
      TypeError: tree is something else, its family shares its name with another family, or it
        holds an array of Python objects.
      ValueError: a value is invalid, such as weights that do not sum to 1; the message names the
        field.
      OSError: the file cannot be written, for example because its folder does not exist.

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
    check_outputs({"path": path})
    arrays: dict[str, np.ndarray] = {}
    node = _node(tree, "", arrays)
    require_valid(tree)
    write_arrays(path, {"format": FORMAT, "version": VERSION, "tree": node}, arrays)


def load(path: FilePath) -> Any:
    """Read what `save` wrote.

    Args:
      path: the file.

    Returns:
      The saved object, bit for bit.

    Raises:
      ValueError: the file is truncated, damaged, not written by `save`, or of another version; the
        class of a family of your own is not defined; arrays do not fit together; a value is
        invalid, such as a scale below 0 (the message names the field); parameters are float64
        and ``jax_enable_x64`` is not set.
      OSError: the file cannot be opened, for example because it does not exist.

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
    name = printable(Path(path).name)
    try:
        tree = _built(header["tree"], arrays)
        if arrays:
            raise ValueError(f"arrays not listed in the header: {', '.join(sorted(arrays))}")
        require_valid(tree)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError) as error:
        raise ValueError(f"{name}: its parts do not fit together: {reason(error)}") from error
    return tree


def _node(tree: Any, place: str, arrays: dict[str, np.ndarray]) -> Any:
    """The header entry of a tree; its arrays are collected by place."""
    if isinstance(tree, jax.Array | np.ndarray | np.generic):
        host: Any = isinstance(tree, np.ndarray) or (isinstance(tree, np.generic) and "scalar")
        arrays[place] = np.asarray(tree)
        if arrays[place].dtype.hasobject:
            raise TypeError(
                "save writes arrays of numbers or text, not of Python objects: convert them, "
                "for example by np.asarray(values, str)"
            )
        return {"array": place, "shape": list(tree.shape), "dtype": tree.dtype.name, "host": host}
    if isinstance(tree, tuple) and not hasattr(tree, "_fields"):
        return [_node(part, f"{place}.{i}", arrays) for i, part in enumerate(tree)]
    if isinstance(tree, type) and tree in known.by_name().values():
        return {"family": tree.__name__}
    if isinstance(tree, type) and issubclass(tree, Product):
        families = [_node(family, place, arrays) for family in tree.families]
        return {"families": families, "groups": [list(group) for group in tree.groups]}
    if isinstance(tree, type) and issubclass(tree, Categorical):
        return {"levels": list(tree.given_levels or ())}
    if isinstance(tree, Product):
        parts = [_node(part, f"{place}.{i}", arrays) for i, part in enumerate(tree.parts)]
        return {"product": [list(group) for group in tree.groups], "parts": parts}
    if classes().get(type(tree).__name__) is type(tree):
        fields = {n: _node(getattr(tree, n), f"{place}.{n}", arrays) for n in _fields(type(tree))}
        return {"class": type(tree).__name__, "fields": fields}
    if isinstance(tree, Family) or (isinstance(tree, type) and issubclass(tree, Family)):
        raise TypeError(known.name_taken(type(tree) if isinstance(tree, Family) else tree))
    if place and isinstance(tree, str | int | float | None):
        return {"value": tree}
    raise TypeError(f"save writes mixtures, fits and detectors, not {type(tree).__name__}")


def _built(node: Any, arrays: dict[str, np.ndarray]) -> Any:
    """The tree of a header entry; its arrays are removed from ``arrays``."""
    if isinstance(node, list):
        return tuple(_built(part, arrays) for part in node)
    if "array" in node:
        value = arrays.pop(node["array"])
        if list(value.shape) != node["shape"] or value.dtype.name != node["dtype"]:
            raise ValueError(
                f"{node['array']} has shape {value.shape} of {value.dtype}, but the header says "
                f"{tuple(node['shape'])} of {node['dtype']}"
            )
        if node["host"]:
            return value[()] if node["host"] == "scalar" else value
        if value.dtype == np.float64 and not jax.config.read("jax_enable_x64"):
            raise ValueError("its parameters are float64: set jax_enable_x64 to read them")
        return jnp.asarray(value)
    if "family" in node:
        return known.named(node["family"])
    if "families" in node:
        families = [_built(family, arrays) for family in node["families"]]
        return product_of(zip(families, node["groups"], strict=True))
    if "levels" in node:
        return Categorical.of(*node["levels"])
    if "product" in node:
        parts = tuple(_built(part, arrays) for part in node["parts"])
        kinds = zip((type(part) for part in parts), node["product"], strict=True)
        made: Any = product_of(kinds)
        return made(parts)
    if "class" in node:
        kind, fields = _class_of(node["class"]), node["fields"]
        built = {
            RENAMED.get((kind.__name__, name), name): _built(part, arrays)
            for name, part in fields.items()
        }
        for (owner, name), made in ADDED.items():
            if owner == kind.__name__ and name not in built:
                built[name] = made(built)
        if sorted(built) != sorted(_fields(kind)):
            raise ValueError(f"{kind.__name__} has the fields {sorted(built)}")
        return kind(**built)
    return node["value"]


def _class_of(name: str) -> type[Any]:
    kind = classes().get(name)
    return known.named(name) if kind is None else kind


def _fields(kind: type[Any]) -> list[str]:
    """The field names of a dataclass or a named tuple."""
    if dataclasses.is_dataclass(kind):
        return [field.name for field in dataclasses.fields(kind)]
    return list(kind._fields)
