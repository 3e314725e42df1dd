"""What a fit returns, and checks of how it ended."""

import warnings
from collections.abc import Callable
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from ..describing.summary import Described, Summary, fields_of, summary_of
from ..describing.words import counted, lanes, listed, number, on_host, span, tally
from ..mixture.mixture import Mixture
from ..pytrees import pytree
from ..rows.executor import executor_of
from ..rows.observed import Observed
from .solver import Status

# Rounding may move a center by this many widths of its component. The energy of a row changes by
# as much for each width of distance.
MOVED = 0.05


@pytree
class Fit(Described):
    """A fitted mixture and how the fit ended; every leaf gains an axis under ``vmap``.

    Attributes:
      mixture: the mixture, in the units of x.
      energy: () weighted mean energy of the rows under that mixture, in nats.
      n_iter: () the number of iterations.
      status: () one of the numbers of `Status`.

    Example:
      >>> import jax, mixjax
      >>> x = jax.random.normal(jax.random.key(0), (100, 2))
      >>> fit = mixjax.fit(jax.random.key(1), x, 1)
      >>> mixjax.Status(int(fit.status)).name
      'CONVERGED'
    """

    mixture: Mixture
    energy: Array
    n_iter: Array
    status: Array

    @property
    def failed(self) -> Array:
        """() whether the fit is useless: status NONFINITE, or an energy that is not finite."""
        xp = executor_of(self.energy).xp
        failed: Array = (self.status == Status.NONFINITE) | ~xp.isfinite(self.energy)
        return failed

    def __len__(self) -> int:
        """The number of fits along the leading axis."""
        if jnp.ndim(self.energy) == 0:
            raise TypeError("a single fit has no len(): it has no leading axis")
        return self.energy.shape[0]

    def __getitem__(self, index: Any) -> Self:
        """One or some of several fits: ``fits[3].mixture``, ``fits[10:20]``."""
        n = len(self)
        if isinstance(index, int | np.integer) and not -n <= index < n:
            raise IndexError(f"index {index} is out of range: there are {n} fits")
        return jax.tree.map(lambda leaf: leaf[index], self)

    def __bool__(self) -> bool:
        """True, however the fit ended (look at ``status``)."""
        return True

    def _summary(self) -> Summary:
        status, energy, n_iter = map(on_host, (self.status, self.energy, self.n_iter))
        if status is None or energy is None or n_iter is None:
            return fields_of(self)
        components = summary_of(self.mixture.components).headline
        rows = [("mixture", [components]), *summary_of(self.mixture).rows]
        if status.ndim:
            headline = f"Fit, {lanes(status.shape)}: {tally(status, Status)}"
            more = [("energy", [span(energy, "nats")]), ("n_iter", [span(n_iter)])]
            return Summary(headline, [*more, *rows])
        ended = f"{Status(int(status)).name} after {counted(int(n_iter), 'iteration')}"
        return Summary(f"Fit: {ended}, mean energy {number(energy, 6)} nats", rows)


class FitError(RuntimeError):
    """A fit failed; the message says where and what to do.

    Example:
      >>> import jax, jax.numpy as jnp, mixjax
      >>> x = jnp.ones((5, 2)).at[3, 0].set(jnp.nan)
      >>> try:
      ...     mixjax.check(mixjax.fit(jax.random.key(0), x, 1), x)
      ... except mixjax.FitError as error:
      ...     print(str(error)[:38])
      NONFINITE: the rows 3 of x hold NaN or
    """


def best(fits: Fit) -> Fit:
    """The fit of lowest energy along the leading axis; failed fits are left out.

    Args:
      fits: fits with one leading axis, for example from ``vmap`` over keys.

    Returns:
      One fit, without the axis.

    Raises:
      ValueError: the fits have no leading axis.

    Example:
      >>> import jax, mixjax
      >>> x = jax.random.normal(jax.random.key(0), (100, 2))
      >>> keys = jax.random.split(jax.random.key(1), 4)
      >>> fits = jax.vmap(lambda key: mixjax.fit(key, x, 3))(keys)
      >>> bool(mixjax.best(fits).energy == fits.energy.min())
      True
    """
    if fits.energy.ndim != 1:
        raise ValueError(
            f"fits must have one leading axis, got energies of shape {fits.energy.shape}: "
            "use jax.vmap(best) for more axes"
        )
    chosen = jnp.argmin(jnp.where(fits.failed, jnp.inf, fits.energy))
    return jax.tree.map(lambda leaf: leaf[chosen], fits)


def skeleton(make: Callable[[], Any]) -> Fit:
    """A fit with shapes for leaves, of the components (K, D) that ``make`` gives."""

    def one() -> Fit:
        components = make()
        log_weights = jnp.zeros(components.shape[0], components.dtype)
        number = jnp.zeros((), jnp.int32)
        return Fit(Mixture(log_weights, components), log_weights[0], number, number)

    found: Fit = jax.eval_shape(one)
    return found


def check(fits: Fit, x: Observed | ArrayLike | None = None) -> Fit:
    """Raise on the host if a fit failed; warn if it did not converge.

    Args:
      fits: one fit, or fits with leading axes.
      x: the table of one fit (N, D), or the tables of all fits (..., N, D), or `mixjax.Observed`
        ones; with it, rows that are not finite are named.

    Returns:
      The same fits.

    Raises:
      FitError: a fit met numbers that are not finite, or had fewer rows than components. The
        message names the lanes, or with x the rows.

    Warns:
      UserWarning: a fit stopped at ``max_iter``, a component has no rows, or a column is so
        far from zero that the dtype cannot hold the centers.

    Example:
      >>> import jax, mixjax
      >>> x = jax.random.normal(jax.random.key(0), (100, 2))
      >>> _ = mixjax.check(mixjax.fit(jax.random.key(1), x, 2))
    """
    if isinstance(x, Observed):
        values = np.asarray(x.x)
        x = np.where(np.isnan(values), 0, values)
    status = np.asarray(fits.status)
    if (status == Status.NONFINITE).any():
        remedy = (
            "drop or fill them, give them weight 0, or pass mixjax.Observed(x), in which NaN is a "
            "missing value; the fit holds the last good mixture"
        )
        if x is None:
            raise FitError(
                f"NONFINITE: {_lanes(status, Status.NONFINITE)} met NaN or infinity in the "
                f"rows or in the likelihood ({remedy}); call check(fit, x) with the table "
                "to name the rows"
            )
        bad = ~np.isfinite(np.asarray(x)).all(axis=-1)
        where = listed((np.flatnonzero(bad) if bad.ndim == 1 else np.argwhere(bad)).tolist())
        if bad.any():
            raise FitError(f"NONFINITE: the rows {where} of x hold NaN or infinity: {remedy}")
        raise FitError(
            f"NONFINITE: {_lanes(status, Status.NONFINITE)} left the range of floats although "
            "every row is finite: raise reg_covar, lower the learning rate, or look for "
            "values near the largest float"
        )
    if (status == Status.TOO_FEW_ROWS).any():
        raise FitError(
            f"TOO_FEW_ROWS: {_lanes(status, Status.TOO_FEW_ROWS)} had fewer rows of positive "
            "weight than components: leave them out, or use fewer components"
        )
    if (status == Status.MAX_ITER).any():
        warnings.warn(
            f"MAX_ITER: {_lanes(status, Status.MAX_ITER)} stopped before the energy settled: "
            "raise max_iter or tol, or continue with fit_from",
            stacklevel=2,
        )
    if (status == Status.DEGENERATE).any():
        warnings.warn(
            f"DEGENERATE: {_lanes(status, Status.DEGENERATE)} ended with a component that has "
            "no rows: use fewer components, or more starts (n_init)",
            stacklevel=2,
        )
    _warn_of_rounding(fits)
    return fits


def _warn_of_rounding(fits: Fit) -> None:
    """Warn of columns so far from zero that their dtype cannot hold the centers."""
    components = fits.mixture.components
    if not components.defines("sharpness"):
        return
    moved = _displacement(components)
    imprecise = np.linalg.norm(moved, axis=-1).max(axis=-1) > MOVED
    if imprecise.any():
        columns = np.flatnonzero((moved[imprecise] > 0.1 * MOVED).any(axis=(0, 1)))
        warnings.warn(
            f"IMPRECISE: in {_lanes(imprecise, True)} {components.dtype} cannot hold the centers "
            f"of the columns {listed(columns.tolist())} to the width of a component, because they "
            "are far from zero: subtract a constant from these columns, or set jax_enable_x64. "
            "Weights, widths and energy are those from before rounding",
            stacklevel=3,
        )


def _displacement(components: Any) -> np.ndarray:
    """How far rounding may have moved the centers, in widths of a component: (..., K, D)."""
    parts = components.centers, components.sharpness, components.standard_deviations
    centers, sharpness, widths = (np.asarray(part, np.float64) for part in parts)
    moved = 0.5 * float(jnp.finfo(components.dtype).eps) * np.abs(centers) * sharpness
    # A constant column has the width of the ridge, and its center is exact.
    same = (centers == centers[..., :1, :]) & np.isclose(widths, 1e-3, rtol=1e-3)
    return np.where(same.all(axis=-2, keepdims=True), 0, moved)


def _lanes(status: np.ndarray, which: Any) -> str:
    """The fits of this status, or those that a mask selects."""
    if status.ndim == 0:
        return "the fit"
    hits = np.argwhere(status == which)
    names = hits[:, 0] if status.ndim == 1 else hits
    return f"{len(hits)} of {status.size} fits (lanes {listed(names.tolist())})"
