"""A fit of rows that are spread over devices; each device works on its own rows."""

from typing import Any

import jax
from jax import Array

from ..mixture.mixture import Mixture
from ..rows.blocks import Axes
from ..rows.sharded import gathered, on_shards
from ..rows.subsample import seed_of
from .em import EM
from .outcome import Fit, best
from .problem import Problem, table_for
from .recipe import Recipe

# Rows that a start uses.
SAMPLE = 2**16


def fit_on_mesh(key: Array, x: Array, weights: Array | None, recipe: Recipe, where: Any) -> Fit:
    """`fit` for rows that lie on the devices of a mesh."""
    _check_sums(recipe.solver)
    same = (jax.random.key_data(key), recipe)
    return on_shards(_fit_shards, jax.random.key_impl(key), where, same, x, weights)


def fit_on_mesh_from(
    mixture: Mixture,
    x: Array,
    weights: Array | None,
    solver: Any,
    tol: Any,
    max_iter: Any,
    n_recorded: int,
    where: Any,
) -> tuple[Fit, Array]:
    """`fit_history` for rows that lie on the devices of a mesh."""
    _check_sums(solver)
    same = (mixture, solver, tol, max_iter)
    return on_shards(_fit_shards_from, n_recorded, where, same, x, weights)


def _check_sums(solver: Any) -> None:
    if not isinstance(solver, EM):
        raise TypeError(
            f"only mixjax.EM can fit rows that are spread over devices, got {solver!r}: gather x "
            "to one device to use it"
        )


def _fit_shards(kind: Any, axes: Axes, same: Any, x: Array, weights: Array | None) -> Fit:
    """The fit on the rows of one device; the start uses a subsample of the rows of all devices."""
    key_data, recipe = same
    k, family = recipe.n_components, recipe.family
    problem = Problem.of(table_for(family, x, weights, k, axes), k, family)
    key = jax.random.wrap_key_data(key_data, impl=kind)
    seed = seed_of(key)
    rows = gathered(x, axes, SAMPLE, seed)
    row_weights = None if weights is None else gathered(weights, axes, SAMPLE, seed)
    some = Problem.in_scale(table_for(family, rows, row_weights, k), problem.scale, k, family)

    def once(key: Array) -> Fit:
        assignment = some.assignment(key, rows, row_weights, recipe.start)
        begin = some.maximized(assignment, recipe.solver)
        return problem.solve(recipe.solver, begin, recipe.tol, recipe.max_iter)[0]

    if recipe.n_init == 1:
        return once(key)
    return best(jax.vmap(once)(jax.random.split(key, recipe.n_init)))


def _fit_shards_from(
    n_recorded: int, axes: Axes, same: Any, x: Array, weights: Array | None
) -> tuple[Fit, Array]:
    """The fit from a mixture on the rows of one device."""
    mixture, solver, tol, max_iter = same
    k, family = mixture.n_components, type(mixture.components)
    problem = Problem.of(table_for(family, x, weights, k, axes), k, family)
    return problem.solve(solver, problem.scaled(mixture), tol, max_iter, n_recorded)
