"""Frozen dataclasses that JAX can trace through."""

import dataclasses
from collections.abc import Iterable
from typing import Any, TypeVar, dataclass_transform

import jax

from .describing.summary import Described

T = TypeVar("T")


def static(**kwargs: Any) -> Any:
    """A dataclass field that is part of the tree's structure, not one of its leaves."""
    return dataclasses.field(metadata={"static": True}, **kwargs)


@dataclass_transform(frozen_default=True, field_specifiers=(static, dataclasses.field))
def pytree(cls: type[T]) -> type[T]:
    """Turn a class into a frozen dataclass whose fields are leaves of a JAX pytree.

    Nothing is checked on construction: JAX rebuilds pytrees with tracers, batched
    leaves and placeholders, and a check there would break ``vmap``.

    Args:
      cls: a class with annotated fields.

    Returns:
      The same class as a frozen dataclass, registered with JAX.

    Example:
      >>> import jax, jax.numpy as jnp, mixjax
      >>> @mixjax.pytree
      ... class Line:
      ...     slope: jax.Array
      >>> jax.tree.map(lambda leaf: 2 * leaf, Line(jnp.array(1.5))).slope.item()
      3.0
    """
    # A repr that lists the fields, unless the class has a better one.
    frozen = dataclasses.dataclass(frozen=True, repr=not issubclass(cls, Described))(cls)
    fields = dataclasses.fields(frozen)  # type: ignore[arg-type]
    leaves = [field.name for field in fields if not field.metadata.get("static")]
    fixed = [field.name for field in fields if field.metadata.get("static")]
    keys = [jax.tree_util.GetAttrKey(name) for name in leaves]

    def flatten(tree: T) -> tuple[list[Any], tuple[Any, ...]]:
        return [getattr(tree, name) for name in leaves], tuple(getattr(tree, n) for n in fixed)

    def flatten_with_keys(tree: T) -> tuple[list[tuple[Any, Any]], tuple[Any, ...]]:
        children, aux = flatten(tree)
        return list(zip(keys, children, strict=True)), aux

    def unflatten(aux: tuple[Any, ...], children: Iterable[Any]) -> T:
        names = zip(leaves + fixed, (*children, *aux), strict=True)
        return frozen(**dict(names))

    # Not `register_dataclass`: JAX 0.10 confuses two different dataclasses with the same number
    # of fields, and sometimes runs one with the program that was compiled for the other.
    jax.tree_util.register_pytree_with_keys(frozen, flatten_with_keys, unflatten, flatten)
    return frozen
