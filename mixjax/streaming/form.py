"""How the rows of a stream are written: as wide rows of values, what is known of them, a weight."""

from typing import Any, NamedTuple, Self

import numpy as np

from .. import checks
from ..families.family import Family
from ..families.observing import observing
from ..mixture.opening import observed, require_noise
from ..rows.frames import rows_of
from ..rows.observed import Observed, packed, packed_width, unpacked


class Form(NamedTuple):
    """The columns of wide rows.

    Attributes:
      n_features: D, the number of values.
      noise_axes: -1 if all values are known; 0 if some may be missing; 2 if there are variances
        of errors, too, and 3 if there are covariances.
      weighted: whether the last column is a weight.
    """

    n_features: int
    noise_axes: int = -1
    weighted: bool = False

    @classmethod
    def of(cls, numbers: Any) -> Self:
        """The form from its three attributes as numbers."""
        d, noise_axes, weighted = map(int, numbers)
        return cls(d, noise_axes, bool(weighted))

    @property
    def complete(self) -> bool:
        """Whether all values are known."""
        return self.noise_axes < 0

    @property
    def n_known(self) -> int:
        """The number of columns without the weight."""
        return self.n_features if self.complete else packed_width(self.n_features, self.full)

    @property
    def width(self) -> int:
        """The number of all columns."""
        return self.n_known + self.weighted

    @property
    def full(self) -> bool:
        """Whether errors have covariances."""
        return self.noise_axes == 3

    def __str__(self) -> str:
        """What a row has, in words."""
        words = {-1: "", 0: " with holes", 2: " with variances", 3: " with covariances"}
        weight = " and a weight" if self.weighted else ""
        return f"{self.n_features} columns{words[self.noise_axes]}{weight}"

    def family(self, family: type[Family]) -> type[Family]:
        """The family of components of wide rows without their weight."""
        if self.complete:
            return family
        require_noise(family, self.noise_axes)
        return observing(family, self.noise_axes)

    def parts(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
        """The values (n, D), which of them are known, and the weights (n,); None for all, or 1."""
        weights = rows[:, -1] if self.weighted else None
        if self.complete:
            return rows[:, : self.n_features], None, weights
        seen = unpacked(rows[:, : self.n_known], self.n_features)
        return np.asarray(seen.x), np.asarray(seen.known), weights

    def lifted(self, origin: np.ndarray | None) -> np.ndarray | None:
        """An origin (D,) of the values as one of wide rows."""
        return None if origin is None else np.pad(origin, (0, self.width - len(origin)))


def written(batch: Any, weights: Any, name: str) -> tuple[np.ndarray, Form]:
    """The wide rows of a batch, and their form.

    Args:
      batch: (n, D) rows, or `mixjax.Observed` rows.
      weights: (n,) a weight for each, or None.
      name: what to call the batch in messages.
    """
    if isinstance(batch, Observed):
        noise = batch.noise if batch.noise is None else np.asarray(batch.noise)
        x, noise, full = observed(Observed(_numbers(batch.x, name), noise))
        axes = 0 if noise is None else noise.ndim
        rows, form = packed(x, noise, full), Form(x.shape[1], axes)
    else:
        rows = _numbers(batch, name)
        form = Form(rows.shape[1])
    if weights is None:
        return rows, form
    own = checks.row_weights(weights, rows, may_all_be_zero=True)
    wide = np.column_stack([rows, np.asarray(own, rows.dtype)])
    return wide, form._replace(weighted=True)


def _numbers(rows: Any, name: str) -> np.ndarray:
    """The rows (n, D) of a batch, checked."""
    found = np.asarray(rows_of(rows, name)[0])
    checks.floating(found.dtype, name)
    if found.ndim != 2 or found.shape[1] == 0:
        raise ValueError(f"{name} must have shape (rows, columns), got {found.shape}")
    return found
