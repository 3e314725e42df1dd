"""The front door: start, solve, restart, keep the best."""

import dataclasses
import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from .. import checks
from ..families.family import Family
from ..families.gaussian import Gaussian
from ..mixture.maximization import first_m_step, rescaled, ridge, unscaled
from ..mixture.mixture import Mixture, require
from ..programs import jit
from ..rows.blocks import Axes, Rows, Table
from ..rows.origin import Origin, near, placed, relative
from ..rows.scaling import Scale, standardized
from ..rows.sharded import automatic, gathered, on_shards, row_mesh
from ..rows.subsample import seed_of
from .em import EM
from .outcome import Fit, best
from .solver import Solution, Solver, Status, is_solver, ridge_of, ridges_of, solve
from .starts import Start, assignment_of, is_known, kmeans

# Rows that a start looks at where they are spread over devices.
SAMPLE = 2**16


def fit(
    key: Array,
    x: ArrayLike,
    n_components: int,
    *,
    family: type[Family] = Gaussian,
    weights: ArrayLike | None = None,
    start: Start = kmeans,
    n_init: int = 1,
    solver: Solver = EM(),  # noqa: B008 - frozen
    tol: float = 1e-3,
    max_iter: int = 100,
) -> Fit:
    r"""Fit a mixture: minimise the mean energy $-\tfrac1W\sum_n w_n\log p(x_n)$.

    Columns are centred and scaled inside, and the parameters mapped back, so that a fit
    of ``a * x + b`` is the fit of ``x``, moved. Works under ``jit`` and ``vmap``; other
    values of ``tol``, ``max_iter`` and ``reg_covar`` do not compile again.

    Args:
      key: a typed random key.
      x: (N, D) rows, float32 or float64, in any units. NumPy's float64 becomes JAX's
        default float: float32 unless ``jax_enable_x64`` is set. Rows may be spread over
        the devices of a mesh (`NamedSharding`), also those of other processes: each
        works on its own, and an iteration adds up the statistics, once.
      n_components: K, a Python int.
      family: the class of the components.
      weights: (N,) weight of each row; weight 0 is as if the row were absent.
      start: (key, x, K, weights) -> responsibilities (N, K).
      n_init: starts, fitted as one batched program; the lowest energy is kept.
      solver: `EM`, `Gradient` or one of your own.
      tol: the change of the mean energy, in nats, below which the fit has converged.
      max_iter: the most iterations.

    Returns:
      The fit. Nothing is raised for its outcome: look at ``status``, or call `check`.
      Rows that are not finite give `Status.NONFINITE` and the start's mixture of the
      other rows.

    Raises:
      TypeError: a table or weights that are not real floating numbers, an old-style
        key, a family that is none.
      ValueError: wrong shapes, fewer rows than components, negative weights or options.

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
    family = checks.family(family)
    table, origin = near(checks.rows(x), family.scaling)
    n_components = checks.n_components(n_components, table.shape[0])
    row_weights = checks.row_weights(weights, table)
    n_init = checks.count(n_init, "n_init")
    check_options(start, solver, table.shape[1], tol, max_iter)
    options = (n_components, family, _seeing(start, origin), n_init)
    if where := row_mesh(table):
        _check_sums(solver)
        same = (jax.random.key_data(key), solver, tol, max_iter)
        static = (jax.random.key_impl(key), *options)
        return on_shards(_fit_shards, static, where, same, table, row_weights)
    table, row_weights = automatic(table), automatic(row_weights)
    return _placed(_fit(key, table, row_weights, solver, tol, max_iter, *options), origin)


def fit_from(
    mixture: Mixture,
    x: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    solver: Solver = EM(),  # noqa: B008 - frozen
    tol: float = 1e-3,
    max_iter: int = 100,
) -> Fit:
    """Fit a mixture from one that is already there: a warm start, or one of your own.

    Args:
      mixture: where to begin, in the units of x.
      x: (N, D) rows, float32 or float64.
      weights: (N,) weight of each row; weight 0 is as if the row were absent.
      solver: `EM`, `Gradient` or one of your own.
      tol: the change of the mean energy, in nats, below which the fit has converged.
      max_iter: the most iterations.

    Returns:
      The fit; see `fit`.

    Raises:
      TypeError, ValueError: as `fit`; a mixture of another width or dtype than x.

    Example:
      >>> import jax, mixjax
      >>> x = jax.random.normal(jax.random.key(0), (100, 2))
      >>> rough = mixjax.fit(jax.random.key(1), x, 2, tol=1e-2)
      >>> fine = mixjax.fit_from(rough.mixture, x, tol=1e-6)
      >>> bool(fine.energy <= rough.energy)
      True
    """
    mixture, table, row_weights, origin = _prepared(mixture, x, weights, solver, tol, max_iter)
    fit, _ = _continued(mixture, table, row_weights, solver, tol, max_iter, 0)
    return _placed(fit, origin)


def fit_history(
    mixture: Mixture,
    x: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    solver: Solver = EM(),  # noqa: B008 - frozen
    tol: float = 1e-3,
    max_iter: int = 100,
) -> tuple[Fit, Array]:
    """`fit_from`, with the mean energy after each iteration.

    Args:
      mixture: where to begin, in the units of x.
      x: (N, D) rows, float32 or float64.
      weights: (N,) weight of each row.
      solver: `EM`, `Gradient` or one of your own.
      tol: the change of the mean energy, in nats, below which the fit has converged.
      max_iter: the most iterations, a Python int (it sets the length of the result).

    Returns:
      The fit, and (max_iter + 1,) energies: entry i is that after i iterations; once
      the fit has stopped, the last one repeats.

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
    mixture, table, row_weights, origin = _prepared(mixture, x, weights, solver, tol, max_iter)
    fit, energies = _continued(mixture, table, row_weights, solver, tol, max_iter, n_recorded)
    return _placed(fit, origin), energies


def _continued(
    mixture: Mixture, x: Array, weights: Array | None, solver: Any, tol: Any, max_iter: Any, n: int
) -> tuple[Fit, Array]:
    if where := row_mesh(x):
        _check_sums(solver)
        same = (mixture, solver, tol, max_iter)
        return on_shards(_fit_shards_from, n, where, same, x, weights)
    return _fit_from(mixture, automatic(x), automatic(weights), solver, tol, max_iter, n)


def _check_sums(solver: Any) -> None:
    if not isinstance(solver, EM):
        raise TypeError(
            f"rows that are spread over devices are fitted by mixjax.EM, got {solver!r}: bring "
            "them to one device for another solver"
        )


def check_options(start: Any, solver: Any, n_features: int, tol: Any, max_iter: Any) -> None:
    """Raise unless there is a start, a solver and a rule to stop by."""
    if not callable(start):
        raise TypeError(f"start must be a function such as mixjax.kmeans, got {start!r}")
    if not is_solver(solver):
        raise TypeError(
            f"solver must be a solver such as mixjax.EM() or mixjax.Gradient(...), got {solver!r}"
        )
    for reg_covar in ridges_of(solver):
        checks.reg_covar(reg_covar, n_features)
    checks.stopping(tol, max_iter)


def _prepared(
    mixture: Mixture, x: Any, weights: Any, solver: Any, tol: Any, max_iter: Any
) -> tuple[Mixture, Array, Array | None, Origin | None]:
    require(mixture)
    rows = checks.rows(x)
    checks.width(rows, mixture.n_features)
    x, origin = near(rows, mixture.components.scaling)
    weights = checks.row_weights(weights, x)
    check_options(kmeans, solver, x.shape[1], tol, max_iter)
    dtype = mixture.log_weights.dtype
    if dtype != x.dtype:
        raise TypeError(
            f"the mixture holds {dtype} numbers and x {x.dtype}: convert one of them, "
            "for example x.astype(mixture.log_weights.dtype)"
        )
    return relative(mixture, origin), x, weights, origin


@dataclasses.dataclass(frozen=True)
class _Seeing:
    """A start that is shown the rows where they are, not relative to an origin."""

    start: Start
    places: tuple[tuple[float, ...], ...]

    def __call__(self, key: Array, x: Any, n_components: int, weights: Any, /) -> Array:
        low, high = (jnp.asarray(place, x.dtype)[None] for place in self.places)
        return self.start(key, (x + low) + high, n_components, weights)


def _seeing(start: Start, origin: Origin | None) -> Start:
    if origin is None or is_known(start):
        return start
    return _Seeing(start, (tuple(origin.low.tolist()), tuple(origin.high.tolist())))


def _placed(fit: Fit, origin: Origin | None) -> Fit:
    return dataclasses.replace(fit, mixture=placed(fit.mixture, origin))


def first_mixture(
    key: Array,
    x: Array,
    weights: Array | None,
    rows: Rows,
    scale: Scale,
    solver: Any,
    k: int,
    family: type[Family],
    start: Start,
) -> Mixture:
    """What a start makes of a table: a mixture of the scaled columns."""
    reg = ridge(ridge_of(solver), scale)
    assignment = assignment_of(start, key, x, k, weights, rows, family.scaling)
    return first_m_step(family, rows, assignment, k, reg)


def in_units(solution: Solution, scale: Scale, family: type[Family]) -> Fit:
    """What was fitted to the scaled columns, as a fit of the columns themselves.

    A parameter that is no number is that of a standard component of the table instead. One that
    is no float in these units (a width of 1e-3 scales of 1e-37 is 0) makes the fit NONFINITE.
    """
    own = solution.mixture
    standard = family.reference(own.n_components, own.n_features, own.components.dtype)
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
    energy = solution.energy + jnp.sum(jnp.log(scale.scale))
    return Fit(Mixture(log_weights, components), energy, solution.n_iter, status)


def _numbers(leaf: Array, standard: Array) -> Array:
    return jnp.where(jnp.isfinite(leaf), leaf, standard)


@functools.partial(jit, static_argnums=(6, 7, 8, 9))
def _fit(
    key: Array,
    x: Array,
    weights: Array | None,
    solver: Any,
    tol: Any,
    max_iter: Any,
    k: int,
    family: type[Family],
    start: Start,
    n_init: int,
) -> Fit:
    table = Table.of(x, weights, k)
    rows, scale = standardized(table, family.scaling, family.order_statistics)
    tol, max_iter = jnp.asarray(tol, x.dtype), jnp.asarray(max_iter, jnp.int32)

    def once(key: Array) -> Fit:
        mixture = first_mixture(key, x, weights, rows, scale, solver, k, family, start)
        solution, _ = solve(solver, mixture, rows, scale, tol, max_iter)
        return in_units(solution, scale, family)

    if n_init == 1:
        return once(key)
    return best(jax.vmap(once)(jax.random.split(key, n_init)))


def _fit_shards(static: Any, axes: Axes, same: Any, x: Array, weights: Array | None) -> Fit:
    """`_fit` on one device's rows; the start looks at a part of all of them."""
    kind, k, family, start, n_init = static
    key_data, solver, tol, max_iter = same
    tol, max_iter = jnp.asarray(tol, x.dtype), jnp.asarray(max_iter, jnp.int32)
    rows, scale = standardized(Table.of(x, weights, k, axes), family.scaling)
    key = jax.random.wrap_key_data(key_data, impl=kind)
    seed = seed_of(key)
    some = gathered(x, axes, SAMPLE, seed)
    some_weights = None if weights is None else gathered(weights, axes, SAMPLE, seed)
    some_rows = Table.of(some, some_weights, k).standardized(scale.shift, scale.scale)
    if family.order_statistics:
        some_rows = some_rows.sorted(some)

    def once(key: Array) -> Fit:
        mixture = first_mixture(key, some, some_weights, some_rows, scale, solver, k, family, start)
        solution, _ = solve(solver, mixture, rows, scale, tol, max_iter)
        return in_units(solution, scale, family)

    if n_init == 1:
        return once(key)
    return best(jax.vmap(once)(jax.random.split(key, n_init)))


def _fit_shards_from(
    n_recorded: int, axes: Axes, same: Any, x: Array, weights: Array | None
) -> tuple[Fit, Array]:
    """`_fit_from` on one device's rows."""
    mixture, solver, tol, max_iter = same
    table = Table.of(x, weights, mixture.n_components, axes)
    return _solved(mixture, table, solver, tol, max_iter, n_recorded)


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
    table = Table.of(x, weights, mixture.n_components)
    return _solved(mixture, table, solver, tol, max_iter, n_recorded)


def _solved(
    mixture: Mixture, table: Table, solver: Any, tol: Any, max_iter: Any, n_recorded: int
) -> tuple[Fit, Array]:
    family, x = type(mixture.components), table.x
    sort = family.order_statistics and not table.axes
    rows, scale = standardized(table, family.scaling, sort)
    begin = unscaled(mixture, scale, family.scaling)
    tol, max_iter = jnp.asarray(tol, x.dtype), jnp.asarray(max_iter, jnp.int32)
    solution, energies = solve(solver, begin, rows, scale, tol, max_iter, n_recorded)
    return in_units(solution, scale, family), energies + jnp.sum(jnp.log(scale.scale))
