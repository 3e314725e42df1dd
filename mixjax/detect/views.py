"""The columns in which candidates are fitted: all of equal spread, or of equal reach.

Among columns of equal spread, one whose normal values have heavy tails reaches far beyond the
others, and decides by itself which rows are distant. So spheres are also fitted to columns that are
divided by the square of their kurtosis: there a heavy-tailed column says little.
"""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..families.diagonal import DiagonalGaussian
from ..families.spherical import SphericalGaussian
from ..mixture.mixture import Mixture
from ..selection.candidates import Candidate
from ..selection.grid import Result

EQUAL_REACH = "fitted as spheres where all columns reach equally far"


class View(NamedTuple):
    """Candidates, and what the standardized columns are divided by before they are fitted.

    Attributes:
      name: what is special about it, in words; "" for the standardized columns.
      stretch: (C,) at least 1, or None for the standardized columns themselves.
      candidates: what is compared there.
    """

    name: str
    stretch: np.ndarray | None
    candidates: list[Candidate]

    def of(self, z: np.ndarray) -> np.ndarray:
        """Standardized rows (N, C) in this view."""
        return z if self.stretch is None else (z / self.stretch).astype(z.dtype)

    def in_standardized(self, results: Sequence[Result]) -> list[Result]:
        """Fits of this view as fits of the standardized columns: spheres become ellipses."""
        if self.stretch is None:
            return list(results)
        stretch, more = self.stretch, np.log(self.stretch).sum()
        found = []
        for fit, energy in results:
            spheres = fit.mixture.components
            scales = np.asarray(spheres.scales)[:, None] * stretch
            means = np.asarray(spheres.means) * stretch
            dtype = spheres.means.dtype
            ellipses = DiagonalGaussian(means.astype(dtype), scales.astype(dtype))
            mixture = Mixture(fit.mixture.log_weights, ellipses)
            moved = dataclasses.replace(fit, mixture=mixture)
            found.append(Result(moved, (energy + more).astype(energy.dtype)))
        return found


def views_of(z: np.ndarray, candidates: list[Candidate], *, stretched: bool) -> list[View]:
    """The views of standardized rows (N, C), with ``stretched`` all in which candidates differ."""
    spheres = [one for one in candidates if one.family is SphericalGaussian]
    views = [View("", None, candidates)]
    if stretched and spheres and z.shape[1] > 1:
        reach = np.maximum(np.mean(z.astype(np.float64) ** 4, axis=0), 1) ** 2
        views.append(View(EQUAL_REACH, reach / reach.min(), spheres))
    return views
