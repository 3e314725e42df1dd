"""One exact pass over a stream: the sums of its blocks, and the mixture that they make."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ..fitting.em import EMState, e_step, m_step_of
from ..fitting.solver import RUNNING, Progress, accepted
from ..mixture.mixture import Mixture
from ..programs import jit
from ..rows.blocks import Table
from ..rows.scaling import Scale
from .checkpoint import Saved
from .fingerprint import Fingerprint
from .processes import Team
from .sources import Batches, blocks_of, read_ahead
from .sums import Sums
from .survey import Survey

# Numbers in a block on the device.
BLOCK = 2**21


class Streamed(NamedTuple):
    """A fit under way: what the last whole pass gave, and the pass that is not done.

    Attributes:
      progress: the mixture of the last pass, its energy and its statistics.
      candidate: the mixture of the pass under way.
      sums: of that pass so far, on each device of this process.
    """

    progress: Progress
    candidate: Mixture
    sums: tuple[Sums, ...]

    def saved(self) -> Saved:
        """As a checkpoint keeps it."""
        return Saved((self.progress, self.candidate), int(self.progress.n_iter), self.sums)


def _sums_of_block(mixture: Mixture, scale: Scale, x: Array, n: Array) -> tuple[Array, Any, Array]:
    weights = (jnp.arange(x.shape[0], dtype=n.dtype) < n).astype(x.dtype)
    rows = Table.of(x, weights, mixture.n_components).standardized(scale.shift, scale.scale)
    return *e_step(mixture, rows), rows.total


@jit
def _added(sums: Sums, mixture: Mixture, scale: Scale, x: Array, n: Array) -> Sums:
    return sums.plus(_sums_of_block(mixture, scale, x, n))


@functools.partial(jit, static_argnums=(2, 3))
def begun(mixture: Mixture, scale: Scale, length: int, n_devices: int) -> Streamed:
    """Before the first pass, after which 0 iterations are done."""
    dtype = scale.shift.dtype
    x = jax.ShapeDtypeStruct((length, scale.shift.shape[0]), dtype)
    shapes = jax.eval_shape(_sums_of_block, mixture, scale, x, jax.ShapeDtypeStruct((), jnp.int32))
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    before = EMState(mixture, jnp.asarray(jnp.inf, dtype), zeros[1])
    progress = Progress(before, jnp.int32(-1), jnp.int32(RUNNING))
    return Streamed(progress, mixture, (Sums(zeros, zeros, jnp.int32(0)),) * n_devices)


def one_pass(
    state: Streamed,
    source: Batches,
    own: Survey,
    origin: np.ndarray | None,
    length: int,
    scale: Scale,
    team: Team,
    seen: Callable[[Streamed, int], None],
    in_order: bool,
) -> Streamed:
    """The state with the sums of all blocks, those that are in it already left out."""
    n_seen = sum(int(sums.n_blocks) for sums in state.sums)
    n_rows = 0
    sums = [jax.device_put(s, device) for s, device in zip(state.sums, team.devices, strict=True)]
    known = [jax.device_put((state.candidate, scale), device) for device in team.devices]

    # The thread that reads touches no JAX: its settings would not be those of the caller.
    found = Fingerprint()
    blocks_to_come = blocks_of(
        lambda: found.over(source), length, len(scale.shift), scale.shift.dtype, origin
    )
    with read_ahead(blocks_to_come) as blocks:
        for i, block in enumerate(blocks):
            n_rows += block.n
            if i < n_seen:
                continue
            turn = i % len(sums)
            # A device is at most one block behind: what waits in its queue takes memory.
            jax.block_until_ready(sums[turn])
            sums[turn] = _added(sums[turn], *known[turn], block.rows, np.int32(block.n))
            state = Streamed(state.progress, state.candidate, tuple(sums))
            seen(state, i + 1)
    if n_rows != own.n_rows:
        raise ValueError(
            f"the first pass over batches gave {own.n_rows} rows, a later one {n_rows}: give "
            "a source that can be gone through again and again with the same rows"
        )
    if found.digest != own.digest:
        raise ValueError(
            f"the first pass over batches gave other rows than a later one (as many, {n_rows}): "
            "give a source that can be gone through again and again with the same rows"
        )
    if in_order and found.checksum != own.checksum:
        raise ValueError(
            "batches gave the rows in another order than in the first pass: with a checkpoint, "
            "which may be written in the middle of a pass, they must not be shuffled"
        )
    return state


def total_of(sums: tuple[Sums, ...]) -> tuple[Any, Any, Any]:
    """Over the devices of this process."""
    totals = [jax.device_get(of_one.total) for of_one in sums]
    return jax.tree.map(lambda *leaves: np.sum(leaves, axis=0, dtype=leaves[0].dtype), *totals)


@jit
def concluded(
    progress: Progress, candidate: Mixture, total: tuple[Any, Any, Any], reg: Array, tol: Array
) -> tuple[Progress, Mixture]:
    """After a whole pass: whether its mixture is kept, and the mixture of the next one."""
    energy, stats, n_rows = total
    progress = accepted(progress, EMState(candidate, energy / n_rows, stats), tol)
    kept = progress.state
    return progress, m_step_of(kept.mixture.components, kept.stats, reg)
