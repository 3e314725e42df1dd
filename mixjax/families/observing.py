"""Any family, for rows of which not everything is known.

The rows are packed: their values, and beside them what is known of each (`rows.observed`). To all
that fits or asks, they are rows like others, and this is a family like others.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, ClassVar, Self

import jax
import jax.numpy as jnp
from jax import Array, lax

from ..rows.blocks import Rows, Table, summed
from ..rows.executor import Compiled, executor_of
from ..rows.host_table import HostTable
from ..rows.observed import Seen, filled, known_in, packed_width, scaled, unpacked, without
from ..rows.scaling import Scale, Scaling, column_moments, scale_of
from .family import Family, Responsibilities
from .moments import Moments
from .patterns import PatternSums
from .widened import Widened, widened


class Observing(Widened, hidden=True):
    """Components of another family, seen through packed rows.

    Attributes:
      noise_axes: how many axes the noise of the rows has: 0 if there is none, only holes.
      full: whether it has covariances.
    """

    full: ClassVar[bool]

    @property
    def shape(self) -> tuple[int, ...]:
        """K, and the width of packed rows."""
        k, d = self.components.shape
        return k, packed_width(d, self.full)

    @classmethod
    def n_columns(cls, width: int) -> int:
        """D, from the width of packed rows."""
        d = width // 2
        if cls.full:
            d = next(d for d in range(1, width) if packed_width(d, True) == width)
        return d

    @classmethod
    def bulk(cls, width: int) -> int:
        """Each row has matrices for each component."""
        return 3 * cls.n_columns(width)

    def log_prob_and_statistics(self, x: Array) -> tuple[Array, Callable[[Array], Any]]:
        """Log-densities of what is known, and the sums for the M-step."""
        found: tuple[Array, Callable[[Array], Any]] = (
            self.components.observed_log_prob_and_statistics(self.seen(x))
        )
        return found

    def seen(self, x: Array) -> Seen:
        """What is seen of packed rows."""
        seen = unpacked(x, self.components.shape[1])
        return seen if self.noise_axes else seen._replace(noise=None)

    def missing_entropy(self, x: Array) -> Array:  # type: ignore[override]
        """The entropy (N, K or 1) of the missing values of packed rows, given the others."""
        found: Array = self.components.missing_entropy(self.seen(x))
        return found

    def coordinate_log_prob(self, x: Array) -> Array:
        """Log-density of each known value given the others of its row, 0 for a missing one."""
        d = self.components.shape[1]
        whole = self.log_prob(x)
        rest = lax.map(lambda i: self.log_prob(without(x, i, d)), jnp.arange(d))
        return whole[:, :, None] - jnp.moveaxis(rest, 0, 2)

    def from_statistics(self, stats: Any, reg_covar: Array) -> Self:
        """The components of higher likelihood."""
        reg_covar = reg_covar[: self.components.shape[1]]
        return self._with(self.components.from_observed_statistics(stats, reg_covar))

    @classmethod
    def scaled_rows(cls, table: Table | HostTable, sort: bool = False) -> tuple[Rows, Scale]:
        """The packed rows in scaled blocks; centers and scales are those of the known values."""
        return cls._scaled(table, None, sort)

    @classmethod
    def _scaled(
        cls, table: Table | HostTable, scaling: Scaling | None, sort: bool = False
    ) -> tuple[Rows, Scale]:
        d = cls.n_columns(table.x.shape[1])
        parts = _moments(table, d)
        own = functools.partial(scale_of, scaling=scaling) if scaling else cls.inner.scale_from
        scale = own(parts[0], parts[1], parts[2])
        if table.on is Compiled:
            scale = jax.tree.map(lax.stop_gradient, scale)
        xp = table.on.xp
        wide = _wide(scale, 0 * table.x[0, d:], xp)
        rows = cls.rows_in_scale(table, wide)
        if sort:
            rows = rows.sorted(table.in_places()[:, :d])
        there = xp.where(rows.weights[:, None] > 0, known_in(rows.x, d), False)
        mass = xp.sum(xp.where(there, rows.weights[:, None], 0), axis=(0, 2))
        shares = summed(mass, rows.axes) / xp.where(rows.total > 0, rows.total, 1)
        return rows, wide._replace(volume=xp.sum(shares * xp.log(scale.scale)))

    @classmethod
    def rows_in_scale(cls, table: Any, scale: Scale) -> Rows:
        """The packed rows in blocks; a row of which nothing is known has no weight."""
        d = cls.n_columns(table.x.shape[1])
        xp = table.on.xp
        rows: Rows = table.standardized(xp.zeros_like(scale.shift), xp.ones_like(scale.shift))
        weights = xp.where(xp.any(known_in(rows.x, d), axis=1), rows.weights, 0)
        own = scaled(rows.x, scale.shift[:d], scale.scale[:d])
        x = xp.where(weights[:, None] > 0, own, 0)
        total = summed(xp.sum(weights), rows.axes)
        return dataclasses.replace(rows, x=x, weights=weights, total=total)

    @classmethod
    def scale_of_known(cls, shift: Any, spread: Any, constant: Any, shares: Any) -> Scale:
        """The scale of packed rows, and what it means for the energy of what is known."""
        scale = cls.inner.scale_from(shift, spread, constant)
        xp, d = executor_of(shift).xp, len(shift)
        wide = _wide(scale, xp.zeros(packed_width(d, cls.full) - d, shift.dtype), xp)
        return wide._replace(volume=xp.sum(shares * xp.log(scale.scale)))

    @classmethod
    def values_for_start(cls, x: Any) -> Any:
        """The values (N, D), with the mean of the known ones of a column for the missing."""
        xp, d = executor_of(x).xp, cls.n_columns(x.shape[1])
        known = known_in(x.T[None], d)[0].T
        n_known = xp.sum(known, axis=0).astype(x.dtype)
        mean = xp.sum(xp.where(known, x[:, :d], 0), axis=0) / xp.where(n_known > 0, n_known, 1)
        return xp.where(known, x[:, :d], mean[None])

    @classmethod
    def rows_for_start(cls, table: Table | HostTable, rows: Rows) -> Rows:
        """The values (B, D, C) alone; likely ones in place of the missing."""
        d = cls.n_columns(rows.n_features)
        if cls.inner.shows_other_columns():
            known = known_in(rows.x, d)
            return cls.inner.columns_for_start(rows.with_columns(rows.x[:, :d]), known)
        if cls.scaling is not Scaling.COLUMNS:
            rows, _ = cls._scaled(table, Scaling.COLUMNS)
        values = filled(rows.x[:, :d], rows.weights, known_in(rows.x, d))
        return dataclasses.replace(rows, x=values)

    def pinned(self, stats: Any) -> Any:
        """Sums of what is expected of rows are about the centers already, but for the first."""
        if isinstance(stats, Moments | PatternSums):
            return dataclasses.replace(stats, first=jnp.zeros_like(stats.first))
        return dataclasses.replace(stats, columns=self.components.pinned(stats.columns))


class ObservingRows(Observing, hidden=True):
    """The same for a family whose M-step is not made of sums."""

    def m_step(self, rows: Rows, responsibilities: Responsibilities, reg_covar: Array) -> Self:
        """The M-step of the components."""
        reg_covar = reg_covar[: self.components.shape[1]]
        return self._with(self.components.observed_m_step(rows, responsibilities, reg_covar))


def _wide(scale: Scale, more: Any, xp: Any) -> Scale:
    """The scale of packed rows; ``more`` are zeros for what stands beside the values."""
    return Scale(
        xp.concatenate([scale.shift, more]), xp.concatenate([scale.scale, more + 1]),
        xp.concatenate([scale.variance, more + 1]),
    )  # fmt: skip


def _moments(table: Any, d: int) -> Any:
    """Center, spread and constancy (D,) of the known values of each column of packed rows."""
    xp = table.on.xp
    columns, known = table.x[:, :d].T, known_in(table.x.T[None], d)[0]
    weights = xp.ones_like(table.x[:, 0]) if table.weights is None else table.weights

    def of_column(both: tuple[Array, Array]) -> Any:
        own = xp.where(both[1], weights, 0)
        return column_moments(dataclasses.replace(table, x=both[0][:, None], weights=own))

    if table.on is Compiled:
        return [part[:, 0] for part in lax.map(of_column, (columns, known))]
    each = [of_column((columns[i], known[i])) for i in range(d)]
    return [xp.concatenate(part) for part in zip(*each, strict=True)]


@functools.cache
def observing(family: type[Family], noise_axes: int) -> type[Observing]:
    """The family for rows with holes, and with noise of so many axes: 0 (none), 2 or 3."""
    base = ObservingRows if family.defines("observed_m_step") else Observing
    sorts = base is ObservingRows and family.needs_sorted_rows
    return widened(
        base, f"Observed{family.__name__}", family, full=noise_axes == 3, noise_axes=noise_axes,
        needs_sorted_rows=sorts,
    )  # fmt: skip
