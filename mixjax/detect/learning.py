"""Learning an anomaly detector from normal rows: it selects and calibrates by itself."""

import inspect
import numbers
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from .. import checks
from ..families.family import Family
from ..files import FilePath, check_outputs, digest_of
from ..programs import on_device
from ..progress import progress_bar
from ..rows.observed import Observed, packed
from ..rows.repeats import hidden
from ..rows.subsample import seeds_of
from ..selection.grid import Job, Result, Split, fit_jobs
from ..selection.journal import Journal, Stage
from ..threshold.conformal_prediction import Conformal, warn_of_rate
from ..threshold.quantiles import percentile
from .committee import Member, members_of
from .comparing import BRIEF, Comparison, Folds, Options, best_comparison, counting
from .detector import TIE_TOLERANCE, Detector, surprises_of
from .levels import Asked
from .preparing import FEWEST_ROWS, Prepared

# The largest number of rows that are fitted.
MOST_ROWS = 2**14
RIDGES = (1e-3, 1e-2, 1e-1)
# Usual values of a column lie between these quantiles.
USUAL = (0.025, 0.975)


def fit(
    key: Array,
    x: Observed | ArrayLike,
    *,
    families: Sequence[type[Family]] | type[Family] | None = None,
    n_components: Sequence[int] | Literal["auto"] = "auto",
    ridge: Sequence[float] = RIDGES,
    columns: Sequence[int] | None = None,
    feature_names: Sequence[str] | None = None,
    alpha: float = 0.05,
    contamination: float = 0.0,
    n_folds: int = 5,
    max_rows: int = MOST_ROWS,
    tol: float = 1e-3,
    max_iter: int = 50,
    progress: bool = False,
    reg_covar: Sequence[float] | None = None,
    kinds: Asked = None,
    checkpoint: FilePath | None = None,
    checkpoint_seconds: float = 60.0,
) -> Detector:
    r"""Fit an anomaly detector to normal rows.

    For each family, numbers of components and ridges are compared by the energy of a held-out
    fifth of the rows, without the highest 5 % of these energies. (Equal rows are held out
    together, and rounded values are dithered, see `mixjax.select`.) The best candidate is fitted
    ``n_folds`` times, each time without one fold. Without ``families``, spheres are also fitted to
    columns of equal reach (``detect/views.py``). The energies of the held-out folds give the
    distribution of energies of normal rows. The families are combined by the harmonic mean of
    their p-values. The same folds calibrate the result, so no rows are lost to calibration.

    Args:
      key: a typed random key.
      x: (N, D) rows, an array, lists or a frame; normal, or with ``contamination`` mostly normal.
        `mixjax.Observed` rows may have missing values, but no noise.
      families: one or several classes of components; None tries all that suit the number of
        columns, see `mixjax.select`.
      n_components: numbers of components to compare; "auto" tries 1, 2, 4, ... 64, if
        there are enough rows.
      ridge: the ridges to compare, as shares of each column's variance.
      columns: the columns to use; None for all.
      feature_names: a name for each column of x; None for the names of a frame, or x0, x1, ...
      alpha: the promised rate of false alarms among new normal rows: at least 1/(N + 1), or 0
        to flag none.
      contamination: the share of strange rows in x, below half. If it is above 0, the mixtures are
        fitted again without this share of the rows, and the threshold flags this share.
      n_folds: the number of folds that the rows are cut into.
      max_rows: fit at most this many rows, drawn at random.
      tol: the change of the mean energy, in nats, below which a fit has converged.
      max_iter: the largest number of iterations.
      progress: whether to show a progress bar (needs rich).
      reg_covar: an older name of ``ridge``.
      kinds: which columns hold categories. "auto": those of text in a frame, and those of 2 to 10
        different whole numbers if this describes held-out rows better. Or the numbers of these
        columns, or a mapping from them to the names of their levels, which the table then numbers
        from 0. None: no column.
      checkpoint: a file for the finished fits. If it exists, only the others are fitted. It is
        also written when the call is interrupted.
      checkpoint_seconds: how often it is written.

    Returns:
      The detector.

    Raises:
      TypeError, ValueError: x is not a floating table, holds NaN or infinity, or has fewer than
        10 rows; columns are out of range; alpha is outside [0, 1) or contamination outside
        [0, 0.5).
      FitError: no candidate could be fitted.

    Warns:
      UserWarning: there are too few rows to promise the rate.

    Example:
      >>> import jax, mixjax
      >>> x = jax.random.normal(jax.random.key(0), (1000, 2))
      >>> detector = mixjax.detect.fit(jax.random.key(1), x[:500], alpha=0.1,
      ...     n_components=[1, 4], families=[mixjax.Gaussian, mixjax.DiagonalGaussian])
      >>> 0.05 < detector.predict(x[500:]).mean() < 0.16
      Array(True, dtype=bool)

    Source: as `Detector`; Breiman, Stacked Regressions (1996), for the energies of rows
    left out.
    """
    return _learned(**locals())[0]


def fit_scores(key: Array, x: Observed | ArrayLike, **options: Any) -> tuple[Detector, Array]:
    """Fit a detector to rows some of which may be strange, and score the same rows.

    A row that a mixture was fitted to may have a component of its own, and is then not strange to
    it. So each row is judged by the mixtures that were fitted without its fold.

    Args:
      key: a typed random key.
      x: (N, D) rows, as for `fit`.
      **options: those of `fit`.

    Returns:
      The detector, and the scores (N,) of the rows. Rows beyond ``max_rows`` were not fitted;
      they are judged as new rows.

    Raises:
      TypeError, ValueError, FitError: as `fit`.

    Example:
      >>> import jax, mixjax
      >>> x = jax.random.normal(jax.random.key(0), (300, 2)).at[7].set(40.0)
      >>> detector, scores = mixjax.detect.fit_scores(
      ...     jax.random.key(1), x, n_components=[4], families=mixjax.Gaussian)
      >>> int(scores.argmax()), bool(detector.flags(scores)[7])
      (7, True)

    Source: Vovk, Cross-conformal Predictors (2015), section 3.
    """
    given = inspect.signature(fit).bind(key, x, **options)
    given.apply_defaults()
    detector, scores, fitted = _learned(**given.arguments)
    if len(fitted) < given.arguments["max_rows"]:
        return detector, on_device(scores, detector.typical.dtype)
    everything = np.array(detector.scores(x))
    everything[fitted] = scores
    return detector, on_device(everything)


def _learned(
    key: Array, x: Any, families: Any, n_components: Any, ridge: Any, columns: Any,
    feature_names: Any, alpha: float, contamination: float, n_folds: Any, max_rows: Any, tol: Any,
    max_iter: Any, progress: bool, reg_covar: Any, kinds: Any, checkpoint: Any,
    checkpoint_seconds: float,
) -> tuple[Detector, np.ndarray, np.ndarray]:  # fmt: skip
    """The detector, the scores of the fitted rows by mixtures not fitted to them, their numbers."""
    checks.stopping(tol, max_iter)
    for name, rate, limit in (("alpha", alpha, 1.0), ("contamination", contamination, 0.5)):
        if not (isinstance(rate, numbers.Real) and 0 <= rate < limit):
            raise ValueError(f"{name} must be a number from 0 to below {limit:g}, got {rate!r}")
    if checks.count(max_rows, "max_rows") < FEWEST_ROWS:
        raise ValueError(f"max_rows must be at least {FEWEST_ROWS}, got {max_rows}")
    table, rng = Prepared.of(key, x, columns, feature_names, kinds, max_rows)
    n_folds = checks.count(n_folds, "n_folds")
    if not 2 <= n_folds <= len(table.z) // 2:
        raise ValueError(f"n_folds must be from 2 to half the number of used rows, got {n_folds}")
    ridge = ridge if reg_covar is None else reg_covar
    tables = table.alternatives if isinstance(kinds, str) else [table]
    how = f"{families} {n_components} {ridge} {n_folds} {tol} {max_iter} {contamination}"
    journal = _journal(checkpoint, checkpoint_seconds, key, tables, how)
    options = Options(families, n_components, ridge, n_folds, tol, max_iter, progress, journal)
    seeds, folds = seeds_of(key, n_folds + 1), Folds.of(table.rows, n_folds, rng)
    kept = np.ones(len(table.z), bool)
    n_strange = int(contamination * len(kept))
    try:
        found = best_comparison(tables, folds, seeds[-1], options)
        members, scores = _members(found, folds, seeds, kept, options, "fitting")
        if n_strange:
            kept[np.argsort(-scores, kind="stable")[:n_strange]] = False
            members, scores = _members(found, folds, seeds, kept, options, "fitting again")
    finally:
        # Also if a person interrupts it.
        journal.write()
    if n_strange == 0:
        warn_of_rate(len(kept), alpha)
    table = found.table
    dtype = table.z.dtype
    rule = Conformal(on_device(np.sort(scores[kept])), jnp.asarray(alpha, dtype))
    threshold = percentile(scores, 100 * (1 - contamination)) if n_strange else rule.threshold
    detector = Detector(
        table.center, table.scale, _usual(table.rows[kept]), tuple(members),
        on_device(_typical(members[0], table, kept), dtype), rule,
        threshold + TIE_TOLERANCE, on_device(found.held_out, dtype), tuple(found.candidates),
        tuple(table.used.tolist()), table.names, table.levels if table.categories else None,
    )  # fmt: skip
    return detector, scores, table.places


def _journal(
    checkpoint: Any, seconds: float, key: Array, tables: Sequence[Prepared], how: str
) -> Journal:
    """Where finished fits are kept: in the file of the checkpoint, or nowhere."""
    if checkpoint is None:
        return Journal(None, "", seconds)
    check_outputs({"checkpoint": checkpoint})
    identity = [key, [(table.z, list(table.categories)) for table in tables]]
    return Journal(Path(checkpoint), digest_of(how, identity), seconds)


def _members(
    found: Comparison,
    folds: Folds,
    seeds: Sequence[Any],
    kept: np.ndarray,
    options: Options,
    what: str,
) -> tuple[list[Member], np.ndarray]:
    """The best candidates fitted without each fold, and the scores of all rows.

    The score of a row is by mixtures that were not fitted to it.
    """
    table, z = found.table, found.table.z
    least = hidden(z, table.steps())
    lefts = [folds.fold == i for i in range(options.n_folds)]
    tried: list[Result] = []
    n_jobs = options.n_folds * sum(map(len, found.best))
    with progress_bar(what, "fit", n_jobs, 0, options.progress) as show:
        pairs = zip(found.views, found.best, strict=True)
        for number, (view, chosen) in enumerate(pairs):
            seen = table.subject(view.of(z))
            rows = seen.for_starts
            splits = [
                Split.of(seed, rows, kept & ~left, found.sizes.largest)
                for seed, left in zip(seeds, lefts, strict=False)
            ]
            jobs = [Job(candidate, split) for candidate in chosen for split in splits]
            fits = fit_jobs(
                seen, jobs, found.sizes, options.tol, options.max_iter,
                counting(show, len(tried)), least, BRIEF,
                Stage(options.journal, f"{what} {number}"),
            )  # fmt: skip
            tried += view.in_standardized(fits)
    each = zip(found.views, found.best, strict=True)
    names = [view.name for view, chosen in each for _ in chosen]
    repeated = np.bincount(folds.copy_of)[folds.copy_of] > 1
    return members_of(tried, names, folds.fold, repeated, kept)


def _typical(member: Member, table: Prepared, kept: np.ndarray) -> np.ndarray:
    """The mean surprise (C,) of the known values of each column of these rows."""
    z = on_device(table.z)
    if not table.incomplete:
        found: np.ndarray = surprises_of(member, z)[kept].mean(axis=0, dtype=np.float64)
        return found
    surprises = surprises_of(member.of_packed(), packed(z, None, False)).astype(np.float64)
    known = ~np.isnan(table.z) & kept[:, None]
    return np.where(known, surprises, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)


def _usual(rows: np.ndarray) -> np.ndarray:
    """The values (C, 2) of each column between which 95 % of the known ones of (N, C) lie."""
    ends = np.nanquantile(rows.astype(np.float64), USUAL, axis=0, method="inverted_cdf")
    return np.ascontiguousarray(ends.T)
