"""`fit` and its kin: start, solve, restart, keep the best."""

import dataclasses
import functools
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from .. import checks
from ..families.family import Family
from ..families.gaussian import Gaussian
from ..mixture.mixture import Mixture, require
from ..mixture.opening import Opened, labeled, opened, require_seen
from ..programs import jit
from ..pytrees import pytree
from ..rows.origin import Origin
from ..rows.sharded import automatic, row_mesh
from .em import EM
from .frozen import check_frozen, frozen_of, held
from .on_host import fit_on_host, fit_on_host_from
from .on_mesh import fit_on_mesh, fit_on_mesh_from
from .outcome import Fit
from .problem import Problem, best_of_starts, table_for
from .recipe import Recipe, check_solving
from .solver import Solver
from .starts import KMeans, OwnStart, Start


def fit(
    key: Array,
    x: ArrayLike,
    n_components: int,
    *,
    family: type[Family] = Gaussian,
    weights: ArrayLike | None = None,
    start: Start = KMeans(),  # noqa: B008 - frozen
    n_init: int = 1,
    solver: Solver = EM(),  # noqa: B008 - frozen
    tol: float = 1e-3,
    max_iter: int = 100,
    labels: ArrayLike | None = None,
) -> Fit:
    r"""Fit a mixture: minimize the mean energy $-\tfrac1W\sum_n w_n\log p(x_n)$.

    Columns are centered and scaled inside, and the parameters are mapped back: the fit of
    ``a * x + b`` is the mapped fit of ``x``. Works under ``jit`` and ``vmap``. New values of
    ``tol``, ``max_iter`` and ``reg_covar`` do not compile again.

    Args:
      key: a typed random key.
      x: (N, D) rows, float32 or float64, in any units. NumPy's float64 becomes JAX's
        default float: float32 unless ``jax_enable_x64`` is set. Rows with missing values or
        errors are `mixjax.Observed`. Rows may be spread over
        the devices of a mesh (`NamedSharding`), also over several processes: each device
        works on its own rows, and an iteration adds up the statistics once.
      n_components: K, a Python int.
      family: the class of the components.
      weights: (N,) weight of each row; a row of weight 0 counts as absent.
      start: `KMeans`, `KMeansPlusPlus`, `RandomResponsibilities`, or a function of yours:
        (key, x, K, weights) -> responsibilities (N, K).
      n_init: number of starts, fitted in one batched program; the fit of lowest energy is kept.
      solver: `EM`, `Gradient` or your own.
      tol: the change of the mean energy, in nats, below which the fit has converged.
      max_iter: the largest number of iterations.
      labels: (N,) the component of a row, from 0 to K - 1, or -1 where it is unknown; the energy
        of the fit is then that of the rows with their labels. None if all are unknown.

    Returns:
      The fit. A bad outcome does not raise: look at ``status``, or call `check`. If some
      rows are not finite, the status is `Status.NONFINITE` and the mixture is that of the
      start on the other rows.

    Raises:
      TypeError: the table or weights are not real floating numbers, the key is an old-style
        key, or family is not a `Family`.
      ValueError: shapes are wrong, there are fewer rows than components, or weights or
        options are negative.

    Example:
      >>> import jax, jax.numpy as jnp, mixjax
      >>> x = jnp.concatenate([jnp.linspace(-1, 1, 50), jnp.linspace(9, 11, 150)])[:, None]
      >>> fit = mixjax.fit(jax.random.key(0), x, 2)
      >>> sorted(fit.mixture.weights.round(2).tolist())
      [0.25, 0.75]

    Source: Dempster, Laird and Rubin (1977), section 2; McLachlan and Peel, Finite
    Mixture Models (2000), section 2.8.
    """
    checks.key(key)
    require_seen(x)
    rows = opened(x, family, key, weights, start, solver, tol, max_iter, labels)
    rows = labeled(rows, labels, checks.n_components(n_components, rows.shape[0]))
    table = rows.table
    row_weights = checks.row_weights(weights, table)
    recipe = Recipe.checked(
        n_components, rows.family, start, n_init, solver, tol, max_iter, rows.shape
    )
    check_frozen(solver, checks.family(family), given=False)
    recipe = _seeing(recipe, rows.origin)
    if rows.on_host:
        return _outside(fit_on_host(key, table, _host(row_weights), recipe), rows)
    if where := row_mesh(table):
        return _outside(fit_on_mesh(key, table, row_weights, recipe, where), rows)
    return _outside(_fit(key, automatic(table), automatic(row_weights), recipe), rows)


def fit_from(
    mixture: Mixture,
    x: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    solver: Solver = EM(),  # noqa: B008 - frozen
    tol: float = 1e-3,
    max_iter: int = 100,
    labels: ArrayLike | None = None,
) -> Fit:
    """Fit a mixture starting from a given mixture: a warm start, or your own.

    Args:
      mixture: the mixture to start from, in the units of x.
      x: (N, D) rows, float32 or float64, or `mixjax.Observed` rows.
      weights: (N,) weight of each row; a row of weight 0 counts as absent.
      solver: `EM`, `Gradient` or your own.
      tol: the change of the mean energy, in nats, below which the fit has converged.
      max_iter: the largest number of iterations.
      labels: (N,) the component of a row, -1 where it is unknown; see `fit`.

    Returns:
      The fit; see `fit`.

    Raises:
      TypeError, ValueError: as `fit`; or the mixture has another width or dtype than x.

    Example:
      >>> import jax, mixjax
      >>> x = jax.random.normal(jax.random.key(0), (100, 2))
      >>> rough = mixjax.fit(jax.random.key(1), x, 2, tol=1e-2)
      >>> fine = mixjax.fit_from(rough.mixture, x, tol=1e-6)
      >>> bool(fine.energy <= rough.energy)
      True
    """
    inside, rows, row_weights = _prepared(mixture, x, weights, solver, tol, max_iter, labels)
    fit, _ = _continued(inside, rows.table, row_weights, solver, tol, max_iter, 0)
    return _outside(fit, rows, mixture, solver)


def fit_history(
    mixture: Mixture,
    x: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    solver: Solver = EM(),  # noqa: B008 - frozen
    tol: float = 1e-3,
    max_iter: int = 100,
) -> tuple[Fit, Array]:
    """As `fit_from`, also returning the mean energy after each iteration.

    Args:
      mixture: the mixture to start from, in the units of x.
      x: (N, D) rows, float32 or float64, or `mixjax.Observed` rows.
      weights: (N,) weight of each row.
      solver: `EM`, `Gradient` or your own.
      tol: the change of the mean energy, in nats, below which the fit has converged.
      max_iter: the largest number of iterations, a Python int (it sets the length of the result).

    Returns:
      The fit, and (max_iter + 1,) energies: entry i is the energy after i iterations. After
      the fit has stopped, the last energy repeats.

    Raises:
      TypeError, ValueError: as `fit_from`.

    Example:
      >>> import jax, mixjax
      >>> x = jax.random.normal(jax.random.key(0), (100, 2))
      >>> begin = mixjax.fit(jax.random.key(1), x, 2, max_iter=0).mixture
      >>> result, energies = mixjax.fit_history(begin, x, max_iter=5)
      >>> bool((energies[1:] <= energies[:-1] + 1e-5).all())
      True
    """
    n_recorded = checks.count(max_iter, "max_iter") + 1
    inside, rows, row_weights = _prepared(mixture, x, weights, solver, tol, max_iter)
    fit, energies = _continued(inside, rows.table, row_weights, solver, tol, max_iter, n_recorded)
    return _outside(fit, rows, mixture, solver), energies


def _continued(
    mixture: Mixture, x: Array, weights: Array | None, solver: Any, tol: Any, max_iter: Any, n: int
) -> tuple[Fit, Array]:
    if isinstance(x, np.ndarray):
        return fit_on_host_from(mixture, x, _host(weights), solver, tol, max_iter, n)
    if where := row_mesh(x):
        return fit_on_mesh_from(mixture, x, weights, solver, tol, max_iter, n, where)
    return _fit_from(mixture, automatic(x), automatic(weights), solver, tol, max_iter, n)


def _prepared(
    mixture: Mixture,
    x: Any,
    weights: Any,
    solver: Any,
    tol: Any,
    max_iter: Any,
    labels: Any = None,
) -> tuple[Mixture, Opened, Array | None]:
    require(mixture)
    require_seen(x)
    rows = opened(x, mixture.components.kind, mixture, weights, solver, tol, max_iter, labels)
    checks.width(rows, mixture.n_features)
    rows = labeled(rows, labels, mixture.n_components)
    weights = checks.row_weights(weights, rows.table)
    check_solving(solver, tol, max_iter, rows.shape[1])
    check_frozen(solver, type(mixture.components), given=True)
    dtype = mixture.log_weights.dtype
    if dtype != rows.table.dtype:
        raise TypeError(
            f"the mixture holds {dtype} numbers and x {rows.table.dtype}: convert one of them, "
            "for example x.astype(mixture.log_weights.dtype)"
        )
    return rows.inside(mixture), rows, weights


@pytree
class _Seeing:
    """A start that gets the original rows, not the rows relative to an origin."""

    start: OwnStart
    origin: Origin

    def __call__(self, key: Array, x: Any, n_components: int, weights: Any, /) -> Array:
        low, high = (jnp.asarray(place, x.dtype)[None] for place in self.origin[::-1])
        return self.start(key, (x + low) + high, n_components, weights)


def _seeing(recipe: Recipe, origin: Origin | None) -> Recipe:
    if origin is None or recipe.start.relative:
        return recipe
    return dataclasses.replace(recipe, start=_Seeing(recipe.start, origin))


def _host(weights: Array | None) -> Any:
    return None if weights is None else np.asarray(weights)


def _outside(fit: Fit, rows: Opened, begin: Any = None, solver: Any = None) -> Fit:
    """The fit in the units of the rows; frozen parameters are those of the first mixture."""
    mixture = rows.outside(fit.mixture)
    if begin is not None:
        mixture = held(mixture, begin, frozen_of(solver))
    return dataclasses.replace(fit, mixture=mixture)


@jit
def _fit(key: Array, x: Array, weights: Array | None, recipe: Recipe) -> Fit:
    k = recipe.n_components
    problem = Problem.of(table_for(recipe.family, x, weights, k), k, recipe.family)
    return best_of_starts(key, problem, x, weights, recipe)


@functools.partial(jit, static_argnums=6)
def _fit_from(
    mixture: Mixture,
    x: Array,
    weights: Array | None,
    solver: Any,
    tol: Any,
    max_iter: Any,
    n_recorded: int,
) -> tuple[Fit, Array]:
    k, family = mixture.n_components, type(mixture.components)
    problem = Problem.of(table_for(family, x, weights, k), k, family)
    return problem.solve(solver, problem.scaled(mixture), tol, max_iter, n_recorded)
