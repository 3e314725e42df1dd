"""EM in the order of scikit-learn's steps, and predictions as NumPy arrays."""

import contextlib
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ..families.observing import observing
from ..fitting.em import EM, maximized
from ..fitting.problem import Problem, log_volume
from ..fitting.solver import RUNNING, Progress, Status, iterate, loop
from ..mixture.maximization import rescaled, ridge
from ..mixture.mixture import Mixture, assignment, soft_assignment
from ..programs import jit
from ..pytrees import pytree
from ..rows.blocks import Rows, Table, map_rows
from ..rows.scaling import Scale

# Tables of up to this many rows are padded to a power of two with rows of weight zero, so the
# folds of a cross-validation share one compiled program.
FILLED = 2**14
# The number of lower bounds that one call records.
RECORDED = 100


@pytree
class Run:
    """Some iterations of EM: the final mixture, and the mean energy before each iteration."""

    mixture: Mixture
    energies: Array
    n_iter: Array
    converged: Array
    finite: Array


@pytree
class LastState:
    """A mixture, and the mean energy of the previous one."""

    mixture: Mixture
    energy: Array


@pytree
class MStepLast:
    """EM in the order of scikit-learn: an E-step, then an M-step, with the ridge ``reg`` (D,).

    The energy is that of the E-step, so it is one mixture behind; the first is ``before``.
    """

    reg: Array
    before: Array

    def init(self, mixture: Mixture, rows: Rows, scale: Scale) -> LastState:
        return LastState(mixture, self.before)

    def step(self, state: LastState, rows: Rows, scale: Scale) -> LastState:
        found = EM().expect(state.mixture, rows)
        soft = soft_assignment(state.mixture)
        return LastState(maximized(found, rows, self.reg, soft), found.energy)


def precision(dtype: Any) -> Any:
    """A context in which JAX supports this dtype."""
    return jax.enable_x64(True) if dtype == np.float64 else contextlib.nullcontext()


def observing_mixture(mixture: Mixture) -> Mixture:
    """The mixture for packed rows, see `rows.observed`."""
    components = mixture.components
    return Mixture(mixture.log_weights, observing(components.kind, 0).around(components))


def filled(x: np.ndarray, weights: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | None]:
    """The rows and their weights; short tables are padded to the next power of two."""
    n = len(x)
    if n > FILLED:
        return x, weights
    more = max(64, 1 << (n - 1).bit_length()) - n
    weights = np.ones(n, x.dtype) if weights is None else weights
    return np.concatenate([x, np.repeat(x[:1], more, axis=0)]), np.pad(weights, (0, more))


@jit
def run(
    mixture: Mixture,
    x: Array,
    weights: Array | None,
    reg_covar: Array,
    tol: Array,
    limit: Array,
    previous: Array,
) -> Run:
    """Iterate up to ``limit`` times from a mixture; ``previous`` is the last mean energy.

    An iteration is an E-step and then an M-step. It has converged if the energy of the E-step is
    close to the previous one; the M-step is still taken.
    """
    k, family = mixture.n_components, type(mixture.components)
    problem = Problem.of(Table.of(x, weights, k), k, family)
    rows, scale = problem.rows, problem.scale
    jacobian = log_volume(scale)
    # A variance below this is rounding error. The floor keeps a collapsed component detectable.
    floor = float(jnp.finfo(x.dtype).eps) ** 2
    solver = MStepLast(jnp.maximum(ridge(reg_covar, scale), floor), previous - jacobian)
    # Not normalized: in scikit-learn's starts each seed has the weight of one row, and others none.
    first = Mixture(mixture.log_weights, problem.scaled(mixture).components)
    status = jnp.where(rows.nonfinite, Status.NONFINITE, RUNNING).astype(jnp.int32)
    progress = Progress(solver.init(first, rows, scale), jnp.int32(0), status)

    def once(carry: tuple[Progress, Array]) -> tuple[Progress, Array]:
        progress = iterate(solver, carry[0], rows, scale, tol)
        recorded = carry[1].at[carry[0].n_iter].set(progress.state.energy + jacobian)
        return progress, recorded

    energies = jnp.zeros((RECORDED,), x.dtype)
    progress, energies = loop(once, (progress, energies), limit)
    status = progress.status
    return Run(
        rescaled(progress.state.mixture, scale, family.scaling), energies, progress.n_iter,
        status == Status.CONVERGED, status != Status.NONFINITE,
    )  # fmt: skip


def ask(question: Any, mixture: Mixture, x: np.ndarray) -> np.ndarray:
    """The result (N, ...) of a function of rows such as `labels`."""
    rows, _ = filled(x, None)
    return np.asarray(_answers(question, mixture, rows))[: len(x)]


@functools.partial(jit, static_argnums=0)
def _answers(question: Any, mixture: Mixture, x: Array) -> Array:
    def block(rows: Array) -> Array:
        return question(mixture, rows)

    return map_rows(block, x, mixture.n_components * mixture.n_features)


def labels(mixture: Mixture, x: Array) -> Array:
    """(N,) the most probable component of each row."""
    return jnp.argmax(assignment(mixture, x), axis=0)


def probabilities(mixture: Mixture, x: Array) -> Array:
    """(N, K) the responsibilities."""
    return assignment(mixture, x).T
