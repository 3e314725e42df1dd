"""The columns in which candidates are fitted: all of equal spread, or of equal reach.

Among columns of equal spread, one whose normal values have heavy tails reaches far beyond the
others, and decides by itself which rows are distant. So spheres are also fitted to columns that are
divided by the square of their kurtosis: there a heavy-tailed column says little.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..families.diagonal import DiagonalGaussian
from ..families.family import Family
from ..families.product import Product, product_of
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
        more = np.log(self.stretch).sum()
        found = []
        for fit, _, expected in results:
            ellipses = _ellipses(fit.mixture.components, self.stretch)
            moved = dataclasses.replace(fit, mixture=Mixture(fit.mixture.log_weights, ellipses))
            energy = (expected + more).astype(expected.dtype)
            # Of a row with holes, the density would change by the known columns alone.
            found.append(Result(moved, energy, energy))
        return found


def views_of(
    z: np.ndarray, candidates: list[Candidate], categories: Sequence[int], *, stretched: bool
) -> list[View]:
    """The views of standardized rows (N, C), with ``stretched`` all in which candidates differ."""
    spheres = [one for one in candidates if _is_of_spheres(one.family)]
    views = [View("", None, candidates)]
    numbers = np.setdiff1d(np.arange(z.shape[1]), categories)
    if stretched and spheres and len(numbers) > 1:
        stretch = np.ones(z.shape[1])
        fourth = np.nanmean(z[:, numbers].astype(np.float64) ** 4, axis=0)
        reach = np.maximum(fourth, 1) ** 2
        stretch[numbers] = reach / reach.min()
        views.append(View(EQUAL_REACH, stretch, spheres))
    return views


def _is_of_spheres(family: type[Family]) -> bool:
    """Whether the numbers among the columns are described by spheres."""
    return family is SphericalGaussian or (
        issubclass(family, Product) and SphericalGaussian in family.families
    )


def _ellipses(components: Any, stretch: np.ndarray) -> Any:
    """The components with all spheres stretched to ellipses."""
    if isinstance(components, Product):
        groups = components.groups
        pairs = zip(components.parts, groups, strict=True)
        parts = tuple(_ellipses(part, stretch[list(group)]) for part, group in pairs)
        made: Any = product_of(zip(map(type, parts), groups, strict=True))
        return made(parts)
    if not isinstance(components, SphericalGaussian):
        return components
    scales = np.asarray(components.scales)[:, None] * stretch
    means = np.asarray(components.means)
    return DiagonalGaussian((means * stretch).astype(means.dtype), scales.astype(means.dtype))
