"""One exact pass over a stream: the sums over its blocks, and the resulting mixture."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ..fitting.em import EMState, e_step, m_step_of
from ..fitting.problem import table_for
from ..fitting.solver import RUNNING, Progress, accepted
from ..mixture.mixture import Mixture
from ..programs import jit
from ..rows.scaling import Scale
from .checkpoint import Saved
from .fingerprint import Fingerprint
from .processes import Team
from .sources import Source, blocks_of, read_ahead
from .sums import Sums
from .survey import Survey

# Numbers in a block on the device.
BLOCK = 2**21


class Streamed(NamedTuple):
    """An unfinished fit: the result of the last whole pass, and the current pass.

    Attributes:
      progress: the mixture of the last whole pass, its energy and its statistics.
      candidate: the mixture of the current pass.
      sums: the sums of the current pass so far, on each device of this process.
    """

    progress: Progress
    candidate: Mixture
    sums: tuple[Sums, ...]

    def saved(self) -> Saved:
        """The state as a checkpoint keeps it."""
        return Saved((self.progress, self.candidate), int(self.progress.n_iter), self.sums)


def _sums_of_block(mixture: Mixture, scale: Scale, x: Array, n: Array) -> tuple[Array, Any, Array]:
    weights = (jnp.arange(x.shape[0], dtype=n.dtype) < n).astype(x.dtype)
    d = mixture.n_features
    if x.shape[1] > d:
        weights = weights * x[:, d]
    family = type(mixture.components)
    table = table_for(family, x[:, :d], weights, mixture.n_components)
    rows = family.rows_in_scale(table, scale)
    return *e_step(mixture, rows), rows.total


@jit
def _added(sums: Sums, mixture: Mixture, scale: Scale, x: Array, n: Array) -> Sums:
    return sums.plus(_sums_of_block(mixture, scale, x, n))


@functools.partial(jit, static_argnums=(2, 3))
def begun(mixture: Mixture, scale: Scale, shape: tuple[int, int], n_devices: int) -> Streamed:
    """The state before the first pass over blocks of this shape; it is not an iteration."""
    dtype = scale.shift.dtype
    x = jax.ShapeDtypeStruct(shape, dtype)
    shapes = jax.eval_shape(_sums_of_block, mixture, scale, x, jax.ShapeDtypeStruct((), jnp.int32))
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    before = EMState(mixture, jnp.asarray(jnp.inf, dtype), zeros[1])
    progress = Progress(before, jnp.int32(-1), jnp.int32(RUNNING))
    return Streamed(progress, mixture, (Sums(zeros, zeros, jnp.int32(0)),) * n_devices)


def one_pass(
    state: Streamed,
    source: Source,
    own: Survey,
    origin: np.ndarray | None,
    length: int,
    scale: Scale,
    team: Team,
    seen: Callable[[Streamed, int], None],
    in_order: bool,
) -> Streamed:
    """The state after all blocks; blocks that its sums already contain are skipped."""
    n_seen = sum(int(sums.n_blocks) for sums in state.sums)
    n_rows = 0
    sums = [jax.device_put(s, device) for s, device in zip(state.sums, team.devices, strict=True)]
    known = [jax.device_put((state.candidate, scale), device) for device in team.devices]

    # The reading thread does not use JAX: it would not have the settings of the caller.
    found = Fingerprint()
    form = own.known_form
    blocks_to_come = blocks_of(
        lambda: found.over(source), length, form.width, scale.shift.dtype, form.lifted(origin)
    )
    with read_ahead(blocks_to_come) as blocks:
        for i, block in enumerate(blocks):
            n_rows += block.n
            if i < n_seen:
                continue
            turn = i % len(sums)
            # A device is at most one block behind, because queued blocks take memory.
            jax.block_until_ready(sums[turn])
            sums[turn] = _added(sums[turn], *known[turn], block.rows, np.int32(block.n))
            state = Streamed(state.progress, state.candidate, tuple(sums))
            seen(state, i + 1)
    if n_rows != own.n_rows:
        raise ValueError(
            f"the first pass over batches gave {own.n_rows} rows, a later one {n_rows}: pass "
            "a source that gives the same rows in every pass"
        )
    if found.digest != own.digest:
        raise ValueError(
            f"the first pass over batches gave other rows than a later one ({n_rows} in each): "
            "pass a source that gives the same rows in every pass"
        )
    if in_order and found.checksum != own.checksum:
        raise ValueError(
            "batches gave the rows in another order than in the first pass: with a checkpoint "
            "they must not be shuffled, because it may be written in the middle of a pass"
        )
    return state


def total_of(sums: tuple[Sums, ...]) -> tuple[Any, Any, Any]:
    """The sums over the devices of this process."""
    totals = [jax.device_get(of_one.total) for of_one in sums]
    return jax.tree.map(lambda *leaves: np.sum(leaves, axis=0, dtype=leaves[0].dtype), *totals)


@jit
def concluded(
    progress: Progress, candidate: Mixture, total: tuple[Any, Any, Any], reg: Array, tol: Array
) -> tuple[Progress, Mixture]:
    """The state after a whole pass: accept or reject its mixture, and make the next one."""
    energy, stats, n_rows = total
    progress = accepted(progress, EMState(candidate, energy / n_rows, stats), tol)
    kept = progress.state
    return progress, m_step_of(kept.mixture.components, kept.stats, reg)
