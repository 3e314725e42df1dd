"""Components of categories: each column is one of a few levels, independent within a component."""

import functools
from typing import Any, ClassVar, Self

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .. import linalg
from ..pytrees import pytree, static
from ..rows.blocks import Rows, Table
from ..rows.executor import executor_of
from ..rows.host_table import HostTable
from ..rows.observed import Seen
from ..rows.scaling import Scaling
from .family import Family
from .moments import NOTHING, occupied

# The rows that a component is said to have seen before the first, spread over the levels.
PRIOR_ROWS = 1.0


@pytree
class LevelSums:
    """Sums over rows: of the responsibilities (K,), and of those of each level (K, D, L)."""

    count: Array
    levels: Array


@pytree
class Logits:
    """Any numbers (K, D, L); their softmax over the levels are probabilities."""

    values: Array
    levels: tuple[int, ...] = static()
    words: tuple[tuple[str, ...], ...] = static(default=())


@pytree
class Categorical(Family):
    r"""Components of categories, numbered from 0: a probability for each level of each column.

    $\log p_k(x) = \sum_d \log\pi_{kd x_d}$, with
    $\pi_{kdl} = (N_{kdl} + \tfrac1{L_d}) / (N_{kd} + 1)$: as if one row had been seen before,
    spread over the levels. So a level that a component has not seen is improbable, not impossible.

    The numbers of levels are those that the rows have. Under ``jit``, where rows are not known,
    give them: ``mixjax.Categorical.of(3, 2)``.

    Attributes:
      log_probs: (K, D, L) log-probabilities; levels that a column does not have are at -1e30.
      levels: the number of levels of each column, at most L.
      words: the names of the levels of each column that was text in a frame, () for the others;
        () if there are none.

    Example:
      >>> import jax, jax.numpy as jnp, mixjax
      >>> x = jnp.array([[0.0, 1.0], [0.0, 1.0], [2.0, 0.0], [2.0, 0.0]])
      >>> fit = mixjax.fit(jax.random.key(0), x, 2, family=mixjax.Categorical)
      >>> fit.mixture.components.levels, fit.mixture.components.log_probs.shape
      ((3, 2), (2, 2, 3))

    Source: Bishop, Pattern Recognition and Machine Learning (2006), section 9.3.3; the prior,
    Perks (1947).
    """

    log_probs: Array
    levels: tuple[int, ...] = static()
    words: tuple[tuple[str, ...], ...] = static(default=())
    given_levels: ClassVar[tuple[int, ...] | None] = None
    given_words: ClassVar[tuple[tuple[str, ...], ...]] = ()
    scaling: ClassVar[Scaling] = Scaling.NONE
    independent_columns: ClassVar[bool] = True
    appearance: ClassVar[str] = "shares of categories"

    @staticmethod
    def of(*levels: int) -> "type[Categorical]":
        """The family for columns with these numbers of levels, as it is needed under ``jit``.

        Args:
          levels: the number of levels of each column, at least 1.

        Returns:
          The family.

        Raises:
          ValueError: a number is not whole or below 1.

        Example:
          >>> import mixjax
          >>> mixjax.Categorical.of(3, 2).given_levels
          (3, 2)
        """
        if not levels or not all(type(n) is int and n > 0 for n in levels):
            raise ValueError(f"levels must be whole numbers of at least 1, got {levels}")
        return _with_levels(levels)

    @classmethod
    def for_rows(cls, x: Any) -> type[Family]:
        """The family with the levels of the rows x (N, D), NaN where missing."""
        concrete = not isinstance(x, jax.core.Tracer)
        if cls.given_levels is None and not concrete:
            raise TypeError(
                "under jit say how many levels the columns have, for example "
                "mixjax.Categorical.of(3, 2)"
            )
        if not concrete:
            return cls
        values = np.asarray(x)
        levels = cls.given_levels
        known = np.isfinite(values)
        limit = np.array([np.inf] * values.shape[1] if levels is None else levels)
        if len(limit) != values.shape[1]:
            raise ValueError(
                f"the family has {len(limit)} columns of categories, x has {values.shape[1]}"
            )
        wrong = known & ((values < 0) | (values != np.round(values)) | (values >= limit[None]))
        if wrong.any():
            row, column = np.argwhere(wrong)[0]
            top = "" if levels is None else f" to {levels[column] - 1}"
            raise ValueError(
                f"categories must be whole numbers from 0{top}, got {values[row, column]} in row "
                f"{row}, column {column} of them"
            )
        if levels is not None:
            return cls
        top_level = np.where(known, values, 0).max(axis=0).astype(int)
        named = [len(own) for own in cls.words_of(len(top_level))]
        return _with_levels(tuple(np.maximum(top_level + 1, named).tolist()), cls.given_words)

    @property
    def kind(self) -> type[Family]:
        """The family with these levels."""
        return _with_levels(self.levels, self.words)

    @classmethod
    def around(cls, components: Any) -> Any:
        """The same probabilities, in this family."""
        return cls(components.log_probs, components.levels, components.words)

    def released(self) -> Any:
        """The same probabilities as plain `Categorical` components."""
        return Categorical(self.log_probs, self.levels, self.words)

    @property
    def shape(self) -> tuple[int, ...]:
        """(K, D)."""
        return self.log_probs.shape[-3:-1]

    @property
    def dtype(self) -> Any:
        """The floating type of the probabilities."""
        return self.log_probs.dtype

    @classmethod
    def bulk(cls, n_features: int) -> int:
        """As many numbers as levels."""
        return max(cls.given_levels or (1,))

    @classmethod
    def words_of(cls, n_features: int) -> tuple[tuple[str, ...], ...]:
        """The names of the levels of each column, () where they have none."""
        return cls.given_words or ((),) * n_features

    @classmethod
    def with_words(cls, words: tuple[tuple[str, ...], ...]) -> type[Family]:
        """The family whose levels have these names."""
        return _with_levels(cls.given_levels, words)

    @classmethod
    def categories(cls, n_features: int) -> tuple[int, ...]:
        """All columns."""
        return tuple(range(n_features))

    def _one_hot(self, x: Array) -> tuple[Array, Array]:
        """Which level (N, D, L) each value is, and whether it is one (N, D)."""
        numbers = jnp.arange(self.log_probs.shape[-1], dtype=x.dtype)
        limit = jnp.asarray(self.levels, x.dtype)
        there = (x >= 0) & (x < limit[None]) & (x == jnp.round(x))
        return (x[:, :, None] == numbers[None, None]).astype(self.dtype), there

    def log_prob(self, x: Array) -> Array:
        """Log-probability (N, K); -inf for a row with a value that is no level."""
        hot, there = self._one_hot(x)
        found = linalg.einsum("ndl,kdl->nk", hot, self.log_probs)
        found = jnp.where(jnp.all(there, axis=1)[:, None], found, -jnp.inf)
        return jnp.where(jnp.any(jnp.isnan(x), axis=1)[:, None], jnp.nan, found)

    def statistics(self, x: Array, resp: Array) -> LevelSums:
        """Sums of the responsibilities, and of those of each level."""
        hot, _ = self._one_hot(x)
        return LevelSums(jnp.sum(resp, axis=0), linalg.einsum("nk,ndl->kdl", resp, hot))

    def from_statistics(self, stats: LevelSums, reg_covar: Array) -> Self:
        """The most probable components, given the rows and the prior."""
        limit = jnp.asarray(self.levels, self.dtype)[None, :, None]
        numbers = jnp.arange(self.log_probs.shape[-1], dtype=self.dtype)
        has = numbers[None, None] < limit
        seen = stats.levels + jnp.where(has, PRIOR_ROWS / limit, 0)
        total = jnp.sum(seen, axis=2, keepdims=True)
        log_probs = jnp.where(has, jnp.log(jnp.where(has, seen, 1) / total), NOTHING)
        kept = occupied(stats.count)[:, None, None]
        return type(self)(jnp.where(kept, log_probs, self.log_probs), self.levels, self.words)

    def observed_log_prob_and_statistics(self, seen: Seen) -> tuple[Array, Any]:
        """As `log_prob_and_statistics`, of rows with missing values, which are left out."""
        hot, there = self._one_hot(seen.x)
        hot = jnp.where(seen.known[:, :, None], hot, 0)
        found = linalg.einsum("ndl,kdl->nk", hot, self.log_probs)
        valid = jnp.all(there | ~seen.known, axis=1)[:, None]

        def sums(resp: Array) -> LevelSums:
            return LevelSums(jnp.sum(resp, axis=0), linalg.einsum("nk,ndl->kdl", resp, hot))

        return jnp.where(valid, found, -jnp.inf), sums

    def observed_means(self, seen: Seen) -> Array:
        """The known levels (N, K, D), and 0 for the others: levels have no mean."""
        known = jnp.where(seen.known, seen.x, 0)
        return jnp.broadcast_to(known[:, None], (len(known), *self.shape))

    def filled_in(self, seen: Seen, resp: Array, means: Array) -> Array:
        """The known levels (N, D), and the most probable ones for the others."""
        shares = linalg.einsum("nk,kdl->ndl", resp, jnp.exp(self.log_probs))
        return jnp.where(seen.known, seen.x, jnp.argmax(shares, axis=2).astype(seen.x.dtype))

    def column_entropies(self) -> Array:
        """The entropy (K, D) of each column."""
        return -jnp.sum(jnp.exp(self.log_probs) * self.log_probs, axis=-1)

    @classmethod
    def standard(cls, n_components: int, n_features: int, dtype: Any) -> Self:
        """All levels alike."""
        levels = cls.given_levels
        if levels is None:
            raise TypeError("the numbers of levels are not known: mixjax.Categorical.of(3, 2)")
        has = np.arange(max(levels))[None] < np.array(levels)[:, None]
        even = np.where(has, -np.log(np.array(levels, np.float64))[:, None], NOTHING)
        return cls(
            jnp.broadcast_to(jnp.asarray(even, dtype)[None], (n_components, *even.shape)),
            levels,
            cls.given_words,
        )

    @classmethod
    def rows_for_start(cls, table: Table | HostTable, rows: Rows) -> Rows:
        """A column of 0 and 1 for each level."""
        return cls.columns_for_start(rows, rows.x >= 0)

    @classmethod
    def columns_for_start(cls, rows: Rows, known: Any) -> Rows:
        """Rows (B, D, C) of levels as columns of 0 and 1; all 0 where a value is missing."""
        xp = executor_of(rows.x).xp
        columns = [
            xp.where(known[:, d], rows.x[:, d] == level, False)[:, None].astype(rows.x.dtype)
            for d, n in enumerate(cls.given_levels or ())
            for level in range(n)
        ]
        return rows.with_columns(xp.concatenate(columns, axis=1))

    def coordinate_log_prob(self, x: Array) -> Array:
        """Log-probability of each value, independent of the other columns: (N, K, D)."""
        hot, there = self._one_hot(x)
        found = linalg.einsum("ndl,kdl->nkd", hot, self.log_probs)
        return jnp.where(there[:, None], found, -jnp.inf)

    @property
    def variances(self) -> Array:
        """(K, D) the variances of the numbers of the levels."""
        shares, numbers = jnp.exp(self.log_probs), jnp.arange(self.log_probs.shape[-1])
        away = numbers - linalg.einsum("kdl,l->kd", shares, numbers.astype(self.dtype))[..., None]
        return jnp.sum(shares * away**2, axis=-1)

    def marginal(self, columns: Any) -> Any:
        """The components of these columns (C,)."""
        chosen = [int(i) for i in columns]
        levels = tuple(self.levels[i] for i in chosen)
        words = tuple(self.words[i] for i in chosen) if self.words else ()
        return Categorical(self.log_probs[:, np.array(chosen), : max(levels)], levels, words)

    def conditional(self, rest: Any, columns: Any, values: Array) -> Any:
        """The components of the columns ``rest``; they do not depend on the other columns."""
        return self.marginal(rest)

    def sample(self, key: Array, labels: Array) -> Array:
        """One row (n, D) for each label (n,)."""
        return jax.random.categorical(key, self.log_probs[labels], axis=-1).astype(self.dtype)

    def take(self, index: Any) -> Self:
        """Some of the components."""
        return type(self)(self.log_probs[index], self.levels, self.words)

    def unconstrain(self) -> Logits:
        """The log-probabilities."""
        return Logits(self.log_probs, self.levels, self.words)

    @classmethod
    def constrain(cls, leaves: Logits) -> Self:
        """The inverse of `unconstrain`, for any numbers."""
        numbers = np.arange(leaves.values.shape[-1])
        has = jnp.asarray(numbers[None] < np.array(leaves.levels)[:, None])[None]
        log_probs = jax.nn.log_softmax(jnp.where(has, leaves.values, NOTHING), axis=-1)
        return cls(jnp.where(has, log_probs, NOTHING), leaves.levels, leaves.words)

    @property
    def n_parameters(self) -> int:
        """K times the sum of the levels less one."""
        return self.shape[0] * sum(n - 1 for n in self.levels)


@functools.cache
def _with_levels(
    levels: tuple[int, ...] | None, words: tuple[tuple[str, ...], ...] = ()
) -> type[Categorical]:
    members = {
        "given_levels": levels, "given_words": words, "__module__": __name__,
        "__doc__": Categorical.__doc__,
    }  # fmt: skip
    kind: Any = type(Categorical)
    made: type[Categorical] = pytree(kind("Categorical", (Categorical,), members, hidden=True))
    return made
