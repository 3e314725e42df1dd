"""Kinds of columns: which hold categories, and what families describe both kinds."""

from collections.abc import Sequence
from typing import Literal, NamedTuple, Self

import numpy as np

from .. import checks
from .categorical import Categorical
from .family import Family
from .product import product

# A column of at most this many whole numbers may hold categories; more are rather counts.
MOST_LEVELS = 10


class ColumnKinds(NamedTuple):
    """Which columns hold numbers, and which hold categories.

    Attributes:
      numbers: the numbers of the first.
      categories: the numbers of the others.
      levels: how many levels these have, or None for those that the rows have.
    """

    numbers: tuple[int, ...]
    categories: tuple[int, ...]
    levels: tuple[int, ...] | None = None

    @classmethod
    def of(cls, asked: Literal["auto"] | Sequence[int] | None, x: np.ndarray) -> Self:
        """The kinds of the columns of x (N, D), NaN where missing.

        Args:
          asked: "auto" finds columns of few whole numbers; or the numbers of the columns that hold
            categories; None for no such column.
          x: the rows.
        """
        if isinstance(asked, str):
            if asked != "auto":
                raise ValueError(
                    'kinds must be "auto", the numbers of the columns that hold categories, or '
                    f"None; got {asked!r}"
                )
            chosen = [i for i, column in enumerate(x.T) if has_levels(column)]
        else:
            wanted = () if asked is None else tuple(asked)
            chosen = checks.columns(wanted, x.shape[1]).tolist() if wanted else []
        return cls(tuple(i for i in range(x.shape[1]) if i not in chosen), tuple(chosen))

    def family(self, numbers: type[Family]) -> type[Family]:
        """This family for the columns of numbers, and `Categorical` for the others."""
        if not self.categories:
            return numbers
        levels = Categorical if self.levels is None else Categorical.of(*self.levels)
        if not self.numbers:
            return levels
        return product({numbers: self.numbers, levels: self.categories})


def has_levels(column: np.ndarray, least: float = 0, most: float = MOST_LEVELS - 1) -> bool:
    """Whether the known values (N,) are several whole numbers within these bounds."""
    known = column[~np.isnan(column)]
    inside = known.size and known.min() >= least and known.max() <= most
    return bool(inside and (known == np.round(known)).all() and known.min() < known.max())


def common_categories(families: Sequence[type[Family]], n_features: int) -> tuple[int, ...]:
    """The columns that hold categories for all of these families.

    Raises:
      ValueError: the families do not agree, so that their densities cannot be compared.
    """
    each = [family.categories(n_features) for family in families]
    for family, own in zip(families, each, strict=True):
        if own != each[0]:
            raise ValueError(
                "the density of a number and the probability of a category cannot be compared: "
                f"{families[0].__name__} holds categories in the columns {list(each[0])}, "
                f"{family.__name__} in {list(own)}"
            )
    return each[0] if each else ()
