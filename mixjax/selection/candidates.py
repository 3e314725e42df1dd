"""What is tried: families, numbers of components and ridges."""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from .. import checks
from ..families import known
from ..families.family import Family

COMPONENTS = (1, 2, 4, 8, 16, 32, 64)
# The smallest number of rows for each component.
ROWS_EACH = 5
# The largest number of products in an iteration; these few components are always allowed.
ITERATION = 5e7
FEW = 8


class Candidate(NamedTuple):
    """One point of the grid.

    Attributes:
      family: the class of the components.
      n_components: K.
      ridge: what is added to the variances, as a share of each column's variance.
    """

    family: type[Family]
    n_components: int
    ridge: float

    @property
    def reg_covar(self) -> float:
        """An older name of `ridge`."""
        return self.ridge


def candidates_for(
    shape: tuple[int, ...],
    n_fitted: int,
    families: Sequence[type[Family]] | type[Family] | None,
    n_components: Sequence[int] | str,
    ridge: Sequence[float],
) -> list[Candidate]:
    """The grid for a table of this shape, when ``n_fitted`` of its rows are fitted."""
    if families is None:
        families = default_families(shape[1])
    several = families if isinstance(families, Iterable) else [families]
    chosen = [checks.family(family) for family in several]
    ridges = [float(share) for share in np.atleast_1d(np.asarray(ridge, float))]
    if not ridges or not all(0 <= share < math.inf for share in ridges):
        raise ValueError(f"ridge must hold non-negative shares of the variance, got {ridge}")
    grid = []
    for family in chosen:
        if isinstance(n_components, str):
            if n_components != "auto":
                raise ValueError(f'n_components must be ints or "auto", got {n_components!r}')
            few = max(FEW, affordable(family, shape, ITERATION))
            most = max(1, min(n_fitted // ROWS_EACH, few))
            numbers = [k for k in COMPONENTS if k <= most]
        else:
            numbers = [
                checks.n_components(k, n_fitted) for k in np.atleast_1d(np.asarray(n_components))
            ]
        grid += [Candidate(family, k, share) for k in numbers for share in ridges]
    if not grid:
        raise ValueError("the grid is empty: families, n_components or ridge is empty")
    return grid


def affordable(family: type[Family], shape: tuple[int, ...], products: float) -> int:
    """The components for which an iteration over such a table takes this number of products."""
    n, d = shape
    return int(products / (n * family.cost(d)))


def default_families(n_features: int) -> list[type[Family]]:
    """The families that are tried unasked: those for fewest columns first, then the fastest."""
    families = [family for family in known.by_word().values() if n_features <= family.tried_up_to]
    return sorted(families, key=lambda family: (family.tried_up_to, family.cost(n_features)))


def most_components(candidates: Sequence[Candidate]) -> dict[type[Family], int]:
    """The largest number of components of each family."""
    most: dict[type[Family], int] = {}
    for family, k, _ in candidates:
        most[family] = max(k, most.get(family, 0))
    return most
