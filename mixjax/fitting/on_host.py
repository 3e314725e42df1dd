"""A fit outside of ``jit`` on a CPU: what runs once is done by NumPy, the iterations are compiled.

Rows and components are padded to a few sizes with weights of zero, so that a table of another
length needs no new program.
"""

import dataclasses
import functools
from typing import Any

import jax
import numpy as np
from jax import Array

from ..mixture.assignment import Assignment, Labels, Shares, means_of
from ..mixture.mixture import Mixture
from ..programs import ROOMY, jit, on_device, padded_components
from ..rows.host_table import HostTable
from .assigning import drawn_shares, host_assignment_of
from .em import EM
from .outcome import Fit, best
from .problem import Problem
from .recipe import Recipe
from .starts import RandomResponsibilities


def fit_on_host(key: Array, x: np.ndarray, weights: np.ndarray | None, recipe: Recipe) -> Fit:
    """The best fit from the starts of a table (N, D)."""
    k, family = recipe.n_components, recipe.family
    with np.errstate(all="ignore"):
        table = HostTable.of(x, weights, k * family.bulk(x.shape[1]))
        problem = Problem.of(table, k, family)
        keys = [key] if recipe.n_init == 1 else list(jax.random.split(key, recipe.n_init))
        size = _padded_components(problem, recipe.solver)
        begins = [_assignment(key, x, weights, table, problem, recipe, size) for key in keys]
    problem = _for_solver(problem, recipe.solver)
    if type(recipe.solver) is EM:
        active: Any = np.arange(size) < k
        problem = dataclasses.replace(problem, n_components=size, active=active)
    begin, program = begins[0], solved
    if recipe.n_init > 1:
        begin = jax.tree.map(lambda *leaves: np.stack(leaves), *begins)
        program = solved_each
    fit = program(problem, begin, recipe.solver, recipe.tol, recipe.max_iter)
    return fit if size == k else _first_components(fit, k)


def fit_on_host_from(
    mixture: Mixture, x: np.ndarray, weights: np.ndarray | None, solver: Any, tol: Any,
    max_iter: Any, n_recorded: int,
) -> tuple[Fit, Array]:  # fmt: skip
    """`fit_history` of a table (N, D)."""
    k, family = mixture.n_components, type(mixture.components)
    with np.errstate(all="ignore"):
        table = HostTable.of(x, weights, k * family.bulk(x.shape[1]))
        problem = Problem.of(table, k, family)
    problem = _for_solver(problem, solver)
    return solved_from(problem, mixture, solver, tol, max_iter, n_recorded)


def _assignment(
    key: Array, x: np.ndarray, weights: np.ndarray | None, table: HostTable, problem: Problem,
    recipe: Recipe, size: int,
) -> Assignment:  # fmt: skip
    """What the start gives, with the centers of ``size`` components."""
    k, start, rows = recipe.n_components, recipe.start, problem.rows
    begin: Assignment
    if hasattr(start, "centers"):
        seen = recipe.family.rows_for_start(table, rows)
        begin = host_assignment_of(start, key, seen, len(x), k)
        if not recipe.family.start_is_in_scale():
            begin = Labels(begin.labels)  # the centers are in another scale
    else:
        given: Any
        if isinstance(start, RandomResponsibilities):
            places = np.empty((rows.weights.size, rows.n_features), x.dtype)
            given = drawn_shares(key, places, rows.weights.reshape(-1), k)
        else:
            seen = recipe.family.values_for_start(x)
            on_cpu = on_device(seen), None if weights is None else on_device(weights)
            given = _asked(start, key, *on_cpu, k)
        given = np.asarray(given)
        shares = np.zeros((rows.weights.size, size), x.dtype)
        shares[: len(given), :k] = given
        begin = Shares(shares)  # type: ignore[arg-type]
    begin = recipe.family.informed(x, begin, k)
    centers: Any = begin.centers
    if centers is None:
        centers = means_of(begin, rows, size)
    centers = np.pad(centers, ((0, size - len(centers)), (0, 0)))
    return dataclasses.replace(begin, centers=centers)


@functools.partial(jit, static_argnums=4)
def _asked(start: Any, key: Array, x: Array, weights: Array | None, k: int) -> Array:
    """What a start of the user gives for the exact rows."""
    return start(key, x, k, weights)


def _for_solver(problem: Problem, solver: Any) -> Problem:
    """The problem whose blocks are all looked at, unless EM iterates.

    A loop over a number of blocks that is known only at run time has no gradient.
    """
    if type(solver) is EM:
        return problem
    return dataclasses.replace(problem, rows=dataclasses.replace(problem.rows, n_blocks=None))


def _padded_components(problem: Problem, solver: Any) -> int:
    """The number of components in the program: of small tables 4, 8, 16, ..."""
    k, rows = problem.n_components, problem.rows
    size = padded_components(k, 2)
    return size if type(solver) is EM and rows.x.size * size <= ROOMY else k


def _first_components(fit: Fit, k: int) -> Fit:
    """The fit with its first k components; the others have weight zero."""
    mixture = jax.tree.map(np.asarray, fit.mixture)
    own = Mixture(mixture.log_weights[:k], mixture.components.take(slice(k)))
    # Copies, because JAX may share the memory of an array; in one call, which is faster.
    own = jax.device_put(jax.tree.map(np.array, own))
    return dataclasses.replace(fit, mixture=own)


def _solve(problem: Problem, begin: Any, solver: Any, tol: Any, max_iter: Any) -> Fit:
    return problem.solve(solver, begin, tol, max_iter)[0]


def _solve_each(problem: Problem, begins: Any, solver: Any, tol: Any, max_iter: Any) -> Fit:
    return best(jax.vmap(lambda begin: _solve(problem, begin, solver, tol, max_iter))(begins))


def _solve_from(
    problem: Problem, mixture: Mixture, solver: Any, tol: Any, max_iter: Any, n_recorded: int
) -> tuple[Fit, Array]:
    return problem.solve(solver, problem.scaled(mixture), tol, max_iter, n_recorded)


# Not compiled in haste: iterations would take twice as long.
solved, solved_each = jit(_solve), jit(_solve_each)
solved_from = jit(_solve_from, static_argnums=5)
