"""Rows that are spread over devices: each works on its own, and sums are added over all."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from ..programs import jit
from .blocks import Axes
from .subsample import places


class RowMesh(NamedTuple):
    """A mesh of devices, and the axes of it over which the rows of a table are spread."""

    mesh: Mesh
    axes: Axes


def row_mesh(x: Array) -> RowMesh | None:
    """Over which devices the rows of a table are spread; None where one has them all."""
    sharding = None if isinstance(x, jax.core.Tracer) else x.sharding
    if not isinstance(sharding, NamedSharding) or sharding.num_devices == 1:
        return None
    mesh = sharding.mesh
    if not isinstance(mesh, Mesh):
        return None
    spec = tuple(sharding.spec) + (None,) * (x.ndim - len(sharding.spec))
    if any(spec[1:]):
        raise ValueError(
            f"x is sharded as {sharding.spec}: spread its rows over the devices and keep its "
            "columns together, PartitionSpec('rows', None)"
        )
    if spec[0] is None:  # every device has all rows
        return None
    axes = spec[0] if isinstance(spec[0], tuple) else (spec[0],)
    return RowMesh(mesh, axes)


def has_explicit_axes(x: Any) -> bool:
    """Whether every operation on an array asks how its result is to be spread.

    Such are the axes that `jax.make_mesh` makes.
    """
    sharding = None if isinstance(x, jax.core.Tracer) else getattr(x, "sharding", None)
    if not isinstance(sharding, NamedSharding) or not isinstance(sharding.mesh, Mesh):
        return False
    return AxisType.Explicit in sharding.mesh.axis_types


def automatic(x: Any) -> Any:
    """The same array, where operations do not ask how their results are to be spread.

    If every device has all of it, that of one device.
    """
    if not has_explicit_axes(x):
        return x
    mesh, spec = x.sharding.mesh, x.sharding.spec
    if x.sharding.is_fully_replicated:
        return x.addressable_shards[0].data
    return jax.device_put(x, NamedSharding(Mesh(mesh.devices, mesh.axis_names), spec))


def on_shards(
    f: Callable[..., Any],
    static: Any,
    where: RowMesh,
    same: Any,
    x: Array,
    weights: Array | None,
) -> Any:
    """``f(static, axes, same, x, weights)`` on each device's rows: one result, on all of them."""
    leaves, structure = _on_host(same)
    if weights is not None:
        weights = jax.device_put(weights, NamedSharding(where.mesh, P(where.axes)))
    return _reduced(f, static, where, structure)(leaves, x, weights)


def by_shards(f: Callable[[Any, Array], Array], where: RowMesh, same: Any, x: Array) -> Array:
    """``f(same, x)`` on each device's rows: something for each row."""
    leaves, structure = _on_host(same)
    return _mapped(f, where, structure)(leaves, x)


def gathered(x: Array, axes: Axes, most: int, seed: Any = 0) -> Array:
    """At most so many rows in all, one from each stratum of each device's, on every device."""
    n_devices = jax.lax.axis_size(axes)
    n = min(x.shape[0], max(1, most // n_devices))
    # Not the same places on each: the rows of one may follow those of another in turn.
    seed = jnp.asarray(seed).astype(jnp.uint32) + jax.lax.axis_index(axes).astype(jnp.uint32)
    return jax.lax.all_gather(x[places(x.shape[0], n, seed)], axes, tiled=True)


def _on_host(tree: Any) -> tuple[list[np.ndarray], Any]:
    """The leaves as NumPy arrays: a device of this process is none of another's."""
    leaves, structure = jax.tree.flatten(tree)
    return [np.asarray(leaf) for leaf in leaves], structure


# Cached, as a program that is made anew would be compiled anew.
@functools.lru_cache(maxsize=256)
def _reduced(
    f: Callable[..., Any], static: Any, where: RowMesh, structure: Any
) -> Callable[..., Any]:
    def local(leaves: Any, x: Array, weights: Array | None) -> Any:
        return f(static, where.axes, jax.tree.unflatten(structure, leaves), x, weights)

    specs = (P(), P(where.axes), P(where.axes))
    return jit(
        jax.shard_map(local, mesh=where.mesh, in_specs=specs, out_specs=P(), check_vma=False)
    )


@functools.lru_cache(maxsize=256)
def _mapped(f: Callable[..., Array], where: RowMesh, structure: Any) -> Callable[..., Any]:
    def local(leaves: Any, x: Array) -> Array:
        return f(jax.tree.unflatten(structure, leaves), x)

    specs, rows = (P(), P(where.axes)), P(where.axes)
    return jit(
        jax.shard_map(local, mesh=where.mesh, in_specs=specs, out_specs=rows, check_vma=False)
    )
