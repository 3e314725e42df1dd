"""Any family, for rows of some of which the component is known.

The last column of the rows holds the number of the component, or -1 where it is unknown.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, Self

import jax.numpy as jnp
import numpy as np
from jax import Array

from ..rows.blocks import Rows, Table
from ..rows.executor import executor_of
from ..rows.host_table import HostTable
from ..rows.scaling import Scale
from .family import Family, Responsibilities
from .moments import NOTHING
from .widened import Widened, widened


class Labeling(Widened, hidden=True):
    """Components of which a labeled row can come from one alone."""

    @property
    def shape(self) -> tuple[int, ...]:
        """K, and the width of the rows with their labels."""
        k, d = self.components.shape
        return k, d + 1

    @classmethod
    def n_columns(cls, width: int) -> int:
        """All but the label."""
        return width - 1

    @classmethod
    def bulk(cls, width: int) -> int:
        """That of the inner family."""
        return cls.inner.bulk(width - 1)

    def log_prob_and_statistics(self, x: Array) -> tuple[Array, Callable[[Array], Any]]:
        """Log-densities, none for other components than that of the label; and the sums."""
        log_prob, statistics = self.components.log_prob_and_statistics(x[:, :-1])
        label = x[:, -1:]
        numbers = jnp.arange(log_prob.shape[1], dtype=x.dtype)[None]
        return jnp.where((label < 0) | (label == numbers), log_prob, NOTHING), statistics

    def from_statistics(self, stats: Any, reg_covar: Array) -> Self:
        """The components of higher likelihood."""
        return self._with(self.components.from_statistics(stats, reg_covar[:-1]))

    def pinned(self, stats: Any) -> Any:
        """That of the components."""
        return self.components.pinned(stats)

    @classmethod
    def scaled_rows(cls, table: Table | HostTable, sort: bool = False) -> tuple[Rows, Scale]:
        """The scaled rows of the inner family, with their labels."""
        xp = table.on.xp
        rows, scale = cls.inner.scaled_rows(_columns(table, slice(-1)), sort)
        rows = _with_labels(rows, table)
        more = 0 * scale.shift[:1]
        wide = [
            xp.concatenate(pair) for pair in zip(scale[:3], (more, more + 1, more + 1), strict=True)
        ]
        return rows, Scale(wide[0], wide[1], wide[2], scale.volume)

    @classmethod
    def rows_in_scale(cls, table: Any, scale: Scale) -> Rows:
        """The rows of the inner family in that scale, with their labels."""
        own = Scale(*(part[:-1] for part in scale[:3]))
        return _with_labels(cls.inner.rows_in_scale(_columns(table, slice(-1)), own), table)

    @classmethod
    def rows_for_start(cls, table: Table | HostTable, rows: Rows) -> Rows:
        """The rows without labels."""
        rows = dataclasses.replace(rows, x=rows.x[:, :-1])
        return cls.inner.rows_for_start(_columns(table, slice(-1)), rows)

    @classmethod
    def values_for_start(cls, x: Any) -> Any:
        """The rows (N, D) without labels."""
        return cls.inner.values_for_start(x[:, :-1])

    @classmethod
    def informed(cls, x: Any, assignment: Any, k: int) -> Any:
        """The assignment with the labels of the rows x, and with the numbers that suit them."""
        known = x[:, -1].astype(np.int32)
        return assignment.informed(known, k)


class LabelingRows(Labeling, hidden=True):
    """The same for a family whose M-step is not made of sums."""

    def m_step(self, rows: Rows, responsibilities: Responsibilities, reg_covar: Array) -> Self:
        """The M-step of the components."""
        last = rows.n_features - 1

        def with_labels(x: Array, index: Array) -> Array:
            labels = rows.values_at(index, jnp.full_like(index, last))
            return responsibilities(jnp.concatenate([x, labels[None]]), index)

        narrow = dataclasses.replace(rows, x=rows.x[:, :-1])
        return self._with(self.components.m_step(narrow, with_labels, reg_covar[:-1]))


def _with_labels(rows: Rows, table: Any) -> Rows:
    """Scaled rows with the last column of a table beside them."""
    last = 0 * table.x[0, -1:]
    labels = _columns(table, slice(-1, None)).standardized(last, last + 1)
    x = table.on.xp.concatenate([rows.x, labels.x], axis=1)
    return dataclasses.replace(rows, x=x)


def _columns(table: Any, columns: slice) -> Any:
    return dataclasses.replace(table, x=table.x[:, columns])


@functools.cache
def labeling(family: type[Family]) -> type[Labeling]:
    """The family for rows with labels."""
    base = Labeling if family.m_step_is_sums() else LabelingRows
    sorts = family.needs_sorted_rows
    return widened(base, f"Labeled{family.__name__}", family, needs_sorted_rows=sorts)


def with_labels(x: Any, labels: Any) -> Any:
    """Rows (N, D) with their labels (N,) beside them."""
    xp = executor_of(x).xp
    return xp.concatenate([x, xp.asarray(labels)[:, None].astype(x.dtype)], axis=1)
