"""One loop drives every solver, and says how it ended."""

import enum
from typing import Any, Protocol

import jax
import jax.numpy as jnp
from jax import Array, lax

from .families.family import smallest_share
from .mixture import Mixture
from .pytree import pytree
from .rows import Rows
from .scaling import Scale


class Status(enum.IntEnum):
    """How a fit ended; ``fit.status`` holds one of these numbers.

    Example:
      >>> import mixjax
      >>> mixjax.Status(1).name
      'MAX_ITER'
    """

    CONVERGED = 0
    MAX_ITER = 1
    NONFINITE = 2
    DEGENERATE = 3


class State(Protocol):
    """What a solver carries from one iteration to the next."""

    @property
    def mixture(self) -> Mixture: ...

    @property
    def energy(self) -> Array: ...


class Solver(Protocol):
    """What `fit` asks of a solver: two pure functions of a pytree of options.

    ``init(mixture, rows, scale)`` gives a state with the attributes ``mixture`` and
    ``energy``, the mean energy of that mixture; ``step(state, rows, scale)`` gives the
    next one. ``rows`` is the standardised table in blocks, ``scale`` how it was scaled.

    Example:
      >>> import jax, jax.numpy as jnp, mixjax
      >>> @mixjax.pytree
      ... class Patient:                                    # two EM steps an iteration
      ...     em: mixjax.EM
      ...     def init(self, mixture, rows, scale):
      ...         return self.em.init(mixture, rows, scale)
      ...     def step(self, state, rows, scale):
      ...         return self.em.step(self.em.step(state, rows, scale), rows, scale)
      >>> x = jax.random.normal(jax.random.key(0), (200, 2))
      >>> fit = mixjax.fit(jax.random.key(1), x, 2, solver=Patient(mixjax.EM()))
      >>> bool(fit.status == mixjax.Status.CONVERGED)
      True
    """

    def init(self, mixture: Mixture, rows: Rows, scale: Scale) -> Any: ...

    def step(self, state: Any, rows: Rows, scale: Scale) -> Any: ...


@pytree
class Solution:
    """A mixture of the scaled columns, its mean energy, the iterations and the status."""

    mixture: Mixture
    energy: Array
    n_iter: Array
    status: Array


def _is_finite(state: State) -> Array:
    leaves = jax.tree.leaves((state.mixture, state.energy))
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in leaves]))


def solve(
    solver: Solver,
    mixture: Mixture,
    rows: Rows,
    scale: Scale,
    tol: Array,
    max_iter: Array,
    n_recorded: int = 0,
) -> tuple[Solution, Array]:
    """Iterate until the mean energy changes by less than ``tol``.

    NaN never reads as convergence: an iteration whose result is not finite is undone,
    and ends the fit with `Status.NONFINITE`. Beside the solution comes the energy after
    0, 1, ... ``n_recorded - 1`` iterations; the last one fills what was not reached.
    """
    running = jnp.int32(-1)
    state = solver.init(mixture, rows, scale)
    status = jnp.where(rows.nonfinite | ~_is_finite(state), Status.NONFINITE, running)

    def unfinished(carry: tuple[Any, Array, Array, Array]) -> Array:
        _, n_iter, status, _ = carry
        return (status == running) & (n_iter < max_iter)

    def iterate(carry: tuple[Any, Array, Array, Array]) -> tuple[Any, Array, Array, Array]:
        old, n_iter, _, energies = carry
        new = solver.step(old, rows, scale)
        finite = _is_finite(new)
        converged = finite & (jnp.abs(new.energy - old.energy) < tol)
        status = jnp.where(converged, Status.CONVERGED, running)
        status = jnp.where(finite, status, Status.NONFINITE)
        kept = jax.tree.map(lambda a, b: jnp.where(finite, a, b), new, old)
        n_iter = n_iter + finite.astype(jnp.int32)
        reached = jnp.arange(n_recorded, dtype=jnp.int32) >= n_iter
        return kept, n_iter, status, jnp.where(reached, kept.energy, energies)

    energies = jnp.full((n_recorded,), state.energy)
    carry = (state, jnp.int32(0), status.astype(jnp.int32), energies)
    state, n_iter, status, energies = lax.while_loop(unfinished, iterate, carry)
    status = _ended(state, status)
    return Solution(state.mixture, state.energy, n_iter, status), energies


def _ended(state: State, status: Array) -> Array:
    """The status of a fit that stopped: MAX_ITER, or DEGENERATE with an empty component."""
    status = jnp.where(status < 0, Status.MAX_ITER, status)
    share = jnp.exp(state.mixture.log_weights)
    empty = jnp.any(share < 2 * smallest_share(share.dtype))
    degenerate = empty & (status != Status.NONFINITE)
    return jnp.where(degenerate, Status.DEGENERATE, status).astype(jnp.int32)
