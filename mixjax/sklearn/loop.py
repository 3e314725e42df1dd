"""EM in the order of scikit-learn's steps, and what can be asked of a mixture, as NumPy."""

import contextlib
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from ..fitting.em import EM, maximised
from ..mixture.maximization import rescaled, ridge, unscaled
from ..mixture.mixture import Mixture, assignment
from ..programs import jit
from ..pytrees import pytree
from ..rows.blocks import Table, map_rows
from ..rows.scaling import standardized

# Tables up to so many rows are filled up to a power of two with rows of weight zero: the
# folds of a cross-validation then share one compiled program.
FILLED = 2**14
# Iterations for which one call records the lower bounds.
RECORDED = 100


@pytree
class Run:
    """Some iterations of EM: the mixture after them, and the mean energy before each."""

    mixture: Mixture
    energies: Array
    n_iter: Array
    converged: Array
    finite: Array


def precision(dtype: Any) -> Any:
    """A context in which JAX has this dtype."""
    return jax.enable_x64(True) if dtype == np.float64 else contextlib.nullcontext()


def filled(x: np.ndarray, weights: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | None]:
    """The rows and their weights, short tables up to the next power of two."""
    n = len(x)
    if n > FILLED:
        return x, weights
    more = max(64, 1 << (n - 1).bit_length()) - n
    weights = np.ones(n, x.dtype) if weights is None else weights
    return np.concatenate([x, np.repeat(x[:1], more, axis=0)]), np.pad(weights, (0, more))


@jit
def iterate(
    mixture: Mixture,
    x: Array,
    weights: Array | None,
    reg_covar: Array,
    tol: Array,
    limit: Array,
    previous: Array,
) -> Run:
    """Iterate up to ``limit`` times from a mixture, whose last mean energy was ``previous``.

    An iteration is an E-step and then an M-step, and converged is one whose E-step found
    nearly the energy of the one before: the M-step is taken nevertheless.
    """
    family = type(mixture.components)
    table = Table.of(x, weights, mixture.n_components)
    rows, scale = standardized(table, family.scaling, family.order_statistics)
    jacobian = jnp.sum(jnp.log(scale.scale))
    # Below this a variance is rounding; it keeps a collapsed component where it is seen.
    floor = float(jnp.finfo(x.dtype).eps) ** 2
    reg = jnp.maximum(ridge(reg_covar, scale), floor)
    energies = jnp.zeros((RECORDED,), x.dtype)

    def unfinished(run: Run) -> Array:
        return (run.n_iter < limit) & ~run.converged & run.finite

    def once(carry: tuple[Run, Array]) -> tuple[Run, Array]:
        run, before = carry
        state = EM().expect(run.mixture, rows)
        after = maximised(state, rows, reg)
        energy = state.energy + jacobian
        finite = jnp.isfinite(energy)
        for leaf in jax.tree.leaves(after):
            finite &= jnp.all(jnp.isfinite(leaf))
        kept = jax.tree.map(lambda new, old: jnp.where(finite, new, old), after, run.mixture)
        converged = finite & (jnp.abs(energy - before) < tol)
        recorded = run.energies.at[run.n_iter].set(energy)
        return Run(kept, recorded, run.n_iter + 1, converged, finite), energy

    begin = unscaled(mixture, scale, family.scaling)
    # Not normalized: of scikit-learn's seeds each has the weight of a row, and no other has any.
    begin = Mixture(mixture.log_weights, begin.components)
    start = Run(
        begin, energies, jnp.int32(0), jnp.bool_(False),
        ~rows.nonfinite,
    )  # fmt: skip
    run, _ = lax.while_loop(lambda carry: unfinished(carry[0]), once, (start, previous))
    return Run(
        rescaled(run.mixture, scale, family.scaling), run.energies, run.n_iter, run.converged,
        run.finite,
    )  # fmt: skip


def ask(question: Any, mixture: Mixture, x: np.ndarray) -> np.ndarray:
    """The answers for each row (N, ...) of a question such as `labels`."""
    rows, _ = filled(x, None)
    return np.asarray(_answers(question, mixture, rows))[: len(x)]


@functools.partial(jit, static_argnums=0)
def _answers(question: Any, mixture: Mixture, x: Array) -> Array:
    def block(rows: Array) -> Array:
        return question(mixture, rows)

    return map_rows(block, x, mixture.n_components * mixture.n_features)


def labels(mixture: Mixture, x: Array) -> Array:
    """(N,) the most probable component."""
    return jnp.argmax(assignment(mixture, x), axis=0)


def probabilities(mixture: Mixture, x: Array) -> Array:
    """(N, K) the responsibilities."""
    return assignment(mixture, x).T
