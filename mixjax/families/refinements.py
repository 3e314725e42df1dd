"""What a family may define beyond plain fits: rows known in part, parameters held fixed."""

import dataclasses
from typing import Any, ClassVar, Self

from jax import Array

from .. import linalg
from ..rows.blocks import Rows
from ..rows.observed import Seen


class Refinements:
    """Methods of a family with defaults that refuse, or that leave everything as it is."""

    noise_axes: ClassVar[int] = 0

    @classmethod
    def for_rows(cls, x: Any) -> Any:
        """The family for rows x (N, D): another one if it must know what values they have."""
        return cls

    @classmethod
    def looks_at_rows(cls) -> bool:
        """Whether the family must know what values rows have."""
        return getattr(cls.for_rows, "__func__", None) is not _plain_for_rows

    @classmethod
    def categories(cls, n_features: int) -> tuple[int, ...]:
        """The numbers of the columns that hold categories."""
        return ()

    @classmethod
    def words_of(cls, n_features: int) -> tuple[tuple[str, ...], ...]:
        """The names of the levels of each column, () for numbers and levels without names."""
        return ((),) * n_features

    @classmethod
    def with_words(cls, words: tuple[tuple[str, ...], ...]) -> Any:
        """The family whose levels have these names, column by column."""
        return cls

    @property
    def kind(self) -> Any:
        """The family of these components, as `for_rows` would give it."""
        return type(self)

    @classmethod
    def around(cls, components: Any) -> Any:
        """Components of the kind that users have, as ones of this family."""
        return components

    def released(self) -> Any:
        """These components as ones of the kind that users have."""
        return self

    @classmethod
    def center_name(cls) -> str | None:
        """The field that says where components lie, if its M-step is a shift of it."""
        return None

    def pinned(self, stats: Any) -> Any:
        """Statistics for an M-step whose centers stay where they are."""
        return stats

    def held(self, old: Self, names: tuple[str, ...]) -> Self:
        """These components with parameters of others."""
        kept: Any = {name: getattr(old, name) for name in names}
        return dataclasses.replace(self, **kept)  # type: ignore[type-var]

    def observed_log_prob_and_statistics(self, seen: Seen) -> tuple[Array, Any]:
        """As `log_prob_and_statistics`, of rows with missing values and errors."""
        raise NotImplementedError(f"{type(self).__name__} cannot be fitted to mixjax.Observed rows")

    def observed_means(self, seen: Seen) -> Array:
        """The mean of each row given what is seen of it, under each component: (N, K, D)."""
        raise NotImplementedError(f"{type(self).__name__} does not define observed_means")

    def filled_in(self, seen: Seen, resp: Array, means: Array) -> Array:
        """Rows (N, D) without holes, from their responsibilities (N, K) and their means (N, D).

        A family whose values have no mean puts the most probable ones in their place.
        """
        return means

    def missing_entropy(self, seen: Seen) -> Array:
        """The entropy of the missing values given what is seen: (N, K), or (N, 1) if all alike.

        By default the columns are independent.
        """
        each = self.column_entropies()
        return linalg.matmul((~seen.known).astype(each.dtype), each.T)

    def column_entropies(self) -> Array:
        """The entropy (K, D) of each column, if columns are independent."""
        raise NotImplementedError(f"{type(self).__name__} does not define column_entropies")

    def from_observed_statistics(self, stats: Any, reg_covar: Array) -> Self:
        """As `from_statistics`, from the sums of `observed_log_prob_and_statistics`."""
        found: Self = self.from_statistics(stats, reg_covar)  # type: ignore[attr-defined]
        return found

    def observed_m_step(self, rows: Rows, responsibilities: Any, reg_covar: Array) -> Self:
        """As `m_step`, of packed rows (`rows.observed`), for a family whose M-step is not sums."""
        raise NotImplementedError(f"{type(self).__name__} does not define observed_m_step")


_plain_for_rows = Refinements.for_rows.__func__  # type: ignore[attr-defined]
