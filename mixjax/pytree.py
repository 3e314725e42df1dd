"""Frozen dataclasses that JAX can trace through: every parameter here is one."""

import dataclasses
from typing import Any, TypeVar, dataclass_transform

import jax

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
    frozen = dataclasses.dataclass(frozen=True)(cls)
    fields = dataclasses.fields(frozen)  # type: ignore[arg-type]
    is_static = [bool(field.metadata.get("static")) for field in fields]
    return jax.tree_util.register_dataclass(
        frozen,
        data_fields=[f.name for f, fixed in zip(fields, is_static, strict=True) if not fixed],
        meta_fields=[f.name for f, fixed in zip(fields, is_static, strict=True) if fixed],
    )
