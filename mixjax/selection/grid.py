"""Many candidates for one table: one or two compiled programs for each family.

Many candidates with few components share a program, and so do all the others: a smaller
candidate holds the weights of the extra components at zero.
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .. import checks
from ..families.family import Family
from ..fitting.em import EStepFirst
from ..fitting.lloyd import nested_seeds, nested_seeds_on_host
from ..fitting.outcome import Fit
from ..fitting.problem import Problem
from ..fitting.solver import progress_of, solve
from ..mixture.assignment import Labels
from ..mixture.mixture import Mixture
from ..mixture.questions import log_prob
from ..programs import HASTE, jit, on_device
from ..progress import progress_bar
from ..rows.blocks import Table
from ..rows.host_table import padded_rows
from ..workers import as_here, n_cores
from .candidates import Candidate, most_components

# Candidates that iterate together; on a CPU each uses one core.
ABREAST = {"cpu": 1}
ABREAST_ELSEWHERE = 16
# Below this many numbers in an iteration, running costs less than optimized compilation; and up to
# the second, compiling in haste is enough.
BRIEF, LONG = 2**16, 2**20


# Fits of at most FEW components have a program of their own, if there are at least WORTH of them.
FEW, WORTH = 8, 40


class Split(NamedTuple):
    """Rows that are fitted together.

    Attributes:
      weights: (N,) weights of the rows; 0 for rows that are held out.
      labels: for each number of components, the nearest k-means++ seed of each row (N,).
    """

    weights: np.ndarray
    labels: dict[int, np.ndarray]

    @classmethod
    def of(cls, key: Array, x: Array, weights: np.ndarray, most: int) -> "Split":
        """A part with its seeds, which are nested: the first k are the seeds of k components."""
        rows, own = np.asarray(x), weights.astype(x.dtype)
        if checks.on_host(key, x) and rows.size * most <= LONG:
            seeds = nested_seeds_on_host(key, rows, own, most)
        else:
            seeds = np.asarray(nested_seeds(key, x, own, most))
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
    """A fit, and the energies (N,) of all rows, including those of weight zero."""

    fit: Fit
    energy: np.ndarray


def fit_jobs(
    x: Array,
    jobs: Sequence[Job],
    most: dict[type[Family], int],
    tol: float,
    max_iter: int,
    report: Callable[[int], None] = lambda n_done: None,
    hidden: np.ndarray | None = None,
) -> list[Result]:
    """Fit every job, those of a family by one program; the results in their order.

    Args:
      x: (N, D) rows.
      jobs: what to fit.
      most: the largest number of components of each family; a program is compiled for it, and
        where it is worth it one for at most `FEW`.
      tol: as for `mixjax.fit`.
      max_iter: as for `mixjax.fit`.
      report: called with the number of finished fits.
      hidden: (D,) the smallest ridge, as a share of each column's variance; None for 0.
    """
    least = np.zeros(x.shape[1]) if hidden is None else hidden
    if checks.on_host(x):
        # With rows of weight zero, so that a table of another length needs no new program.
        more = padded_rows(len(x)) - len(x)
        x = on_device(np.pad(np.asarray(x), ((0, more), (0, 0))))
    results: list[Any] = [None] * len(jobs)
    abreast = ABREAST.get(jax.default_backend(), ABREAST_ELSEWHERE)
    n_small = Counter(job.candidate.family for job in jobs if job.candidate.n_components <= FEW)
    of_program: dict[tuple[type[Family], int], list[int]] = {}
    for i, job in enumerate(jobs):
        family, k = job.candidate.family, job.candidate.n_components
        small = k <= FEW and n_small[family] >= WORTH
        size = min(FEW, most[family]) if small else most[family]
        of_program.setdefault((family, size), []).append(i)

    def work(chunk: tuple[int, list[int]]) -> None:
        size, places = chunk
        tried = _tried(x, [jobs[i] for i in places], size, abreast, tol, max_iter, least)
        for i, one in zip(places, tried, strict=True):
            results[i] = one

    firsts: list[tuple[int, list[int]]] = []
    others: list[tuple[int, list[int]]] = []
    for (_, size), own in of_program.items():
        chunks = [(size, own[i : i + abreast]) for i in range(0, len(own), abreast)]
        firsts.append(chunks[0])
        others += chunks[1:]
    n_done = 0
    with ThreadPoolExecutor(n_cores()) as threads:
        # One of each program first, so that every program is compiled once, side by side.
        for part in (firsts, others):
            for chunk, _ in zip(part, threads.map(as_here(work), part), strict=True):
                n_done += len(chunk[1])
                report(n_done)
    return results


def _tried(
    x: Array,
    jobs: list[Job],
    size: int,
    abreast: int,
    tol: float,
    max_iter: int,
    least: np.ndarray,
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
    family = jobs[0].candidate.family
    numbers = x.size * size if jax.default_backend() == "cpu" else math.inf
    run = _fit_briefly if numbers <= BRIEF else _fit_in_haste if numbers <= LONG else _fit_some
    fits, energy = jax.device_get(
        run(x, labels, weights, n_components, shares, *rest, size, family)
    )
    out = []
    for i, job in enumerate(jobs):
        fit = jax.tree.map(lambda leaf, i=i: leaf[i], fits)
        out.append(Result(_without_the_rest(fit, job.candidate.n_components), energy[i, :n]))
    return out


def _without_the_rest(fit: Fit, k: int) -> Fit:
    """The fit with its first k components only; the others have weight zero."""
    mixture = fit.mixture
    components = mixture.components.take(slice(k))
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
) -> tuple[Fit, Array]:
    """Fits, and energies of all rows, of jobs with a leading axis each."""

    def one(labels: Array, weights: Array, n: Array, share: Array) -> tuple[Fit, Array]:
        problem = Problem.of(Table.of(x, weights, size), size, family, sort=False)
        rows, scale = problem.rows, problem.scale
        active = jnp.arange(size, dtype=jnp.int32) < n
        reg = jnp.maximum(share, hidden) * scale.variance
        solver, state = EStepFirst.of(Labels(labels), rows, family, size, reg, active)
        progress = progress_of(solver, state, rows)
        fit = problem.in_units(solve(solver, progress, rows, scale, tol, max_iter)[0])
        return fit, -log_prob(fit.mixture, x)

    jobs = (labels, weights, n_components, shares)
    if labels.shape[0] == 1:
        # Not under vmap, where a cond would run both branches.
        alone = one(*(leaf[0] for leaf in jobs))
        return jax.tree.map(lambda leaf: leaf[None], alone)
    return jax.vmap(one)(*jobs)


# A third of the time to compile, three times the time to run.
_fit_briefly = jit(
    _fit,
    static_argnums=(8, 9),
    compiler_options={"xla_backend_optimization_level": 0, "xla_cpu_use_fusion_emitters": False},
)
_fit_in_haste = jit(_fit, static_argnums=(8, 9), compiler_options=HASTE)
_fit_some = jit(_fit, static_argnums=(8, 9))


class Search:
    """Fits of the candidates with different rows held out."""

    def __init__(
        self,
        key: Array,
        x: Array,
        w: np.ndarray,
        candidates: list[Candidate],
        n_init: int,
        tol: float,
        max_iter: int,
        progress: bool,
        hidden: np.ndarray | None = None,
    ) -> None:
        self.key, self.x, self.w, self.candidates = key, x, w, candidates
        self.n_init, self.tol, self.max_iter, self.progress = n_init, tol, max_iter, progress
        self.most = most_components(candidates)
        self.hidden = hidden

    def run(
        self, row_weights: list[np.ndarray], what: str, some: np.ndarray | None = None
    ) -> list[list[Result]]:
        """Fit each candidate (or some of them) with each of the row weights."""
        numbers = range(len(self.candidates)) if some is None else some.tolist()
        keys = [jax.random.fold_in(self.key, 1 + start) for start in range(self.n_init)]
        most = max(self.most.values())
        jobs = []
        for w in row_weights:
            splits = [Split.of(key, self.x, w, most) for key in keys]
            jobs += [Job(self.candidates[i], split) for i in numbers for split in splits]
        with progress_bar(what, "fit", len(jobs), 0, self.progress) as show:
            tried = fit_jobs(
                self.x, jobs, self.most, self.tol, self.max_iter, lambda n: show(n, ""),
                self.hidden,
            )  # fmt: skip
        best = [_best(tried[i : i + self.n_init]) for i in range(0, len(tried), self.n_init)]
        return [best[i : i + len(numbers)] for i in range(0, len(best), len(numbers))]


def _best(starts: list[Result]) -> Result:
    return min(starts, key=lambda t: np.inf if t.fit.failed else float(t.fit.energy))
