"""Many fits side by side: a pool of lanes that runs in rounds and is refilled.

``vmap`` of a fit runs every lane until the slowest stops. Here a pool of lanes runs a few
iterations at a time; lanes that are done are replaced by waiting ones.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from ..families.family import Family
from ..fitting.outcome import Fit
from ..fitting.problem import Problem, in_units, table_for
from ..fitting.recipe import Recipe
from ..fitting.solver import Progress, Status, advance
from ..programs import BySize
from ..pytrees import pytree
from ..rows.scaling import Scale

# Lanes that iterate together. On a CPU few lanes share the cache and wait for the slowest of
# them; an accelerator needs many.
ABREAST = {"cpu": 64}
ABREAST_ELSEWHERE = 1024
# Numbers in the tables of a pool, unless batch_size is given.
POOL_SIZE = {"cpu": 2**22}
POOL_SIZE_ELSEWHERE = 2**27
FIRST_ROUND, LONGEST_ROUND = 4, 64
# One table that is fitted again and again is worth as much compiling as this many are once.
ITERATIONS = 128


@pytree
class Lane:
    """An unfinished fit and its table; in a pool every leaf has two leading axes."""

    progress: Progress
    problem: Problem
    solver: Any


def pool_shape(n_lanes: int, table_size: int, batch_size: int | None) -> tuple[int, int]:
    """The number of blocks of a pool and of lanes in a block."""
    backend = jax.default_backend()
    room = POOL_SIZE.get(backend, POOL_SIZE_ELSEWHERE) // max(table_size, 1)
    room = batch_size or max(1, room)
    abreast = ABREAST.get(backend, ABREAST_ELSEWHERE)
    # With whole blocks only, the program of a lane does not depend on the number of lanes.
    width = min(abreast, room)
    return max(1, min(room // width, 8, -(-n_lanes // width))), width


def _begun(key: Array, x: Array, weights: Array, recipe: Recipe) -> Lane:
    """Lanes before their first iteration, from keys (C,), tables (C, N, D), weights (C, N)."""
    k = recipe.n_components

    def one(key: Array, x: Array, weights: Array) -> Lane:
        problem = Problem.of(table_for(recipe.family, x, weights, k), k, recipe.family)
        assignment = problem.assignment(key, x, weights, recipe.start)
        solver, progress = problem.begin(recipe.solver, assignment)
        return Lane(progress, problem, solver)

    return jax.vmap(one)(key, x, weights)


def _admitted(pool: Lane, new: Lane, index: Array, alive: Array) -> Lane:
    """The pool (M, C, ...) with the lanes ``index`` (M, C) of the old and new lanes together."""

    def chosen(old: Array, new: Array) -> Array:
        flat = old.reshape(-1, *old.shape[2:])
        return jnp.concatenate([flat, new])[index]

    lanes = jax.tree.map(chosen, pool, new)
    status = jnp.where(alive, lanes.progress.status, Status.MAX_ITER)
    progress = Progress(lanes.progress.state, lanes.progress.n_iter, status)
    return Lane(progress, lanes.problem, lanes.solver)


def _advanced(
    progress: Progress,
    pool: Lane,
    tol: Array,
    max_iter: Array,
    n_blocks: Array,
    n_steps: Array,
) -> tuple[Progress, Array]:
    """The pool's progress after at most ``n_steps`` iterations of its first blocks.

    Also returns which lanes are done (M, C).
    """

    def block(i: Array, progress: Progress) -> Progress:
        own, problems, solvers = jax.tree.map(
            lambda leaf: leaf[i], (progress, pool.problem, pool.solver)
        )

        def lane(progress: Progress, problem: Problem, solver: Any) -> Progress:
            limit = jnp.minimum(max_iter, progress.n_iter + n_steps)
            return advance(solver, progress, problem.rows, problem.scale, tol, limit)

        new = jax.vmap(lane)(own, problems, solvers)
        return jax.tree.map(lambda all_, one: all_.at[i].set(one), progress, new)

    progress = lax.fori_loop(0, n_blocks, block, progress)
    return progress, ~progress.unfinished(max_iter)


def _first_block(pool: Lane) -> Lane:
    """The lanes of the first block (C, ...)."""
    return jax.tree.map(lambda leaf: leaf[0], pool)


def _finished(progress: Progress, scale: Scale, slots: Array, family: type[Family]) -> Fit:
    """The fits in these slots (C,) of a pool."""

    def chosen(leaf: Array) -> Array:
        return leaf.reshape(-1, *leaf.shape[2:])[slots]

    own, units = jax.tree.map(chosen, (progress, scale))
    return jax.vmap(lambda p, s: in_units(p.solution(), s, family))(own, units)


begun, advanced = BySize(_begun), BySize(_advanced)
admitted = BySize(_admitted, donate_argnums=0)
first_block, finished = BySize(_first_block), BySize(_finished, static_argnums=3)


class Pool:
    """The lanes of one worker on one device; `step` is one round."""

    def __init__(
        self, source: Any, device: Any, shape: tuple[int, int], recipe: Recipe, work: int
    ) -> None:
        self.source, self.device, self.shape, self.recipe = source, device, shape, recipe
        self.work = work // ITERATIONS  # of all lanes, for which programs are compiled
        self.lane_of = np.full(shape[0] * shape[1], -1)  # the lane in each slot
        self.lanes: Lane | None = None
        self.n_steps = FIRST_ROUND

    def step(self) -> bool:
        """Admit new lanes, iterate, hand over finished fits; returns whether more is to be done."""
        width = self.shape[1]
        while (self.lane_of < 0).sum() >= width:
            chunk = self.source.take(width)
            if chunk is None:
                break
            self._admit(*chunk)
        n_active = int((self.lane_of >= 0).sum())
        if n_active == 0 or self.lanes is None:
            return False
        lanes = self.lanes
        progress, done = advanced.for_size(self.work)(
            lanes.progress, lanes, self.recipe.tol, self.recipe.max_iter,
            np.int32(-(-n_active // width)), np.int32(self.n_steps),
        )  # fmt: skip
        self.lanes = Lane(progress, lanes.problem, lanes.solver)
        ended = np.flatnonzero(np.asarray(done).reshape(-1) & (self.lane_of >= 0))
        # Slow lanes are checked less often.
        self.n_steps = FIRST_ROUND if len(ended) else min(2 * self.n_steps, LONGEST_ROUND)
        for first in range(0, len(ended), width):
            slots = ended[first : first + width]
            padded = np.resize(slots, width)
            program = finished.for_size(self.work)
            fits = program(progress, lanes.problem.scale, padded, self.recipe.family)
            self.source.put(self.lane_of[slots], jax.tree.map(np.asarray, fits))
        self.lane_of[ended] = -1
        if len(ended):
            self._close_ranks()
        return True

    def _admit(self, numbers: np.ndarray, key: Array, x: np.ndarray, weights: np.ndarray) -> None:
        key, x, weights = jax.device_put((key, x, weights), self.device)
        new = begun.for_size(self.work)(key, x, weights, self.recipe)
        if self.lanes is None:
            self.lanes = jax.tree.map(
                lambda leaf: jax.device_put(
                    np.zeros(self.shape + leaf.shape[1:], leaf.dtype), self.device
                ),
                jax.eval_shape(lambda lanes: lanes, new),
            )
        active = np.flatnonzero(self.lane_of >= 0)
        index = np.concatenate([active, len(self.lane_of) + np.arange(len(numbers))])
        self._arrange(new, index, np.concatenate([self.lane_of[active], numbers]))

    def _close_ranks(self) -> None:
        """Move the unfinished lanes to the front, so that whole blocks can be skipped."""
        active = np.flatnonzero(self.lane_of >= 0)
        blocks = -(-len(active) // self.shape[1])
        if len(active) == 0 or active[-1] < blocks * self.shape[1] or self.lanes is None:
            return
        first = first_block.for_size(self.work)(self.lanes)
        self._arrange(first, active, self.lane_of[active])

    def _arrange(self, new: Lane, index: np.ndarray, numbers: np.ndarray) -> None:
        self.lane_of[:] = -1
        self.lane_of[: len(numbers)] = numbers
        places = np.zeros(self.shape[0] * self.shape[1], np.int32)
        places[: len(index)] = index
        alive = (self.lane_of >= 0).reshape(self.shape)
        program = admitted.for_size(self.work)
        self.lanes = program(self.lanes, new, places.reshape(self.shape), alive)
