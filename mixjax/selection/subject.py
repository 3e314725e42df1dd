"""What candidates are fitted to: a table, and what is known of its rows and its columns."""

from typing import Any, NamedTuple

import numpy as np

from ..families.family import Family
from ..families.observing import observing
from ..rows.executor import executor_of
from ..rows.host_table import HostTable
from ..rows.observed import Observed, packed, with_means
from ..rows.scaling import Scaling, standardized


class Subject(NamedTuple):
    """A table as each family takes it.

    Attributes:
      x: (N, D) values; NaN where missing.
      noise: (N, D) variances or (N, D, D) covariances of errors, or None.
      incomplete: whether the rows came as `mixjax.Observed`.
      categories: the numbers of the columns that hold categories.
    """

    x: Any
    noise: Any = None
    incomplete: bool = False
    categories: tuple[int, ...] = ()

    @property
    def full(self) -> bool:
        """Whether errors have covariances."""
        return self.noise is not None and self.noise.ndim == 3

    @property
    def rows(self) -> Any:
        """The rows as users pass them."""
        return Observed(self.x, self.noise) if self.incomplete else self.x

    @property
    def table(self) -> Any:
        """The rows as programs take them: (N, D), or packed."""
        if not self.incomplete:
            return self.x
        xp = executor_of(self.x).xp
        noise = None if self.noise is None else xp.asarray(self.noise, self.x.dtype)
        return packed(self.x, noise, self.full)

    def fitted(self, family: type[Family]) -> type[Family]:
        """What is fitted to the table for a family of the user's choice."""
        family = family.for_rows(self.x)
        if not self.incomplete:
            return family
        return observing(family, 0 if self.noise is None else self.noise.ndim)

    @property
    def for_starts(self) -> np.ndarray:
        """The rows (N, C) as starts see them: scaled, the mean for a missing value.

        A column of categories becomes a column of 0 and 1 for each level.
        """
        x = np.asarray(self.x)
        if self.incomplete:
            x = with_means(x)
        with np.errstate(all="ignore"):
            scale = standardized(HostTable.of(x, None, 1), Scaling.COLUMNS)[1]
            z = ((x - scale.shift) / scale.scale).astype(x.dtype)
        if not self.categories:
            return z
        chosen = np.asarray(self.x)[:, list(self.categories)]
        top = [0 if np.isnan(column).all() else int(np.nanmax(column)) for column in chosen.T]
        levels = [chosen[:, i] == level for i, last in enumerate(top) for level in range(last + 1)]
        numbers = np.delete(z, list(self.categories), axis=1)
        return np.column_stack([numbers, np.stack(levels, axis=1).astype(z.dtype)])
