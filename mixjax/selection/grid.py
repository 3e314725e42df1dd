"""Many candidates for one table: one or two compiled programs for each family.

Many candidates with few components share a program, and so do all the others: a smaller
candidate holds the weights of the extra components at zero.
"""

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .. import checks
from ..families.family import Family
from ..families.observing import Observing
from ..fitting.em import EStepFirst
from ..fitting.lloyd import nested_seeds, nested_seeds_on_host
from ..fitting.outcome import Fit
from ..fitting.problem import Problem
from ..fitting.solver import progress_of, solve
from ..mixture.assignment import Labels
from ..mixture.expected import expected_energy
from ..mixture.mixture import Mixture
from ..mixture.questions import log_prob
from ..programs import GREAT_HASTE, HASTE, jit, on_device
from ..progress import progress_bar
from ..rows.blocks import Table
from ..rows.host_table import padded_rows
from ..rows.subsample import seeds_of
from ..workers import as_here, n_cores
from .candidates import Candidate, Sizes
from .journal import Stage
from .subject import Subject

# Candidates that iterate together; on a CPU each uses one core.
ABREAST = {"cpu": 1}
ABREAST_ELSEWHERE = 16
# Below this many numbers in an iteration, running costs less than optimized compilation; and up to
# the second, compiling in haste is enough.
BRIEF, LONG = 2**16, 2**20


class Split(NamedTuple):
    """Rows that are fitted together.

    Attributes:
      weights: (N,) weights of the rows; 0 for rows that are held out.
      labels: for each number of components, the nearest k-means++ seed of each row (N,).
    """

    weights: np.ndarray
    labels: dict[int, np.ndarray]

    @classmethod
    def of(cls, seed: np.uint32, rows: np.ndarray, weights: np.ndarray, most: int) -> "Split":
        """A part of scaled rows (N, C), with its seeds.

        They are nested: the first k are the seeds of k components.
        """
        own = weights.astype(rows.dtype)
        if rows.size * most <= LONG:
            seeds = nested_seeds_on_host(seed, rows, own, most)
        else:
            seeds = np.asarray(nested_seeds(seed, rows, own, most))
        nearest, label = np.full(len(rows), np.inf), np.zeros(len(rows), np.int32)
        labels = {}
        for k, seed in enumerate(seeds):
            distance = np.square(rows - seed).sum(axis=1)
            label = np.where(distance < nearest, k, label).astype(np.int32)
            nearest = np.minimum(distance, nearest)
            labels[k + 1] = label
        return cls(weights, labels)


class Job(NamedTuple):
    """A fit to run."""

    candidate: Candidate
    split: Split


class Result(NamedTuple):
    """A fit, and the energies (N,) of all rows, including those of weight zero.

    Attributes:
      fit: the fit.
      energy: minus the log-density of what is known of each row.
      expected: the same of a complete row; the mean energy of the rows that another one may be.
    """

    fit: Fit
    energy: np.ndarray
    expected: np.ndarray


def held_out_energies(results: Sequence[Result], rows: np.ndarray) -> np.ndarray:
    """(C, M) the energies of these M rows by each result; infinite if the fit failed."""
    energies = np.stack([one.energy[rows].astype(np.float64) for one in results])
    failed = np.array([bool(one.fit.failed) for one in results])
    return np.where(failed[:, None] | np.isnan(energies), np.inf, energies)


def fit_jobs(
    subject: Subject,
    jobs: Sequence[Job],
    sizes: Callable[[Candidate], int],
    tol: float,
    max_iter: int,
    report: Callable[[int], None] = lambda n_done: None,
    hidden: np.ndarray | None = None,
    brief: int = BRIEF,
    stage: Stage | None = None,
) -> list[Result]:
    """Fit every job, those of a family by one program; the results in their order.

    Args:
      subject: the rows.
      jobs: what to fit.
      sizes: the number of components of the program that fits a candidate.
      tol: as for `mixjax.fit`.
      max_iter: as for `mixjax.fit`.
      report: called with the number of finished fits.
      hidden: (D,) the smallest ridge, as a share of each column's variance; None for 0.
      brief: up to this many numbers in an iteration, programs are not optimized.
      stage: where finished fits are kept, and found again.
    """
    x = subject.table
    least = np.zeros(x.shape[1], x.dtype)
    if hidden is not None:
        least[: len(hidden)] = hidden
    if checks.on_host(x):
        # With rows of weight zero, so that a table of another length needs no new program.
        more = padded_rows(len(x)) - len(x)
        x = on_device(np.pad(np.asarray(x), ((0, more), (0, 0))))
    results: list[Any] = [None] * len(jobs)
    abreast = ABREAST.get(jax.default_backend(), ABREAST_ELSEWHERE)
    of_program: dict[tuple[type[Family], int], list[int]] = {}
    for i, job in enumerate(jobs):
        if stage is not None and (saved := _saved(stage, i, job, subject)) is not None:
            results[i] = saved
            continue
        key = job.candidate.family, sizes(job.candidate)
        of_program.setdefault(key, []).append(i)

    def work(chunk: tuple[int, list[int]]) -> None:
        size, places = chunk
        family = subject.fitted(jobs[places[0]].candidate.family)
        own = [jobs[i] for i in places]
        tried = _tried(x, family, own, size, abreast, tol, max_iter, least, brief)
        for i, one in zip(places, tried, strict=True):
            results[i] = one
            if stage is not None:
                stage.add(i, one.fit, [one.energy, one.expected])

    firsts: list[tuple[int, list[int]]] = []
    others: list[tuple[int, list[int]]] = []
    for (_, size), own in of_program.items():
        chunks = [(size, own[i : i + abreast]) for i in range(0, len(own), abreast)]
        firsts.append(chunks[0])
        others += chunks[1:]
    n_done = sum(one is not None for one in results)
    with ThreadPoolExecutor(n_cores()) as threads:
        # One of each program first, so that every program is compiled once, side by side.
        for part in (firsts, others):
            for chunk, _ in zip(part, threads.map(as_here(work), part), strict=True):
                n_done += len(chunk[1])
                report(n_done)
    return results


def _saved(stage: Stage, i: int, job: Job, subject: Subject) -> Result | None:
    """The result of a job, if it is kept from before."""
    family, k = subject.fitted(job.candidate.family), job.candidate.n_components
    found = stage.known(i, family, k, subject.table.shape[1], subject.x.dtype)
    return None if found is None else Result(found[0], *found[1])


def _tried(
    x: Array,
    family: type[Family],
    jobs: list[Job],
    size: int,
    abreast: int,
    tol: float,
    max_iter: int,
    least: np.ndarray,
    brief: int,
) -> list[Result]:
    filled = jobs + [jobs[0]] * (abreast - len(jobs))  # all programs have the same width
    dtype = x.dtype
    n = len(jobs[0].split.weights)
    weights = np.zeros((len(filled), len(x)), dtype)
    labels = np.zeros((len(filled), len(x)), np.int32)
    for i, job in enumerate(filled):
        weights[i, :n] = job.split.weights
        labels[i, :n] = job.split.labels[job.candidate.n_components]
    n_components = np.array([job.candidate.n_components for job in filled], np.int32)
    shares = np.array([job.candidate.ridge for job in filled], dtype)
    rest = np.asarray(tol, dtype), np.int32(max_iter), np.asarray(least, dtype)
    numbers = x.size * size if jax.default_backend() == "cpu" else math.inf
    run = _fit_briefly if numbers <= brief else _fit_in_haste if numbers <= LONG else _fit_some
    fits, energy, expected = jax.device_get(
        run(x, labels, weights, n_components, shares, *rest, size, family)
    )
    expected = energy if expected is None else expected
    out = []
    for i, job in enumerate(jobs):
        fit = jax.tree.map(lambda leaf, i=i: leaf[i], fits)
        own = _without_the_rest(fit, job.candidate.n_components)
        out.append(Result(own, energy[i, :n], expected[i, :n]))
    return out


def _without_the_rest(fit: Fit, k: int) -> Fit:
    """The fit with its first k components only; the others have weight zero."""
    mixture = fit.mixture
    components = mixture.components.take(slice(k)).released()
    return Fit(Mixture(mixture.log_weights[:k], components), fit.energy, fit.n_iter, fit.status)


def _fit(
    x: Array,
    labels: Array,
    weights: Array,
    n_components: Array,
    shares: Array,
    tol: Array,
    max_iter: Array,
    hidden: Array,
    size: int,
    family: type[Family],
) -> tuple[Fit, Array, Array | None]:
    """Fits, and both energies of all rows, of jobs with a leading axis each.

    For families of complete rows the second energies are None.
    """

    def one(labels: Array, weights: Array, n: Array, share: Array) -> Any:
        problem = Problem.of(Table.of(x, weights, size), size, family, sort=False)
        rows, scale = problem.rows, problem.scale
        active = jnp.arange(size, dtype=jnp.int32) < n
        reg = jnp.maximum(share, hidden) * scale.variance
        solver, state = EStepFirst.of(Labels(labels), rows, family, size, reg, active)
        progress = progress_of(solver, state, rows)
        fit = problem.in_units(solve(solver, progress, rows, scale, tol, max_iter)[0])
        expected = None
        if issubclass(family, Observing):
            expected = expected_energy(fit.mixture, x)
        return fit, -log_prob(fit.mixture, x), expected

    jobs = (labels, weights, n_components, shares)
    if labels.shape[0] == 1:
        # Not under vmap, where a cond would run both branches.
        alone = one(*(leaf[0] for leaf in jobs))
        return jax.tree.map(lambda leaf: leaf[None], alone)
    return jax.vmap(one)(*jobs)


_fit_briefly = jit(_fit, static_argnums=(8, 9), compiler_options=GREAT_HASTE)
_fit_in_haste = jit(_fit, static_argnums=(8, 9), compiler_options=HASTE)
_fit_some = jit(_fit, static_argnums=(8, 9))


class Search:
    """Fits of candidates, each the best of several starts."""

    def __init__(
        self,
        key: Array,
        subject: Subject,
        candidates: list[Candidate],
        sizes: Sizes,
        n_init: int,
        tol: float,
        max_iter: int,
        hidden: np.ndarray | None = None,
    ) -> None:
        self.seeds = seeds_of(key, n_init)
        self.subject, self.candidates, self.sizes = subject, candidates, sizes
        self.for_starts = subject.for_starts
        self.tol, self.max_iter, self.hidden = tol, max_iter, hidden

    def splits(self, weights: np.ndarray) -> list[Split]:
        """The rows with these weights, with the seeds of each start."""
        return [Split.of(seed, self.for_starts, weights, self.sizes.largest) for seed in self.seeds]

    def run(
        self, splits: list[Split], some: Sequence[int], report: Callable[[int], None]
    ) -> list[Result]:
        """The best fits of the candidates with these indices; reports how many are done."""
        n = len(splits)
        jobs = [Job(self.candidates[i], split) for i in some for split in splits]
        tried = fit_jobs(
            self.subject, jobs, self.sizes, self.tol, self.max_iter, report, self.hidden
        )
        return [_best(tried[i : i + n]) for i in range(0, len(tried), n)]

    def run_all(
        self,
        weights: np.ndarray,
        progress: bool,
        what: str = "selecting",
        some: Sequence[int] | None = None,
    ) -> list[Result]:
        """The best fits of all candidates (or some) to the rows with these weights, under a bar."""
        some = range(len(self.candidates)) if some is None else some
        with progress_bar(what, "fit", len(some) * len(self.seeds), 0, progress) as show:
            return self.run(self.splits(weights), some, lambda n: show(n, ""))


def _best(starts: list[Result]) -> Result:
    return min(starts, key=lambda t: np.inf if t.fit.failed else float(t.fit.energy))
