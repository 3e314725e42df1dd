"""The loop that drives every solver, and how it ended."""

import enum
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import jax
import jax.numpy as jnp
from jax import Array, lax

from ..families.moments import smallest_share
from ..mixture.mixture import Mixture
from ..pytrees import pytree
from ..rows.blocks import Rows
from ..rows.scaling import Scale


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
    TOO_FEW_ROWS = 4


class State(Protocol):
    """What a solver carries from one iteration to the next."""

    @property
    def mixture(self) -> Mixture: ...

    @property
    def energy(self) -> Array: ...


class Solver(Protocol):
    """The protocol of a solver: a pytree of options with two pure methods.

    ``init(mixture, rows, scale)`` returns a state with the attributes ``mixture`` and
    ``energy``, the mean energy of the mixture. ``step(state, rows, scale)`` returns the next
    state. ``rows`` is the standardized table in blocks, ``scale`` says how it was scaled.
    A solver may have ``reg_covar``, the ridge of the first M-step and of its own steps. Without
    it, the ridge is that of the first solver among its attributes (or in a list or tuple there),
    such as ``em`` below. None, the default, is 1e-6 of each feature's variance.

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


def ridges_of(solver: Any) -> list[Any]:
    """The ``reg_covar`` of a solver, or of the solvers that it wraps, in order."""
    if hasattr(solver, "reg_covar"):
        return [solver.reg_covar]
    found = []
    for value in getattr(solver, "__dict__", {}).values():
        for inner in value if isinstance(value, list | tuple) else (value,):
            if is_solver(inner):
                found += ridges_of(inner)
    return found


def ridge_of(solver: Any) -> Any:
    """The ``reg_covar`` of the first M-step, or None."""
    return next(iter(ridges_of(solver)), None)


def is_solver(value: Any) -> bool:
    """Whether it is an object with the methods of a solver (a class does not count)."""
    return hasattr(value, "init") and hasattr(value, "step") and not isinstance(value, type)


# What a loop carries: a tuple that begins with a `Progress`.
C = TypeVar("C", bound=tuple[Any, ...])
WhileLoop = Callable[[Callable[[Any], Any], Callable[[Any], Any], Any], Any]
RUNNING = -1  # the status of a fit that has not ended


@pytree
class Solution:
    """A mixture of the scaled columns, its mean energy, the number of iterations, the status."""

    mixture: Mixture
    energy: Array
    n_iter: Array
    status: Array


@pytree
class Progress:
    """The state of a solver, the number of iterations and the status so far."""

    state: Any
    n_iter: Array
    status: Array

    def unfinished(self, limit: Array) -> Array:
        """Whether the fit goes on: it has not ended and ``limit`` is not reached.

        What comes before the first iteration is always done: a fit of rows that cannot be fitted
        returns the mixture of its start.
        """
        return (self.n_iter < 0) | ((self.status == RUNNING) & (self.n_iter < limit))

    def solution(self, active: Array | None = None) -> Solution:
        """The result of a fit that stops here; without convergence the status is MAX_ITER.

        Inactive components (K,) are held at weight zero; they do not make a fit DEGENERATE.
        """
        state = self.state
        status = jnp.where(self.status == RUNNING, Status.MAX_ITER, self.status)
        share = jnp.exp(state.mixture.log_weights)  # normalized, as every solver leaves them
        empty = share < 2 * smallest_share(share.dtype)
        empty = jnp.any(empty if active is None else empty & active)
        degenerate = empty & (status != Status.NONFINITE) & (status != Status.TOO_FEW_ROWS)
        status = jnp.where(degenerate, Status.DEGENERATE, status).astype(jnp.int32)
        return Solution(state.mixture, state.energy, self.n_iter, status)


def progress_of(solver: Any, state: Any, rows: Rows) -> Progress:
    """The progress before the first iteration, from the state of the solver."""
    active = getattr(solver, "active", None)
    n_components = state.mixture.n_components if active is None else jnp.sum(active)
    status = first_status(rows, n_components)
    if getattr(solver, "lazy", False):
        # The first E-step, and M-steps from a given assignment, are part of the loop.
        return Progress(state, -1 - state.given, status)
    nonfinite = (status == RUNNING) & ~_is_finite(state)
    return Progress(state, jnp.int32(0), jnp.where(nonfinite, Status.NONFINITE, status))


def first_status(rows: Rows, n_components: int | Array) -> Array:
    """The status before the first E-step: why the rows cannot be fitted, or RUNNING."""
    status = jnp.where(rows.n_present < n_components, Status.TOO_FEW_ROWS, RUNNING)
    return jnp.where(rows.nonfinite, Status.NONFINITE, status).astype(jnp.int32)


def iterate(solver: Solver, old: Progress, rows: Rows, scale: Scale, tol: Array) -> Progress:
    """One iteration, undone if its result is not finite."""
    return accepted(old, solver.step(old.state, rows, scale), tol)


def accepted(old: Progress, new: Any, tol: Array) -> Progress:
    """The progress with a new state, or with the old one where the new is not finite."""
    finite, first = _is_finite(new), old.n_iter < 0
    converged = finite & ~first & (jnp.abs(new.energy - old.state.energy) < tol)
    status = jnp.where(converged, Status.CONVERGED, RUNNING)
    status = jnp.where(finite, status, Status.NONFINITE)
    status = jnp.where(old.status == RUNNING, status, old.status).astype(jnp.int32)
    kept = jax.tree.map(lambda a, b: jnp.where(finite, a, b), new, old.state)
    return Progress(kept, old.n_iter + (finite | first).astype(jnp.int32), status)


def loop(once: Callable[[C], C], carry: C, limit: Any, while_loop: WhileLoop = lax.while_loop) -> C:
    """The loop of every fit: ``carry = once(carry)`` until the fit has ended.

    Args:
      once: one iteration.
      carry: a tuple that begins with a `Progress`.
      limit: the largest number of iterations.
      while_loop: `lax.while_loop`, or `on_host` if iterations run on the host.

    Returns:
      The last carry.
    """
    return while_loop(lambda carry: carry[0].unfinished(limit), once, carry)


def on_host(goes_on: Callable[[C], Any], once: Callable[[C], C], carry: C) -> C:
    """`lax.while_loop` for iterations that cannot be compiled, such as passes over a file."""
    while goes_on(carry):
        carry = once(carry)
    return carry


def advance(
    solver: Solver, progress: Progress, rows: Rows, scale: Scale, tol: Array, limit: Array
) -> Progress:
    """Iterate until the fit ends or has done ``limit`` iterations."""

    def once(carry: tuple[Progress]) -> tuple[Progress]:
        return (iterate(solver, carry[0], rows, scale, tol),)

    return loop(once, (progress,), limit)[0]


def solve(
    solver: Any,
    progress: Progress,
    rows: Rows,
    scale: Scale,
    tol: Array,
    max_iter: Array,
    n_recorded: int = 0,
) -> tuple[Solution, Array]:
    """Iterate until the mean energy changes by less than ``tol``.

    NaN never reads as convergence: an iteration whose result is not finite is undone,
    and ends the fit with `Status.NONFINITE`. Also returns the energies after
    0, 1, ... ``n_recorded - 1`` iterations, padded with the last one.
    """
    active = getattr(solver, "active", None)
    energies = jnp.full((n_recorded,), progress.state.energy)
    if n_recorded == 0:
        progress = advance(solver, progress, rows, scale, tol, max_iter)
        return progress.solution(active), energies
    reached = jnp.arange(n_recorded, dtype=jnp.int32)

    def once(carry: tuple[Progress, Array]) -> tuple[Progress, Array]:
        progress = iterate(solver, carry[0], rows, scale, tol)
        after = jnp.where(reached >= progress.n_iter, progress.state.energy, carry[1])
        return progress, after

    progress, energies = loop(once, (progress, energies), max_iter)
    return progress.solution(active), energies


def _is_finite(state: State) -> Array:
    """() whether all parameters are finite; a log-weight may be -inf."""
    leaves = jax.tree.leaves((state.mixture.components, state.energy))
    finite = [jnp.all(jnp.isfinite(leaf)) for leaf in leaves]
    return jnp.all(jnp.stack([*finite, jnp.all(state.mixture.log_weights < jnp.inf)]))
