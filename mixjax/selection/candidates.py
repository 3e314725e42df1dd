"""What is tried: families, numbers of components and ridges."""

import copy
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from .. import checks
from ..families import known
from ..families.family import Family
from ..families.kinds import ColumnKinds

COMPONENTS = (1, 2, 4, 8, 16, 32, 64)
# The smallest number of rows for each component.
ROWS_EACH = 5
# The largest number of products in an iteration; these few components are always allowed.
ITERATION = 5e7
FEW = 8
# Candidates of at most SMALL components have a program of their own, if WORTH fits use it.
SMALL, WORTH = 16, 40


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
    kinds: ColumnKinds | None = None,
) -> list[Candidate]:
    """The grid for a table of this shape, when ``n_fitted`` of its rows are fitted.

    Families are for the columns of numbers, if some hold categories.
    """
    kinds = kinds or ColumnKinds(tuple(range(shape[1])), ())
    if families is None:
        families = default_families(len(kinds.numbers))
    several = families if isinstance(families, Iterable) else [families]
    # Without numbers, all are the same.
    chosen = list(dict.fromkeys(kinds.family(checks.family(family)) for family in several))
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


class Sizes:
    """How many components the programs have: smaller candidates hold the others at weight zero.

    A family has a program for its largest candidate, and another for candidates of at most `SMALL`
    components where that saves more than it costs to compile.
    """

    def __init__(self, candidates: Sequence[Candidate], n_fits: int, growing: bool) -> None:
        """Sizes for candidates that are fitted ``n_fits`` times each.

        If the numbers are growing, the largest are tried last, and perhaps not at all.
        """
        self.most: dict[type[Family], int] = {}
        n_small: Counter[type[Family]] = Counter()
        for family, k, _ in candidates:
            self.most[family] = max(k, self.most.get(family, 0))
            n_small[family] += n_fits * (k <= SMALL)
        self.split = {family for family in self.most if growing or n_small[family] >= WORTH}

    def __call__(self, candidate: Candidate) -> int:
        """The number of components of the program that fits a candidate."""
        family, k, _ = candidate
        most = max(k, self.most.get(family, 0))
        return min(SMALL, most) if k <= SMALL and family in self.split else most

    @property
    def largest(self) -> int:
        """The number of seeds that all candidates need."""
        return max(self.most.values())

    def grown(self, candidates: Sequence[Candidate]) -> "Sizes":
        """The same for candidates some of which may be larger."""
        sizes = copy.copy(self)
        sizes.most = dict(self.most)
        for family, k, _ in candidates:
            sizes.most[family] = max(k, sizes.most.get(family, 0))
        return sizes
