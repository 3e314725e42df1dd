"""Candidates compared by the energies of held-out rows, before the best of them are fitted."""

import copy
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Self

import numpy as np

from ..progress import progress_bar
from ..rows.repeats import copies, dithered, fold_of_rows
from ..selection.candidates import Candidate, Sizes, candidates_for
from ..selection.grid import Job, Split, fit_jobs, held_out_energies
from ..selection.journal import Journal, Stage
from .choosing import best_of_each, grown, trimmed_means
from .preparing import Prepared, subsample
from .views import View, views_of

# The largest number of rows that candidates are compared on.
MOST_COMPARED = 2**11
# Candidates are compared after fits with this many times the tolerance.
ROUGHER_BY = 10
# A family has two dozen fits: up to this many numbers in an iteration, optimizing takes longer.
BRIEF = 2**18


@dataclasses.dataclass(frozen=True)
class Options:
    """What is compared and fitted, see `mixjax.detect.fit`."""

    families: Any
    n_components: Any
    ridge: Any
    n_folds: int
    tol: float
    max_iter: int
    progress: bool
    journal: Journal


class Folds(NamedTuple):
    """How the n fitted rows are divided.

    Attributes:
      copy_of: (n,) a number for each distinct row.
      fold: (n,) the fold of each row.
      compared: the rows that candidates are compared on.
      held_out: which of these are held out; all copies of a row are, or none.
    """

    copy_of: np.ndarray
    fold: np.ndarray
    compared: np.ndarray
    held_out: np.ndarray

    @classmethod
    def of(cls, rows: np.ndarray, n_folds: int, rng: np.random.Generator) -> Self:
        """The folds of rows (n, C)."""
        copy_of, everything = copies(rows), np.ones(len(rows), bool)
        # The same folds twice, unless there are copies, which the second time stay together.
        whole_copies = fold_of_rows(copy.deepcopy(rng), everything, n_folds, copy_of)
        fold = fold_of_rows(rng, everything, n_folds, np.arange(len(rows)))
        compared = np.arange(len(rows))
        if len(rows) > 2 * MOST_COMPARED:
            compared = subsample(compared, MOST_COMPARED, rng)
        return cls(copy_of, fold, compared, whole_copies[compared] == 0)


class Comparison(NamedTuple):
    """What came of it.

    Attributes:
      table: the rows.
      candidates: all that were compared.
      held_out: their mean energies of held-out rows, without the highest.
      views: the views of the rows.
      best: in each view, the best candidate of each family.
      sizes: of the programs that fit these.
    """

    table: Prepared
    candidates: list[Candidate]
    held_out: np.ndarray
    views: list[View]
    best: list[list[Candidate]]
    sizes: Sizes

    @classmethod
    def of(
        cls, table: Prepared, folds: Folds, seed: np.uint32, options: Options, number: int = 0
    ) -> Self:
        """Fit all candidates to the rows that are not held out; tables have different numbers."""
        z, compared, held_out = table.z, folds.compared, folds.held_out
        shape = len(compared), z.shape[1]
        candidates = candidates_for(
            shape, len(compared) - len(compared) // options.n_folds, options.families,
            options.n_components, options.ridge, table.kinds,
        )  # fmt: skip
        table.require(candidates)
        sizes = Sizes(candidates, 1, growing=False)
        # Families of the user's choice are fitted as they are.
        stretched = options.families is None
        views = views_of(z, candidates, table.categories, stretched=stretched)
        smooth = dithered(z[compared], table.steps(), np.random.default_rng(0))
        energies, best, n_done = [], [], 0
        n_jobs = sum(len(view.candidates) for view in views)
        with progress_bar("comparing", "fit", n_jobs, 0, options.progress) as show:
            for i, view in enumerate(views):
                seen = table.subject(view.of(smooth))
                split = Split.of(seed, seen.for_starts, ~held_out, sizes.largest)
                jobs = [Job(candidate, split) for candidate in view.candidates]
                tried = fit_jobs(
                    seen, jobs, sizes, ROUGHER_BY * options.tol, options.max_iter,
                    counting(show, n_done), brief=BRIEF,
                    stage=Stage(options.journal, f"comparing {number} {i}"),
                )  # fmt: skip
                energies.append(trimmed_means(held_out_energies(tried, held_out)))
                best.append(best_of_each(view.candidates, energies[-1]))
                n_done += len(jobs)
        if isinstance(options.n_components, str):
            best = [
                [grown(c, sizes.most[c.family], len(compared), z.shape) for c in chosen]
                for chosen in best
            ]
            # Programs of the comparison are used again if they have the same size.
            sizes = sizes.grown([c for chosen in best for c in chosen])
        return cls(table, candidates, energies[0], views, best, sizes)

    @property
    def lowest(self) -> float:
        """The lowest energy, of densities of numbers that may stand for their levels.

        A column of levels is dithered where it holds numbers; the probability of a level is a
        density within its step.
        """
        return float(self.held_out.min()) + self.table.log_steps


def best_comparison(
    tables: Sequence[Prepared], folds: Folds, seed: np.uint32, options: Options
) -> Comparison:
    """The comparison of the table whose kinds of columns describe held-out rows best."""
    each = [Comparison.of(table, folds, seed, options, i) for i, table in enumerate(tables)]
    return min(each, key=lambda one: one.lowest)


def counting(show: Callable[[int, str], None], before: int) -> Callable[[int], None]:
    """What tells a progress bar how many fits are done, after those done before."""
    return lambda n: show(before + n, "")
