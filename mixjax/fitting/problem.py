"""What is to be fitted: rows in scaled blocks, and the map back to their units."""

import dataclasses
import math
from typing import Any, Self, cast

import jax
import jax.numpy as jnp
from jax import Array

from ..families.family import Family
from ..mixture.assignment import Assignment
from ..mixture.maximization import first_m_step, rescaled, ridge, unscaled
from ..mixture.mixture import Mixture
from ..pytrees import pytree, static
from ..rows.blocks import Rows, Table
from ..rows.host_table import HostTable
from ..rows.scaling import Scale
from .assigning import assignment_of
from .em import EM, EStepFirst
from .frozen import frozen_of
from .outcome import Fit, best
from .recipe import Recipe
from .solver import Progress, Solution, Status, progress_of, ridge_of, solve


@pytree
class Problem:
    """Scaled rows, and the K components of a family to fit to them.

    Attributes:
      rows: the table in scaled blocks.
      scale: how its columns were scaled.
      n_components: K.
      family: the class of the components.
      active: (K,) the components that have a weight, or None for all.
    """

    rows: Rows
    scale: Scale
    n_components: int = static()
    family: type[Family] = static()
    active: Array | None = None

    @classmethod
    def of(
        cls, table: Table | HostTable, n_components: int, family: type[Family], sort: bool = True
    ) -> Self:
        """The problem of a table whose columns are scaled as the family allows.

        Without sorting, the M-step uses sums, also where the family would use the order.
        """
        sort = sort and family.needs_sorted_rows and not table.axes
        rows, scale = family.scaled_rows(table, sort)
        return cls(rows, scale, n_components, family)

    @classmethod
    def in_scale(cls, table: Table, scale: Scale, n_components: int, family: type[Family]) -> Self:
        """The problem of a part of the rows, in the scale of all rows."""
        rows = family.rows_in_scale(table, scale)
        if family.needs_sorted_rows:
            rows = rows.sorted(table.x[:, : family.n_columns(table.x.shape[1])])
        return cls(rows, scale, n_components, family)

    def assignment(self, key: Array, x: Array, weights: Array | None, start: Any) -> Assignment:
        """What a start gives for the table x (N, D) of these rows."""
        k = self.n_components
        found = assignment_of(start, key, x, k, weights, self.rows, self.family)
        return cast(Assignment, self.family.informed(x, found, k))

    def maximized(self, assignment: Assignment, solver: Any) -> Mixture:
        """The mixture of the M-step from an assignment."""
        reg = ridge(ridge_of(solver), self.scale)
        return first_m_step(self.family, self.rows, assignment, self.n_components, reg)

    def scaled(self, mixture: Mixture) -> Mixture:
        """A mixture in the units of x, mapped to the scaled columns."""
        return unscaled(mixture, self.scale, self.family.scaling)

    def begin(self, solver: Any, begin: Mixture | Assignment) -> tuple[Any, Progress]:
        """The solver for these rows, and its progress before the first iteration.

        Args:
          solver: `EM` becomes one whose iterations begin with an E-step.
          begin: a mixture of the scaled columns, or the assignment of a start.
        """
        if type(solver) is EM:
            reg = ridge(solver.reg_covar, self.scale)
            solver, state = EStepFirst.of(
                begin, self.rows, self.family, self.n_components, reg, self.active, solver.frozen
            )
            return solver, progress_of(solver, state, self.rows)
        mixture = begin if isinstance(begin, Mixture) else self.maximized(begin, solver)
        state = solver.init(mixture, self.rows, self.scale)
        return solver, progress_of(solver, state, self.rows)

    def solve(
        self, solver: Any, begin: Mixture | Assignment, tol: Any, max_iter: Any, n_recorded: int = 0
    ) -> tuple[Fit, Array]:
        """The fit from a mixture or an assignment, and the energy after each iteration.

        Both are in the units of x; see `solver.solve`.
        """
        if frozen_of(solver):
            # Sums alone, which say what is best given the frozen parameters.
            rows = dataclasses.replace(self.rows, order=None, rank=None)
            self = dataclasses.replace(self, rows=rows)
        tol = jnp.asarray(tol, self.rows.x.dtype)
        limit = jnp.asarray(max_iter, jnp.int32)
        solver, progress = self.begin(solver, begin)
        solution, energies = solve(solver, progress, self.rows, self.scale, tol, limit, n_recorded)
        return self.in_units(solution), energies + log_volume(self.scale)

    def in_units(self, solution: Solution) -> Fit:
        """A solution for the scaled columns, mapped to a fit in the units of x."""
        return in_units(solution, self.scale, self.family)


def table_for(
    family: type[Family], x: Array, weights: Array | None, k: int, axes: Any = ()
) -> Table:
    """The table x (N, D) in blocks of a good length for k components of the family."""
    return Table.of(x, weights, k * family.bulk(x.shape[1]), axes)


def best_of_starts(
    key: Array, problem: Problem, x: Array, weights: Array | None, recipe: Recipe
) -> Fit:
    """The best fit from the starts of a table x (N, D)."""

    def once(key: Array) -> Fit:
        begin = problem.assignment(key, x, weights, recipe.start)
        return problem.solve(recipe.solver, begin, recipe.tol, recipe.max_iter)[0]

    if recipe.n_init == 1:
        return once(key)
    return best(jax.vmap(once)(jax.random.split(key, recipe.n_init)))


def log_volume(scale: Scale) -> Array:
    """Energy in the units of x minus energy of the scaled columns, in nats."""
    return jnp.sum(jnp.log(scale.scale)) if scale.volume is None else scale.volume


def in_units(solution: Solution, scale: Scale, family: type[Family]) -> Fit:
    """A solution for scaled columns, mapped to a fit in the units of x.

    A parameter that is NaN is replaced by that of a standard component of the table. A parameter
    that underflows in these units (a width of 1e-3 scales of 1e-37 is 0) makes the fit NONFINITE.
    """
    own = solution.mixture
    standard = family.standard(own.n_components, own.n_features, own.components.dtype)
    log_weights = jnp.where(
        jnp.isnan(own.log_weights), -math.log(own.n_components), own.log_weights
    )
    components = jax.tree.map(_numbers, own.components, standard)
    mixture = rescaled(Mixture(log_weights, components), scale, family.scaling)
    # Unconstrained, a width of 0 is not finite either.
    leaves = jax.tree.leaves(mixture.components.unconstrain())
    usable = jnp.all(jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in leaves]))
    status = jnp.where(usable, solution.status, Status.NONFINITE).astype(jnp.int32)
    largest = float(jnp.finfo(own.log_weights.dtype).max)
    components = jax.tree.map(lambda leaf: jnp.clip(leaf, -largest, largest), mixture.components)
    energy = solution.energy + log_volume(scale)
    return Fit(Mixture(log_weights, components), energy, solution.n_iter, status)


def _numbers(leaf: Array, standard: Array) -> Array:
    return jnp.where(jnp.isfinite(leaf), leaf, standard)
