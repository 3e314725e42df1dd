"""Many candidates for one table: one compiled program for each family.

All candidates of a family have the same number of components in their program: a smaller
candidate holds the weights of the extra components at zero.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ..families.family import Family
from ..fitting.em import EM, maximized
from ..fitting.lloyd import nested_seeds
from ..fitting.outcome import Fit
from ..fitting.problem import Problem
from ..fitting.solver import solve
from ..mixture.mixture import Mixture
from ..mixture.questions import log_prob
from ..programs import jit
from ..progress import progress_bar
from ..pytrees import pytree
from ..rows.blocks import Rows, Table
from ..rows.scaling import Scale
from ..workers import as_here, n_cores
from .candidates import Candidate, most_components

# A log-weight that stands for zero but is finite, as every parameter of a fit must be.
NOTHING = -1e30
# Candidates that iterate together; on a CPU each uses one core.
ABREAST = {"cpu": 1}
ABREAST_ELSEWHERE = 16
# Below this many numbers in an iteration, running costs less than optimized compilation.
BRIEF = 2**19


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
        seeds = np.asarray(nested_seeds(key, x, weights.astype(x.dtype), most))
        rows = np.asarray(x)
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


@pytree
class PaddedState:
    """A mixture with its mean energy, and the mixture of the next E-step."""

    mixture: Mixture
    energy: Array
    next: Mixture


@pytree
class Padded:
    """EM in which only the active components (K,) have a weight, with the ridge ``reg`` (D,).

    An iteration is an E-step and then an M-step, so that each is compiled once.
    """

    active: Array
    reg: Array
    lazy: ClassVar[bool] = True

    def init(self, mixture: Mixture, rows: Rows, scale: Scale) -> PaddedState:
        mixture = self.masked(mixture)
        return PaddedState(mixture, jnp.asarray(jnp.inf, rows.x.dtype), mixture)

    def step(self, state: PaddedState, rows: Rows, scale: Scale) -> PaddedState:
        found = EM().expect(state.next, rows)
        after = self.masked(maximized(found, rows, self.reg))
        return PaddedState(found.mixture, found.energy, after)

    def masked(self, mixture: Mixture) -> Mixture:
        return Mixture(jnp.where(self.active, mixture.log_weights, NOTHING), mixture.components)


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
      most: the largest number of components of each family; a program is compiled for it.
      tol: as for `mixjax.fit`.
      max_iter: as for `mixjax.fit`.
      report: called with the number of finished fits.
      hidden: (D,) the smallest ridge, as a share of each column's variance; None for 0.
    """
    least = np.zeros(x.shape[1]) if hidden is None else hidden
    results: list[Any] = [None] * len(jobs)
    abreast = ABREAST.get(jax.default_backend(), ABREAST_ELSEWHERE)
    chunks: list[list[int]] = []
    for family in most:
        own = [i for i, job in enumerate(jobs) if job.candidate.family is family]
        chunks += [own[first : first + abreast] for first in range(0, len(own), abreast)]

    def work(chunk: list[int]) -> None:
        own = [jobs[i] for i in chunk]
        size = most[own[0].candidate.family]
        tried = _tried(x, own, size, abreast, tol, max_iter, least)
        for i, one in zip(chunk, tried, strict=True):
            results[i] = one

    seen: set[type[Family]] = set()
    firsts: list[list[int]] = []
    others: list[list[int]] = []
    for chunk in chunks:
        family = jobs[chunk[0]].candidate.family
        (others if family in seen else firsts).append(chunk)
        seen.add(family)
    n_done = 0
    with ThreadPoolExecutor(n_cores()) as threads:
        # One of each family first, so that every program is compiled once, side by side.
        for part in (firsts, others):
            for chunk, _ in zip(part, threads.map(as_here(work), part), strict=True):
                n_done += len(chunk)
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
    weights = np.stack([job.split.weights for job in filled]).astype(dtype)
    labels = np.stack([job.split.labels[job.candidate.n_components] for job in filled])
    n_components = np.array([job.candidate.n_components for job in filled], np.int32)
    shares = np.array([job.candidate.ridge for job in filled], dtype)
    rest = np.asarray(tol, dtype), np.int32(max_iter), np.asarray(least, dtype)
    family = jobs[0].candidate.family
    brief = jax.default_backend() == "cpu" and x.size * size <= BRIEF
    run = _fit_briefly if brief else _fit_some
    fits, energy = jax.device_get(
        run(x, labels, weights, n_components, shares, *rest, size, family)
    )
    out = []
    for i, job in enumerate(jobs):
        fit = jax.tree.map(lambda leaf, i=i: leaf[i], fits)
        out.append(Result(_without_the_rest(fit, job.candidate.n_components), energy[i]))
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
        place = jnp.arange(size, dtype=jnp.int32)
        active = place < n

        def assignment(x: Array, index: Array) -> Array:
            return (place[:, None] == labels[index][None]).astype(x.dtype)

        reg = jnp.maximum(share, hidden) * scale.variance
        standard = family.standard(size, x.shape[1], x.dtype)
        even = jnp.full((size,), -jnp.log(n.astype(x.dtype)))
        first = Mixture(even, standard.quick_m_step(rows, assignment, reg))
        padded = Padded(active, reg)
        solution, _ = solve(padded, first, rows, scale, tol, max_iter, active=active)
        fit = problem.in_units(solution)
        return fit, -log_prob(fit.mixture, x)

    jobs = (labels, weights, n_components, shares)
    if labels.shape[0] == 1:
        # Not under vmap, where a cond would run both branches.
        alone = one(*(leaf[0] for leaf in jobs))
        return jax.tree.map(lambda leaf: leaf[None], alone)
    return jax.vmap(one)(*jobs)


# Half the time to compile, four times the time to run.
_fit_briefly = jit(
    _fit, static_argnums=(8, 9), compiler_options={"xla_backend_optimization_level": 0}
)
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
