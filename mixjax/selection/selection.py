"""Model selection: families, numbers of components and ridges compared."""

import dataclasses
import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any, Literal

import jax
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from .. import checks
from ..describing.summary import Described, Summary, summary_of
from ..describing.words import counted, number
from ..families.family import Family
from ..families.kinds import ColumnKinds, common_categories
from ..fitting.outcome import Fit, FitError
from ..fitting.solver import Status
from ..mixture.average import Average
from ..mixture.opening import observed, require_noise, require_seen
from ..programs import on_device
from ..rows.observed import Observed
from ..rows.origin import near, placed
from ..rows.repeats import ROUNDING, copies, dithered, fold_of_rows, hidden, steps
from .candidates import Candidate, Sizes, candidates_for
from .criteria import HeldOut
from .grid import Result, Search
from .racing import NEGLIGIBLE, race
from .subject import Subject

RIDGES = (1e-6, 1e-3, 1e-2, 1e-1)
# Candidates that a summary shows.
MOST_SHOWN = 4

Criterion = HeldOut | Callable[..., Array]


@dataclasses.dataclass(frozen=True, repr=False)
class Selection(Described):
    """The candidates, their scores, and the best of them.

    Attributes:
      candidates: the C candidates that were tried: family, n_components and ridge, the last as
        a share of each column's variance.
      scores: (C,) values of the criterion, lower is better; infinite if the fit failed.
      standard_errors: (C,) of the difference to the lowest score, from held-out rows; 0 for
        criteria that hold no rows out.
      n_parameters: (C,) numbers of free parameters.
      n_iter: (C,) numbers of iterations (of the first fit, if rows are held out in turn).
      status: (C,) numbers of `Status` of these fits.
      best: the index of the chosen candidate.
      fit: the chosen candidate, fitted to all rows.
      average: the candidates fitted to all rows, weighted by the criterion.

    Example:
      >>> import jax, mixjax
      >>> x = jax.random.laplace(jax.random.key(0), (2000, 1))
      >>> selection = mixjax.select(jax.random.key(1), x, n_components=[1],
      ...                           families=[mixjax.DiagonalGaussian, mixjax.Laplace])
      >>> selection.candidates[selection.best].family.__name__
      'Laplace'
    """

    candidates: tuple[Candidate, ...]
    scores: np.ndarray
    standard_errors: np.ndarray
    n_parameters: np.ndarray
    n_iter: np.ndarray
    status: np.ndarray
    best: int
    fit: Fit
    average: Average

    def __str__(self) -> str:
        """A table of the candidates, the best first."""
        wide = max(18, *(len(candidate.family.__name__) for candidate in self.candidates))
        lines = [f"{'family':<{wide}} {'K':>3} {'ridge':>7} {'score':>12} {'± SE':>9} {'p':>7}"]
        for i in np.argsort(self.scores, kind="stable"):
            family, k, reg = self.candidates[i]
            mark = " *" if i == self.best else ""
            lines.append(
                f"{family.__name__:<{wide}} {k:>3} {reg:>7g} {self.scores[i]:>12.5g} "
                f"{self.standard_errors[i]:>9.2g} {self.n_parameters[i]:>7}{mark}"
            )
        return "\n".join(lines)

    def _summary(self) -> Summary:
        order = np.argsort(self.scores, kind="stable")
        shown = [self.best, *(i for i in order if i != self.best)][:MOST_SHOWN]
        rows = []
        for i, label in zip(shown, ("best", "others", *[""] * MOST_SHOWN), strict=False):
            family, k, reg = self.candidates[i]
            kind = counted(k, f"{family.__name__} component")
            rows.append((label, [f"{kind}, ridge {reg:g}, score {number(self.scores[i], 6)}"]))
        both = ("fit", self.fit), ("average", self.average)
        rows += [(label, [summary_of(value).headline]) for label, value in both]
        n = counted(len(self.candidates), "candidate")
        return Summary(f"Selection from {n} (print lists them all)", rows)


def select(
    key: Array,
    x: Observed | ArrayLike,
    *,
    families: Sequence[type[Family]] | type[Family] | None = None,
    n_components: Sequence[int] | Literal["auto"] = "auto",
    ridge: Sequence[float] = RIDGES,
    criterion: Criterion = HeldOut(),  # noqa: B008 - frozen
    weights: ArrayLike | None = None,
    n_init: int = 1,
    one_standard_error: bool = False,
    tol: float = 1e-3,
    max_iter: int = 100,
    progress: bool = False,
    reg_covar: Sequence[float] | None = None,
    kinds: Sequence[int] | Literal["auto"] | None = None,
) -> Selection:
    r"""Fit a grid of families, numbers of components and ridges, and choose the best.

    The candidates of a family share one or two compiled programs, and run on all cores. They are
    compared by the mean energy of held-out rows, or by another criterion. A candidate that is
    worse than the best by two standard errors, and too bad for the average, is fitted to no
    further fold: its score is that of the best plus the mean difference on the folds it was
    fitted for. The average weighs the candidates by $\exp(-N\,\text{score})$, or
    $\exp(-\text{score}/2)$ for an information criterion.

    The likelihood of repeated values is unbounded: it grows as components shrink onto them. So
    equal rows are held out together. If the values of a column are rounded to steps s,
    candidates are compared by rows that are spread uniformly within the steps, and no component
    is narrower than the rounding error $s/\sqrt{12}$. Other columns are unchanged.

    Args:
      key: a typed random key.
      x: (N, D) rows, float32 or float64, or `mixjax.Observed` rows.
      families: one or several classes of components. None tries the four Gaussians and
        `Laplace`, but no full covariances beyond 256 columns and no tied one beyond 512.
      n_components: numbers of components. "auto" tries 1, 2, 4, 8 and then 16, 32 and 64, in
        each family until two numbers in a row are no better than fewer on the first fold; at most
        one component for five rows, and fewer for large tables, where iterations are slow.
        Criteria that hold no rows out try all of them.
      ridge: the ridges to compare, as shares of each column's variance.
      criterion: `HeldOut`, or a function (mixture, x, weights) -> () such as `bic`, `aic`
        or `icl`; lower is better.
      weights: (N,) weight of each row; None for 1 each.
      n_init: number of starts for each candidate; the fit of lowest energy is kept.
      one_standard_error: instead of the lowest score, choose the candidate with the fewest
        parameters whose score is within one standard error of the lowest.
      tol: the change of the mean energy, in nats, below which a fit has converged.
      max_iter: the largest number of iterations.
      progress: whether to show a progress bar (needs rich).
      reg_covar: an older name of ``ridge``.
      kinds: which columns hold categories, numbered from 0: "auto" for all with several whole
        numbers from 0 to 9, or the numbers of these columns, or None for none. The families
        then describe the other columns, and `Categorical` these; see `mixjax.product`.

    Returns:
      All candidates with their scores, the best fitted to all rows, and the average.

    Raises:
      TypeError, ValueError: as `mixjax.fit`; or the grid is empty; or families do not agree which
        columns hold categories.
      FitError: no candidate could be fitted.

    Warns:
      UserWarning: a component is narrower than the rounding of a column.

    Example:
      >>> import jax, mixjax
      >>> centers = 10 * jax.random.randint(jax.random.key(0), (500, 1), 0, 3).astype("float32")
      >>> x = centers + jax.random.normal(jax.random.key(1), (500, 2))
      >>> selection = mixjax.select(jax.random.key(2), x, families=[mixjax.SphericalGaussian],
      ...                           n_components=range(1, 6), criterion=mixjax.bic)
      >>> selection.candidates[selection.best].n_components
      3

    Source: Smyth (2000), section 3; Maron and Moore, Hoeffding Races (1994), for leaving
    candidates behind; Hastie, Tibshirani and Friedman, The Elements of
    Statistical Learning (2009), section 7.10, for the one-standard-error rule.
    """
    incomplete = isinstance(x, Observed)
    rows, noise, _ = observed(x) if isinstance(x, Observed) else (checks.rows(x), None, False)
    table, origin = near(rows)
    if not (checks.is_concrete(key) and checks.is_concrete(table)):
        raise TypeError(checks.HOST_ONLY.format("select", "mixjax.fit for each candidate"))
    checks.key(key)
    checks.finite_rows(table, observed=incomplete)
    require_seen(x)
    checks.stopping(tol, max_iter)
    row_weights = checks.row_weights(weights, table)
    w = np.ones(len(table)) if row_weights is None else np.asarray(row_weights, np.float64)
    n_init = checks.count(n_init, "n_init")
    n_fitted = int((w > 0).sum())
    host = np.asarray(table)
    if incomplete:
        # A row of which nothing is known is no row.
        w = np.where(np.isnan(host).all(axis=1), 0, w)
    folds = _folds(key, host, w, criterion)
    if folds is not None:
        n_fitted -= max(int((fold & (w > 0)).sum()) for fold in folds)
    ridge = ridge if reg_covar is None else reg_covar
    known = ColumnKinds.of(kinds, host)
    candidates = candidates_for(table.shape, n_fitted, families, n_components, ridge, known)
    families_tried = list(dict.fromkeys(candidate.family for candidate in candidates))
    if incomplete:
        for family in families_tried:
            require_noise(family, 0 if noise is None else noise.ndim)
    categories = common_categories(families_tried, table.shape[1])
    subject = Subject(table, noise, incomplete, categories)

    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))
    step = steps(host[w > 0], rng)
    step[list(categories)] = 0
    compared = subject
    if step.any():
        compared = subject._replace(x=on_device(dithered(host, step, rng)))
    growing = isinstance(n_components, str) and folds is not None
    sizes = Sizes(candidates, n_init * (len(folds) if folds else 1), growing)
    options = (candidates, sizes, n_init, tol, max_iter)
    search = Search(key, compared, *options)
    if folds is None:
        assert not isinstance(criterion, HeldOut)
        tried = search.run_all(w, progress)
        scores, errors = _by_function(criterion, tried, compared.rows, row_weights), None
    else:
        candidates, tried, scores, errors = race(search, w, folds, growing, progress)
    if not np.isfinite(scores).any():
        raise FitError(
            "no candidate could be fitted: "
            + ", ".join(sorted({Status(int(t.fit.status)).name for t in tried}))
        )
    n_parameters = np.array([t.fit.mixture.n_parameters for t in tried])
    best = int(np.argmin(scores))
    if errors is None:
        errors = np.zeros(len(scores))
    elif one_standard_error:
        level = np.flatnonzero(scores <= scores[best] + errors)
        best = int(level[np.lexsort((scores[level], n_parameters[level]))[0]])

    per_score = w.sum() if folds is not None else 0.5
    log_weights = -per_score * (scores - scores.min())
    kept = np.flatnonzero(log_weights > math.log(NEGLIGIBLE))
    wanted = np.union1d(kept, [best])
    if folds is None and compared is subject:
        whole = [tried[i] for i in wanted]
    else:
        search = Search(key, subject, candidates, *options[1:], hidden(host[w > 0], step))
        whole = search.run_all(w, progress, "refitting", wanted.tolist())
    found = {int(i): one for i, one in zip(wanted, whole, strict=True)}
    average = Average(
        on_device(log_weights[kept] - np.logaddexp.reduce(log_weights[kept]), table.dtype),
        tuple(placed(_on_device(found[int(i)].fit.mixture), origin) for i in kept),
    )
    n_iter, status = (
        np.array([int(getattr(t.fit, name)) for t in tried]) for name in ("n_iter", "status")
    )
    fit = _on_device(found[best].fit)
    _warn_of_narrow(fit, step)
    return Selection(
        tuple(candidates), scores, errors, n_parameters, n_iter, status, best,
        dataclasses.replace(fit, mixture=placed(fit.mixture, origin)), average,
    )  # fmt: skip


def _folds(
    key: Array, x: np.ndarray, w: np.ndarray, criterion: Criterion
) -> list[np.ndarray] | None:
    """The fold (N,) of each row; None if the criterion fits all rows."""
    if not isinstance(criterion, HeldOut):
        if not callable(criterion):
            raise TypeError(
                "criterion must be mixjax.HeldOut or a function such as mixjax.bic, "
                f"got {criterion!r}"
            )
        return None
    n_folds = checks.count(criterion.n_folds, "n_folds")
    n_present = int((w > 0).sum())
    if not 2 <= n_folds <= n_present:
        raise ValueError(
            f"n_folds must be from 2 to the number of rows ({n_present}), got {n_folds}"
        )
    n_used = n_folds if criterion.n_used is None else checks.count(criterion.n_used, "n_used")
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))
    fold = fold_of_rows(rng, w > 0, n_folds, copies(x))
    return [fold == i for i in range(min(n_used, n_folds)) if (fold == i).any()]


def _by_function(
    criterion: Callable[..., Array], tried: list[Result], x: Any, weights: Any
) -> np.ndarray:
    scores = [
        np.inf if t.fit.failed else float(criterion(_on_device(t.fit.mixture), x, weights))
        for t in tried
    ]
    return np.where(np.isfinite(scores), scores, np.inf)


def _warn_of_narrow(fit: Fit, step: np.ndarray) -> None:
    """Warn of components narrower than the rounding steps (D,) of the columns."""
    if not step.any():
        return
    variances = np.asarray(fit.mixture.components.variances, np.float64)
    whole = np.asarray(fit.mixture.weights) @ variances
    narrow = (variances < 0.5 * np.minimum(ROUNDING * step**2, whole)).any(axis=0) & (step > 0)
    if narrow.any():
        columns = np.flatnonzero(narrow)
        shown = ", ".join(map(str, columns[:10])) + (", ..." if len(columns) > 10 else "")
        warnings.warn(
            f"in columns {shown} the chosen mixture has a component narrower than the rounding of "
            "the values; it may only describe repeated values: pass a larger ridge or "
            "fewer components",
            stacklevel=3,
        )


def _on_device(tree: Any) -> Any:
    return jax.tree.map(on_device, tree)
