"""The best candidate of each family, by the energies of held-out rows."""

import math

import numpy as np

from ..families.family import Family
from ..fitting.outcome import FitError
from ..selection.candidates import COMPONENTS, Candidate, affordable

# This share of the held-out rows, those of highest energy, is ignored.
TRIMMED = 0.05
# The largest number of products in an iteration of the chosen candidates.
ITERATION = 2.1e9


def trimmed_means(energies: np.ndarray) -> np.ndarray:
    """For each candidate, the mean of the lower energies.

    The highest energies are trimmed: a nearly constant column can give one row an energy a million
    times larger than all others, and this row alone would choose the ridge.
    """
    n_kept = math.ceil((1 - TRIMMED) * energies.shape[1])
    return np.sort(energies, axis=1)[:, :n_kept].mean(axis=1)


def best_of_each(candidates: list[Candidate], held_out: np.ndarray) -> list[Candidate]:
    """The candidate of each family with the lowest energy of held-out rows."""
    best: dict[type[Family], Candidate] = {}
    for i in np.argsort(held_out, kind="stable"):
        if np.isfinite(held_out[i]):
            best.setdefault(candidates[i].family, candidates[i])
    if not best:
        raise FitError(
            "no candidate could be fitted: look for values near the largest float, or pass a "
            "larger ridge"
        )
    return list(best.values())


def grown(candidate: Candidate, most: int, n_compared: int, shape: tuple[int, ...]) -> Candidate:
    """The candidate with more components, if only the cost of comparison excluded them."""
    k = candidate.n_components
    if k == most:
        bound = min(
            COMPONENTS[-1], k * shape[0] // n_compared,
            affordable(candidate.family, shape, ITERATION),
        )  # fmt: skip
        while 2 * k <= bound:
            k *= 2
    return candidate._replace(n_components=k)
