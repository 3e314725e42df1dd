"""A table as a detector learns it: columns chosen and standardized, categories numbered."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import jax
import numpy as np
from jax import Array

from .. import checks
from ..families.kinds import ColumnKinds, common_categories
from ..programs import on_device
from ..rows.frames import rows_of
from ..rows.observed import Observed
from ..rows.repeats import steps
from ..rows.words import coded_rows
from ..selection.candidates import Candidate
from ..selection.subject import Subject
from .levels import Asked, Levels, levels_of, with_codes

FEWEST_ROWS = 10


class Prepared(NamedTuple):
    """The rows that are fitted.

    Attributes:
      names: the names of all columns of the table.
      used: (C,) the numbers of the columns that are used.
      places: (n,) the numbers of the rows that are fitted.
      rows: (n, C) these, as they came; NaN where missing.
      levels: for each used column its levels, () for numbers.
      center: (C,) what is subtracted from each column; 0 from categories.
      scale: (C,) what it is divided by; 1 for categories.
      z: (n, C) the result, with the numbers of levels as they are.
      incomplete: whether values may be missing.
    """

    names: tuple[str, ...]
    used: np.ndarray
    places: np.ndarray
    rows: np.ndarray
    levels: tuple[Levels, ...]
    center: np.ndarray
    scale: np.ndarray
    z: np.ndarray
    incomplete: bool

    @classmethod
    def of(
        cls,
        key: Array,
        x: Any,
        columns: Sequence[int] | None,
        feature_names: Sequence[str] | None,
        kinds: Asked,
        max_rows: int,
    ) -> tuple[Self, np.random.Generator]:
        """Check a table and prepare it, or ``max_rows`` of its rows drawn at random.

        Returns:
          The table, and what draws the rest.
        """
        incomplete = isinstance(x, Observed)
        if isinstance(x, Observed):
            if x.noise is not None:
                raise TypeError("a detector takes rows without noise: pass mixjax.Observed(x)")
            x = x.x
        x, known_names, words = coded_rows(x) if kinds is not None else (*rows_of(x), {})
        table = checks.table(x)
        if not (checks.is_concrete(key) and checks.is_concrete(table)):
            raise TypeError(checks.HOST_ONLY.format("detect.fit", "mixjax.fit"))
        checks.key(key)
        if table.shape[0] < FEWEST_ROWS:
            raise ValueError(f"x must have at least {FEWEST_ROWS} rows, got {table.shape[0]}")
        n_columns = table.shape[1]
        used = checks.columns(np.arange(n_columns) if columns is None else columns, n_columns)
        names = _names(known_names if feature_names is None else feature_names, n_columns)
        checks.finite_rows(table, observed=incomplete)
        rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))
        host = x if isinstance(x, np.ndarray) else np.asarray(table)
        places = subsample(np.arange(len(host)), max_rows, rng)
        rows = host[places][:, used]
        if incomplete and (never := np.isnan(rows).all(axis=0)).any():
            shown = ", ".join(names[i] for i in used[never][:10])
            raise ValueError(f"x has no value in the columns {shown}: leave them out")
        levels = _with_words(levels_of(kinds, used, rows), used, names, words)
        dtype = jax.dtypes.canonicalize_dtype(table.dtype)
        center, scale, z = _standardized(rows, levels, dtype)
        return cls(names, used, places, rows, levels, center, scale, z, incomplete), rng

    @property
    def alternatives(self) -> list[Self]:
        """This table, and the one in which all columns without words hold numbers."""
        levels = tuple(own if own and isinstance(own[0], str) else () for own in self.levels)
        if levels == self.levels:
            return [self]
        center, scale, z = _standardized(self.rows, levels, self.z.dtype)
        return [self, self._replace(levels=levels, center=center, scale=scale, z=z)]

    @property
    def log_steps(self) -> float:
        """The sum of the logarithms of the steps between levels, in units of deviations."""
        of_levels = [i for i, own in enumerate(self.levels) if own and not isinstance(own[0], str)]
        if not of_levels:
            return 0.0
        rows = self.rows[:, of_levels]
        each = steps(rows, np.random.default_rng(0)) / _center_and_scale(rows)[1]
        return float(np.log(np.where(each > 0, each, 1)).sum())

    @property
    def categories(self) -> tuple[int, ...]:
        """Which of the used columns hold categories."""
        return tuple(i for i, own in enumerate(self.levels) if own)

    @property
    def kinds(self) -> ColumnKinds:
        """The kinds of the used columns; each level that is not known here is one more."""
        numbers = tuple(i for i, own in enumerate(self.levels) if not own)
        n_levels = tuple(len(own) + 1 for own in self.levels if own)
        return ColumnKinds(numbers, self.categories, n_levels)

    def require(self, candidates: Sequence[Candidate]) -> None:
        """Raise unless all candidates hold categories in these columns."""
        families = list(dict.fromkeys(candidate.family for candidate in candidates))
        found = common_categories(families, len(self.used))
        if found != self.categories:
            raise ValueError(
                f"{families[0].__name__} holds categories in the columns {list(found)}: pass these "
                "as kinds instead, and families for the other columns"
            )

    def steps(self) -> np.ndarray:
        """The step (C,) to which each standardized column is rounded, 0 for categories."""
        found = steps(self.rows, np.random.default_rng(0)) / self.scale
        found[list(self.categories)] = 0
        return found

    def subject(self, z: np.ndarray) -> Subject:
        """These standardized rows, for fits."""
        return Subject(on_device(z), None, self.incomplete, self.categories)


def subsample(values: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    """The values in order, or ``most`` of them drawn at random."""
    if len(values) <= most:
        return values
    return values[np.sort(rng.permutation(len(values))[:most])]


def _names(given: Sequence[str] | None, n_columns: int) -> tuple[str, ...]:
    names = tuple(map(str, [f"x{i}" for i in range(n_columns)] if given is None else given))
    if len(set(names)) != n_columns:
        raise ValueError(
            f"feature_names must be {n_columns} different names, got {len(names)}, and only "
            f"{len(set(names))} of them differ"
        )
    return names


def _with_words(
    levels: tuple[Levels, ...], used: np.ndarray, names: Sequence[str], words: dict[str, Any]
) -> tuple[Levels, ...]:
    """The levels, with the words of columns of text."""
    each = zip(used, levels, strict=True)
    return tuple(words.get(names[i], own) for i, own in each)


def _standardized(
    rows: np.ndarray, levels: tuple[Levels, ...], dtype: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Center and scale (C,) of rows (n, C), and the result; categories as numbers of levels."""
    center, scale = _center_and_scale(rows)
    of_categories = [i for i, own in enumerate(levels) if own]
    center[of_categories], scale[of_categories] = 0, 1
    z = with_codes((rows - center) / scale, rows, range(rows.shape[1]), levels, np)
    with np.errstate(over="ignore"):
        return center, scale, z.astype(dtype)


def _center_and_scale(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation in double precision; the fit may use single."""
    rows = rows.astype(np.float64)
    center, scale = np.nanmean(rows, axis=0), np.nanstd(rows, axis=0)
    low = np.nanmin(rows, axis=0)
    constant = low == np.nanmax(rows, axis=0)
    return np.where(constant, low, center), np.where(constant | (scale == 0), 1, scale)
