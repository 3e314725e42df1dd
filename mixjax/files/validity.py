"""Checks of arrays of numbers, and of the parameters of a mixture."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from ..families import known
from ..families.family import Family
from ..families.product import Product
from ..mixture.mixture import Mixture

# A check takes a value and the name of its place, and raises `ValueError`.
Check = Callable[[Any, str], None]
# Rounding: tolerance for the sum of weights, and for the ends of ranges.
ROUNDING = 1e-3


def numbers(words: str, holds: Callable[[np.ndarray], Any], kind: Any = np.floating) -> Check:
    """A check that a value is an array of this kind of number and fulfils ``holds``."""

    def check(value: Any, place: str) -> None:
        if not isinstance(value, jax.Array | np.ndarray | np.generic):
            raise ValueError(f"{place} is a {type(value).__name__}, not an array")
        array = np.asarray(value)
        wide = array.dtype in (np.float32, np.float64) or kind is not np.floating
        if not np.issubdtype(array.dtype, kind) or not wide:
            raise ValueError(f"{place} holds {array.dtype}, not {words}")
        if array.size and not np.all(holds(array)):
            raise ValueError(f"{place} does not hold {words}")

    return check


def _sums_to_one(log_weights: np.ndarray) -> Any:
    with np.errstate(over="ignore"):
        total = np.exp(log_weights.astype(np.float64)).sum(axis=-1)
    return np.abs(total - 1) <= ROUNDING


def _lower(factors: np.ndarray) -> Any:
    above = np.abs(np.triu(factors, 1)).max(axis=(-2, -1), initial=0)
    diagonal = np.diagonal(factors, axis1=-2, axis2=-1)
    few = np.finfo(factors.dtype).eps * np.abs(factors).max(axis=(-2, -1), initial=0)
    return np.isfinite(factors).all() and (diagonal > 0).all() and (above <= few).all()


def _ascending(values: np.ndarray) -> Any:
    ordered = (values[..., 1:] >= values[..., :-1]).all()
    return values.ndim > 0 and ordered and not np.isnan(values).any()


finite = numbers("finite numbers", np.isfinite)
not_nan = numbers("numbers without NaN", lambda v: ~np.isnan(v))
positive = numbers("positive numbers", lambda v: (v > 0) & np.isfinite(v))
not_negative = numbers("finite numbers of at least 0", lambda v: (v >= 0) & np.isfinite(v))
share = numbers("numbers from 0 to 1", lambda v: (v >= 0) & (v <= 1 + ROUNDING))
some_share = numbers("numbers above 0 and up to 1", lambda v: (v > 0) & (v <= 1 + ROUNDING))
ascending = numbers("ascending numbers", _ascending)
log_weights = numbers(
    "logarithms of weights that sum to 1 (jax.nn.log_softmax makes them such)", _sums_to_one
)
counts = numbers("whole numbers of at least 0", lambda v: v >= 0, np.integer)

# What parameters of these names may be; of others, what `unconstrain` makes finite.
PARAMETERS: dict[str, Check] = {
    "means": finite,
    "locations": finite,
    "scales": positive,
    "factors": numbers("lower triangles with a positive diagonal", _lower),
    "factor": numbers("a lower triangle with a positive diagonal", _lower),
}


def require_mixture(mixture: Any, place: str) -> None:
    """Raise unless it is a valid mixture."""
    if not isinstance(mixture, Mixture):
        raise ValueError(f"{place} is a {type(mixture).__name__}, not a Mixture")
    dot = f"{place}." if place else ""
    require_shapes(mixture.components, dot, mixture.log_weights)
    log_weights(mixture.log_weights, f"{dot}log_weights")
    require_parameters(mixture.components, f"{dot}components.")


def require_parameters(components: Any, dot: str) -> None:
    """Raise unless the parameters of components are valid."""
    if isinstance(components, Product):
        for i, part in enumerate(components.parts):
            require_parameters(part, f"{dot}parts[{i}].")
        return
    for name, value in _arrays(components).items():
        PARAMETERS.get(name, finite)(value, dot + name)
    if set(_arrays(components)) <= set(PARAMETERS):
        return
    free: Callable[[Any], Any] = type(components).unconstrain
    for _ in _standard(components)[1]:
        free = jax.vmap(free)
    if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(free(components))):
        name = type(components).__name__
        raise ValueError(f"{dot.rstrip('.')} has parameters that {name}.constrain never gives")


def _arrays(components: Any) -> dict[str, Any]:
    """The parameters by name, without what is no array."""
    plain = {f.name for f in dataclasses.fields(components) if f.metadata.get("static")}
    return {name: value for name, value in vars(components).items() if name not in plain}


def _standard(components: Family) -> tuple[dict[str, Any], tuple[int, ...]]:
    """Shapes and types of standard components like these, and the leading axes of these."""
    first, (k, d) = next(iter(_arrays(components).values())), components.shape
    standard = _arrays(jax.eval_shape(lambda: components.kind.standard(k, d, first.dtype)))
    return standard, tuple(first.shape[: first.ndim - next(iter(standard.values())).ndim])


def require_shapes(components: Any, dot: str, log_weights: Any = None) -> None:
    """Raise unless the arrays have the shapes and types of the family."""
    if isinstance(components, Product):
        groups = components.groups
        for i, (part, group) in enumerate(zip(components.parts, groups, strict=True)):
            require_shapes(part, f"{dot}parts[{i}].", log_weights)
            if part.shape[1] != len(group):
                raise ValueError(
                    f"{dot}parts[{i}] has {part.shape[1]} columns, but its group is {group}"
                )
        return
    if known.by_name().get(type(components).__name__) is not type(components):
        raise ValueError(f"{dot}components is a {type(components).__name__}, not a family")
    for name, value in {**_arrays(components), "log_weights": log_weights}.items():
        if value is not None:
            numbers("floating numbers", np.isreal)(value, dot + name)
    shape = tuple(components.shape)
    if len(shape) != 2 or 0 in shape:
        raise ValueError(f"{dot}components have shape {shape}, not (K, D)")
    expected, lanes = _standard(components)
    found = _arrays(components)
    if log_weights is not None:
        found["log_weights"] = log_weights
        dtype = next(iter(expected.values())).dtype
        expected["log_weights"] = jax.ShapeDtypeStruct(shape[:1], dtype)
    for name, leaf in expected.items():
        if found[name].shape != lanes + leaf.shape or found[name].dtype != leaf.dtype:
            raise ValueError(
                f"{dot}{name} of {type(components).__name__} has shape {found[name].shape} of "
                f"{found[name].dtype}, expected {lanes + leaf.shape} of {leaf.dtype}"
            )


def require_finite(tree: Any, place: str) -> None:
    """Raise unless all floating leaves of a tree are finite."""
    for where, leaf in jax.tree_util.tree_leaves_with_path(tree):
        if np.issubdtype(leaf.dtype, np.floating):
            finite(leaf, place + jax.tree_util.keystr(where))


def shapes_of(arrays: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """The shape of each of these arrays."""
    return {name: tuple(value.shape) for name, value in arrays.items()}


def require_same(dot: str, **shapes: tuple[int, ...]) -> None:
    """Raise unless all these shapes are equal."""
    if len({*shapes.values()}) > 1:
        parts = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise ValueError(f"{dot.rstrip('.') or 'its parts'}: shapes that do not agree: {parts}")
