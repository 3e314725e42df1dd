"""The processes that fit one mixture: how they communicate and fail together."""

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import Array
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from ..programs import jit
from ..rows.blocks import summed

AXIS = "processes"


class Team(NamedTuple):
    """The processes that share a mesh, as seen by one of them.

    Attributes:
      devices: the devices of this process; (None,) for the default one.
      mesh: one device of every process; None if this is the only process.
    """

    devices: tuple[Any, ...]
    mesh: Mesh | None

    @classmethod
    def of(cls, mesh: Mesh | None) -> "Team":
        """The team of a mesh; without one, this process and its default device."""
        if mesh is None:
            return cls((None,), None)
        if not isinstance(mesh, Mesh):
            raise TypeError(f"mesh must be a jax.sharding.Mesh or None, got {mesh!r}")
        here = jax.process_index()
        own = tuple(device for device in mesh.devices.flat if device.process_index == here)
        if not own:
            raise ValueError(f"none of the devices of the mesh belongs to process {here}: {mesh}")
        firsts = {device.process_index: device for device in mesh.devices.flat[::-1]}
        if len(firsts) == 1:
            return cls(own, None)
        return cls(own, Mesh(np.array([firsts[i] for i in sorted(firsts)]), (AXIS,)))

    @property
    def rank(self) -> int:
        """The number of this process in the team."""
        if self.mesh is None:
            return 0
        members = [device.process_index for device in self.mesh.devices.flat]
        return members.index(jax.process_index())

    def all_gather(self, message: Any) -> np.ndarray:
        """The messages of all processes, (processes, ...), bit for bit; their shapes must agree."""
        own = np.asarray(message)
        if self.mesh is None:
            return own[None]
        data = np.frombuffer(own.tobytes(), np.uint8)
        gathered = _replicated(self.mesh)(self._spread(data))
        return np.frombuffer(_on_host(gathered), own.dtype).reshape(-1, *own.shape)

    def all_reduce(self, tree: Any) -> Any:
        """The sums of all leaves over the processes, in one exchange."""
        if self.mesh is None:
            return tree
        leaves, structure = jax.tree.flatten(tree)
        spread = [self._spread(np.asarray(leaf)) for leaf in leaves]
        return jax.tree.unflatten(structure, [_on_host(x) for x in _added(self.mesh)(spread)])

    @contextlib.contextmanager
    def raise_on_all(self) -> Iterator[None]:
        """Raise on every process if the block raises on any: none is left waiting."""
        error = None
        try:
            yield
        except Exception as raised:
            error = raised
        failed = np.flatnonzero(self.all_gather(error is not None))
        if error is not None:
            raise error
        if len(failed):
            raise RuntimeError(
                f"the fit failed in process {failed[0]}, so it stops here too: see the error there"
            )

    def _spread(self, own: np.ndarray) -> Array:
        """An array (processes, ...); each process holds its own row."""
        assert self.mesh is not None
        return jax.make_array_from_process_local_data(
            NamedSharding(self.mesh, P(AXIS)), own[None], (self.mesh.size, *own.shape)
        )


def _on_host(x: Array) -> np.ndarray:
    return np.asarray(x.addressable_data(0))


# Cached: a new function would be compiled again.
@functools.cache
def _replicated(mesh: Mesh) -> Callable[[Array], Array]:
    return jit(lambda x: x, out_shardings=NamedSharding(mesh, P()))


@functools.cache
def _added(mesh: Mesh) -> Callable[[list[Array]], list[Array]]:
    def local(leaves: list[Array]) -> list[Array]:
        return summed([leaf[0] for leaf in leaves], (AXIS,))

    return jit(jax.shard_map(local, mesh=mesh, in_specs=P(AXIS), out_specs=P(), check_vma=False))
