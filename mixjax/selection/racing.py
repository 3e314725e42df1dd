"""Candidates are tried no further once they are clearly worse than the best."""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..families.family import Family
from ..progress import progress_bar
from .candidates import Candidate
from .grid import Result, Search, Split, held_out_energies

# All numbers of components up to this are tried.
FIRST = 8
# More are tried until this many numbers in a row are no better than fewer.
PATIENCE = 2
# Mixtures of less weight than this, relative to the best, are left out of the average.
NEGLIGIBLE = 1e-6
# The difference, in standard errors, from which on a candidate is clearly worse than another.
CLEAR = 2.0


class Comparison(NamedTuple):
    """Candidates compared with the best of them by the energies of held-out rows.

    Attributes:
      best: the index of the best candidate.
      difference: (C,) how much higher the mean energies are; infinite for failed candidates.
      errors: (C,) standard errors of the differences.
    """

    best: int
    difference: np.ndarray
    errors: np.ndarray

    @classmethod
    def by_rows(
        cls, energies: np.ndarray, share: np.ndarray, best: int | None = None
    ) -> "Comparison":
        """The comparison by the rows for which a candidate and the best have an energy.

        Args:
          energies: (C, M) energies; NaN for rows on which a candidate was not tried, infinite if
            its fit failed.
          share: (M,) weights of the rows.
          best: the best candidate; None for the lowest mean among those tried on all rows.
        """
        energies, share = energies[:, share > 0], share[share > 0]
        if best is None:
            best = int(np.argmin(np.where(np.isnan(energies), np.inf, energies) @ share))
        seen = ~np.isnan(energies)
        own = np.where(seen, share, 0)
        own /= own.sum(axis=1, keepdims=True).clip(np.finfo(float).tiny)
        with np.errstate(invalid="ignore"):
            away = np.where(seen, energies - energies[best], 0)
            difference = (away * own).sum(axis=1)
            errors = np.sqrt(np.square((away - difference[:, None]) * own).sum(axis=1))
        bad = ~np.isfinite(difference) | ~seen.any(axis=1)
        return cls(best, np.where(bad, np.inf, difference), np.where(bad, np.inf, errors))

    @property
    def clearly_worse(self) -> np.ndarray:
        """(C,) whether candidates are clearly worse than the best, or failed."""
        with np.errstate(invalid="ignore"):
            worse: np.ndarray = self.difference > CLEAR * self.errors
        return worse | np.isinf(self.difference)


def climb(
    candidates: Sequence[Candidate],
    fit: Callable[[list[int]], np.ndarray],
    mean: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray:
    """Try numbers of components from few to many, in each family until more are no better.

    Args:
      candidates: C candidates.
      fit: fits the candidates at these indices and returns the energies (n, M) of held-out rows.
      mean: the mean (n,) of such energies.

    Returns:
      (C, M) the energies; NaN for candidates that were not tried.
    """
    numbers = sorted({k for _, k, _ in candidates})
    energies, growing = None, {family for family, _, _ in candidates}
    lowest: dict[type[Family], dict[int, float]] = {family: {} for family in growing}
    for stage in [[k for k in numbers if k <= FIRST], *([k] for k in numbers if k > FIRST)]:
        some = [
            i for i, (family, k, _) in enumerate(candidates) if k in stage and family in growing
        ]
        if not some:
            continue
        found = fit(some)
        if energies is None:
            energies = np.full((len(candidates), found.shape[1]), np.nan)
        energies[some] = found
        for i, value in zip(some, mean(found), strict=True):
            family, k, _ = candidates[i]
            lowest[family][k] = min(float(value), lowest[family].get(k, np.inf))
        growing = {family for family in growing if _may_improve(lowest[family])}
    assert energies is not None
    return energies


def _may_improve(lowest: dict[int, float]) -> bool:
    """Whether more components may be better, from the lowest mean energy of each number."""
    means = [lowest[k] for k in sorted(lowest)]
    fewer, last = means[:-PATIENCE], means[-PATIENCE:]
    return not fewer or min(last) < min(fewer) or np.isinf(min(fewer))


def race(
    search: Search, w: np.ndarray, folds: list[np.ndarray], growing: bool, progress: bool
) -> tuple[list[Candidate], list[Result], np.ndarray, np.ndarray]:
    """The candidates tried, their fits without the first fold, their scores and standard errors.

    All candidates are fitted without the first fold; those that are clearly worse, and have no
    weight in the average, to no other. Their score is that of the best and the mean difference to
    the best on the rows seen.
    """
    out = [np.flatnonzero(fold) for fold in folds]
    row = np.concatenate(out)
    share = w[row] / w[row].sum()
    of_fold = np.repeat(np.arange(len(folds)), [len(rows) for rows in out])
    candidates = search.candidates
    energies = np.full((len(candidates), len(row)), np.nan)
    first: list[Any] = [None] * len(candidates)
    with progress_bar("selecting", "fit", len(folds) * len(candidates), 0, progress) as show:
        n_done = 0

        def fit(i: int, splits: list[Split], some: Sequence[int]) -> np.ndarray:
            nonlocal n_done
            results = search.run(splits, some, lambda n: show(n_done + n // len(splits), ""))
            n_done += len(some)
            for place, result in zip(some, results, strict=True):
                first[place] = first[place] or result
            return held_out_energies(results, out[i])

        racing = np.arange(len(candidates))
        for i, fold in enumerate(folds):
            own = of_fold == i
            fitted = functools.partial(fit, i, search.splits(np.where(fold, 0, w)))
            if i == 0 and growing:
                energies[:, own] = climb(candidates, fitted, functools.partial(_mean, share[own]))
                racing = racing[~np.isnan(energies[:, own]).all(axis=1)]
            else:
                energies[np.ix_(racing, own)] = fitted(racing.tolist())
            seen = of_fold <= i
            comparison = Comparison.by_rows(energies[np.ix_(racing, seen)], share[seen])
            weightless = w.sum() * comparison.difference > -math.log(NEGLIGIBLE)
            racing = racing[~(comparison.clearly_worse & weightless)]
            if len(racing) == 0:  # all have failed
                break
            n_done = (i + 1) * len(candidates)
            show(n_done, "")
    tried = [i for i, result in enumerate(first) if result is not None]
    best, difference, errors = Comparison.by_rows(energies[tried], share)
    lowest = energies[tried][best]
    mean = np.where(share > 0, lowest * share, 0).sum()
    scores = np.where(np.isinf(difference), np.inf, mean + difference)
    return [candidates[i] for i in tried], [first[i] for i in tried], scores, errors


def _mean(share: np.ndarray, energies: np.ndarray) -> np.ndarray:
    """The weighted means (n,) of energies (n, M)."""
    # Not all rows: one of weight 0 may be infinitely far.
    return energies[:, share > 0] @ (share[share > 0] / share.sum())
