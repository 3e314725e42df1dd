"""Rows spread over devices: each device works on its own rows, and sums are added up."""

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
    """A mesh of devices, and its axes over which the rows of a table are spread."""

    mesh: Mesh
    axes: Axes


def row_mesh(x: Array) -> RowMesh | None:
    """The devices over which the rows of a table are spread; None if one device has them all."""
    sharding = None if isinstance(x, jax.core.Tracer) else x.sharding
    if not isinstance(sharding, NamedSharding) or sharding.num_devices == 1:
        return None
    mesh = sharding.mesh
    if not isinstance(mesh, Mesh):
        return None
    spec = tuple(sharding.spec) + (None,) * (x.ndim - len(sharding.spec))
    if any(spec[1:]):
        raise ValueError(
            f"x is sharded as {sharding.spec}: shard its rows only and keep its columns "
            "together, PartitionSpec('rows', None)"
        )
    if spec[0] is None:  # every device has all rows
        return None
    axes = spec[0] if isinstance(spec[0], tuple) else (spec[0],)
    return RowMesh(mesh, axes)


def has_explicit_axes(x: Any) -> bool:
    """Whether the mesh axes of an array are explicit: operations need the sharding of results.

    `jax.make_mesh` makes explicit axes.
    """
    sharding = None if isinstance(x, jax.core.Tracer) else getattr(x, "sharding", None)
    if not isinstance(sharding, NamedSharding) or not isinstance(sharding.mesh, Mesh):
        return False
    return AxisType.Explicit in sharding.mesh.axis_types


def automatic(x: Any) -> Any:
    """The same array with automatic mesh axes, where XLA shards the results itself.

    If every device has the whole array, the copy on one device.
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
    """``f(static, axes, same, x, weights)`` on each device's rows: one result for all devices."""
    leaves, structure = _on_host(same)
    if weights is not None:
        weights = jax.device_put(weights, NamedSharding(where.mesh, P(where.axes)))
    return _reduced(f, static, where, structure)(leaves, x, weights)


def by_shards(f: Callable[[Any, Array], Array], where: RowMesh, same: Any, x: Array) -> Array:
    """``f(same, x)`` on each device's rows: one value for each row."""
    leaves, structure = _on_host(same)
    return _mapped(f, where, structure)(leaves, x)


def gathered(x: Array, axes: Axes, most: int, seed: Any = 0) -> Array:
    """At most ``most`` rows, one from each stratum of each device, gathered on every device."""
    n_devices = jax.lax.axis_size(axes)
    n = min(x.shape[0], max(1, most // n_devices))
    # Different places on each device: their rows may be interleaved.
    seed = jnp.asarray(seed).astype(jnp.uint32) + jax.lax.axis_index(axes).astype(jnp.uint32)
    return jax.lax.all_gather(x[places(x.shape[0], n, seed)], axes, tiled=True)


def _on_host(tree: Any) -> tuple[list[np.ndarray], Any]:
    """The leaves as NumPy arrays, because other processes have other devices."""
    leaves, structure = jax.tree.flatten(tree)
    return [np.asarray(leaf) for leaf in leaves], structure


# Cached: a new function would be compiled again.
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
