"""Families over groups of columns, independent within a component."""

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Self

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .. import checks
from ..describing.summary import Summary
from ..describing.words import counted
from ..pytrees import pytree
from ..rows.blocks import Rows, Table
from ..rows.host_table import HostTable
from ..rows.observed import Seen
from ..rows.scaling import Scale, Scaling, column_moments
from .family import Family
from .product_sums import ProductSums, seen_in, together

Groups = tuple[tuple[int, ...], ...]


class Product(Family, hidden=True):
    r"""Components whose groups of columns are independent: $p_k(x) = \prod_g p_{kg}(x_g)$.

    Attributes:
      parts: for each group of columns K components of a family.
    """

    parts: tuple[Any, ...]
    families: ClassVar[tuple[type[Family], ...]]
    groups: ClassVar[Groups]
    scaling: ClassVar[Scaling] = Scaling.COLUMNS

    @classmethod
    def for_rows(cls, x: Any) -> type[Family]:
        """The product with what its parts see in the rows x (N, D)."""
        width = sum(map(len, cls.groups))
        if x.shape[1] != width:
            raise ValueError(f"the groups have {width} columns together, x has {x.shape[1]}")
        parts = [f.for_rows(x[:, np.array(g)]) for f, g in cls._pairs()]
        return _product(tuple(parts), cls.groups)

    @classmethod
    def _pairs(cls) -> Any:
        return zip(cls.families, cls.groups, strict=True)

    def _own(self) -> Any:
        """The parts, and the numbers of their columns."""
        return [(part, np.array(g)) for part, g in zip(self.parts, self.groups, strict=True)]

    @property
    def kind(self) -> type[Family]:
        """The product of the kinds of the parts."""
        return _product(tuple(part.kind for part in self.parts), self.groups)

    @classmethod
    def around(cls, components: Any) -> Any:
        """The same parts, in the families of this product."""
        pairs = zip(cls.families, components.parts, strict=True)
        return cls(tuple(f.around(part) for f, part in pairs))  # type: ignore[call-arg]

    def released(self) -> Any:
        """The same parts as plain components."""
        parts = tuple(part.released() for part in self.parts)
        made: Any = _product(tuple(type(part) for part in parts), self.groups)
        return made(parts)

    @property
    def shape(self) -> tuple[int, ...]:
        """(K, D)."""
        return self.parts[0].shape[0], sum(map(len, self.groups))

    @property
    def dtype(self) -> Any:
        """That of the parts."""
        return self.parts[0].dtype

    @classmethod
    def categories(cls, n_features: int) -> tuple[int, ...]:
        """Those of the parts."""
        found = [g[i] for f, g in cls._pairs() for i in f.categories(len(g))]
        return tuple(sorted(found))

    @classmethod
    def words_of(cls, n_features: int) -> tuple[tuple[str, ...], ...]:
        """Those of the parts."""
        found: list[tuple[str, ...]] = [()] * n_features
        for f, g in cls._pairs():
            for i, own in zip(g, f.words_of(len(g)), strict=True):
                found[i] = own
        return tuple(found)

    @classmethod
    def with_words(cls, words: tuple[tuple[str, ...], ...]) -> type[Family]:
        """The product of the parts with their words."""
        parts = [f.with_words(tuple(words[i] for i in g)) for f, g in cls._pairs()]
        return _product(tuple(parts), cls.groups)

    @classmethod
    def cost(cls, n_features: int) -> int:
        """The sum of those of the parts."""
        return sum(f.cost(len(g)) for f, g in cls._pairs())

    @classmethod
    def bulk(cls, n_features: int) -> int:
        """That of the largest part."""
        return max(f.bulk(len(g)) for f, g in cls._pairs())

    def log_prob_and_statistics(self, x: Array) -> tuple[Array, Callable[[Array], Any]]:
        """The sum of the log-densities of the parts, and their statistics."""
        return together([part.log_prob_and_statistics(x[:, g]) for part, g in self._own()])

    def log_prob(self, x: Array) -> Array:
        """Log-density (N, K) of each row of x (N, D) under each component."""
        return sum(part.log_prob(x[:, g]) for part, g in self._own())

    def statistics(self, x: Array, resp: Array) -> ProductSums:
        """The statistics of each part."""
        parts = tuple(part.statistics(x[:, g], resp) for part, g in self._own())
        return ProductSums(jnp.sum(resp, axis=0), parts)

    def observed_log_prob_and_statistics(self, seen: Seen) -> tuple[Array, Any]:
        """As `log_prob_and_statistics`, of rows with missing values and errors."""
        return together(
            [part.observed_log_prob_and_statistics(seen_in(seen, g)) for part, g in self._own()]
        )

    def observed_means(self, seen: Seen) -> Array:
        """The means (N, K, D) of the parts."""
        each = [part.observed_means(seen_in(seen, g)) for part, g in self._own()]
        return self._in_order(each, 2)

    def filled_in(self, seen: Seen, resp: Array, means: Array) -> Array:
        """What the parts put in the place of missing values: (N, D)."""
        each = [part.filled_in(seen_in(seen, g), resp, means[:, g]) for part, g in self._own()]
        return self._in_order(each, 1)

    def missing_entropy(self, seen: Seen) -> Array:
        """The sum of the entropies of the parts."""
        return sum(part.missing_entropy(seen_in(seen, g)) for part, g in self._own())

    def from_statistics(self, stats: ProductSums, reg_covar: Array) -> Self:
        """The M-step of each part."""
        return self._each(lambda i, part, g: part.from_statistics(stats.parts[i], reg_covar[g]))

    def from_observed_statistics(self, stats: ProductSums, reg_covar: Array) -> Self:
        """The M-step of each part, from what is seen of the rows."""
        return self._each(
            lambda i, part, g: part.from_observed_statistics(stats.parts[i], reg_covar[g])
        )

    @classmethod
    def standard(cls, n_components: int, n_features: int, dtype: Any) -> Self:
        """Standard components of each part."""
        parts = tuple(f.standard(n_components, len(g), dtype) for f, g in cls._pairs())
        return cls(parts)  # type: ignore[call-arg]

    def located(self, centers: Array) -> Self:
        """The parts moved to their columns of centers (K, D)."""
        return self._each(lambda i, part, g: part.located(centers[:, g]))

    def sample(self, key: Array, labels: Array) -> Array:
        """One row (n, D) for each label (n,)."""
        keys = jax.random.split(key, len(self.parts))
        drawn = [part.sample(keys[i], labels) for i, part in enumerate(self.parts)]
        return self._in_order(drawn, 1)

    def coordinate_log_prob(self, x: Array) -> Array:
        """Log-density of each value given the others of its row: (N, K, D)."""
        return self._in_order([part.coordinate_log_prob(x[:, g]) for part, g in self._own()], 2)

    def marginal(self, columns: Any) -> Any:
        """The marginal components of these columns (C,), in their new order."""
        wanted = [int(c) for c in columns]
        parts, groups = [], []
        for part, g in self._own():
            own = [(new, int(np.flatnonzero(g == c)[0])) for new, c in enumerate(wanted) if c in g]
            if own:
                parts.append(part.marginal(np.array([old for _, old in own])))
                groups.append(tuple(new for new, _ in own))
        made: Any = _product(tuple(type(part) for part in parts), tuple(groups))
        return made(tuple(parts))

    @property
    def variances(self) -> Array:
        """(K, D) the variances of the parts."""
        return self._in_order([part.variances for part in self.parts], 1)

    def unconstrain(self) -> tuple[Any, ...]:
        """Of each part."""
        return tuple(part.unconstrain() for part in self.parts)

    @classmethod
    def constrain(cls, leaves: tuple[Any, ...]) -> Self:
        """The inverse of `unconstrain`."""
        pairs = zip(cls.families, leaves, strict=True)
        return cls(tuple(f.constrain(own) for f, own in pairs))  # type: ignore[call-arg]

    @property
    def n_parameters(self) -> int:
        """Of all parts."""
        return sum(part.n_parameters for part in self.parts)

    def take(self, index: Any) -> Self:
        """Some of the components."""
        return self._each(lambda i, part, g: part.take(index))

    def affine(self, scale: Array, shift: Array) -> Self:
        """The components of ``scale * x + shift``; parts that cannot be scaled are not."""

        def moved(i: int, part: Any, g: np.ndarray) -> Any:
            return part if part.scaling is Scaling.NONE else part.affine(scale[g], shift[g])

        return self._each(moved)

    @classmethod
    def scale_from(cls, shift: Any, spread: Any, constant: Any) -> Scale:
        """The scale of each group, as its family wants it."""
        parts = [
            f.scale_from(shift[np.array(g)], spread[np.array(g)], constant[np.array(g)])
            for f, g in cls._pairs()
        ]
        order = cls._order()
        xp: Any = np if isinstance(shift, np.ndarray) else jnp
        three = (xp.concatenate([part[i] for part in parts])[order] for i in range(3))
        return Scale(*three)

    @classmethod
    def scaled_rows(cls, table: Table | HostTable, sort: bool = False) -> tuple[Rows, Scale]:
        """The rows in blocks, each group scaled as its family wants it."""
        scale = cls.scale_from(*column_moments(table))
        if not isinstance(table, HostTable):
            scale = jax.tree.map(jax.lax.stop_gradient, scale)
        return table.standardized(scale.shift, scale.scale), scale

    @classmethod
    def rows_for_start(cls, table: Table | HostTable, rows: Rows) -> Rows:
        """The columns of all groups as a start sees them."""
        return cls.columns_for_start(rows, rows.x == rows.x)

    @classmethod
    def columns_for_start(cls, rows: Rows, known: Any) -> Rows:
        """Scaled rows (B, D, C), each group as its family shows it to a start."""
        parts = []
        for f, g in cls._pairs():
            own = rows.with_columns(rows.x[:, np.array(g)])
            parts.append(f.columns_for_start(own, known[:, np.array(g)]).x)
        xp: Any = rows.on.xp
        return rows.with_columns(xp.concatenate(parts, axis=1))

    @classmethod
    def _order(cls) -> np.ndarray:
        """Where each column of the rows is among those of the groups in a row."""
        return np.argsort(np.concatenate([np.array(g) for g in cls.groups]))

    def _in_order(self, parts: list[Array], axis: int) -> Array:
        return jnp.take(jnp.concatenate(parts, axis=axis), self._order(), axis=axis)

    def _summary(self) -> Summary:
        k, d = self.shape
        rows = []
        for part, g in self._own():
            columns = f"columns {', '.join(map(str, g))}" if len(g) > 1 else f"column {g[0]}"
            rows.append((f"{columns}", [type(part).__name__]))
        what = counted(k, f"{type(self).__name__} component")
        headline = f"{what} in {counted(d, 'dimension')}, {self.dtype}"
        return Summary(headline, rows)

    def _each(self, f: Callable[[int, Any, np.ndarray], Any]) -> Self:
        parts = tuple(f(i, part, g) for i, (part, g) in enumerate(self._own()))
        return type(self)(parts)  # type: ignore[call-arg]


def product(kinds: Mapping[type[Family], Sequence[int]]) -> type[Family]:
    r"""A family of several kinds of columns, which are independent within a component.

    $\log p_k(x) = \sum_g \log p_{kg}(x_g)$ over the groups of columns.

    Args:
      kinds: for each family the numbers of its columns, from 0; each column belongs to one.

    Returns:
      The family, for `fit` and its kin.

    Raises:
      TypeError: a key is no family.
      ValueError: a column is left out or belongs to two groups.

    Example:
      >>> import jax, jax.numpy as jnp, mixjax
      >>> x = jax.random.normal(jax.random.key(0), (200, 3))
      >>> x = x.at[:, 2].set((x[:, 0] > 0).astype(x.dtype))
      >>> family = mixjax.product({mixjax.Gaussian: [0, 1], mixjax.Categorical: [2]})
      >>> fit = mixjax.fit(jax.random.key(1), x, 2, family=family)
      >>> gaussian, categorical = fit.mixture.components.parts
      >>> gaussian.shape, categorical.levels
      ((2, 2), (2,))

    Source: Hunt and Jorgensen, Mixture Model Clustering Using the MULTIMIX Program (1999).
    """
    if not kinds:
        raise ValueError("kinds must hold at least one family with its columns")
    return product_of(kinds.items())


def product_of(kinds: Iterable[tuple[type[Family], Sequence[int]]]) -> type[Family]:
    """As `product`, of pairs of a family and its columns; a family may come twice."""
    pairs = [(checks.family(family), tuple(int(c) for c in columns)) for family, columns in kinds]
    families, groups = tuple(f for f, _ in pairs), tuple(g for _, g in pairs)
    if empty := [f.__name__ for f, g in zip(families, groups, strict=True) if not g]:
        raise ValueError(f"{empty[0]} has no columns: leave it out")
    every = sorted(c for g in groups for c in g)
    if every != list(range(len(every))):
        twice = sorted({c for c in every if every.count(c) > 1})
        said = f"{twice[0]} is named twice" if twice else f"the columns named are {every}"
        raise ValueError(f"each column from 0 on must belong to one family, but {said}")
    return _product(families, groups)


@functools.cache
def _product(families: tuple[type[Family], ...], groups: Groups) -> type[Family]:
    members = {
        "__annotations__": {"parts": tuple}, "__module__": __name__, "__doc__": Product.__doc__,
        "families": families, "groups": groups,
        "appearance": ", ".join(f.appearance for f in families if f.appearance),
    }  # fmt: skip
    kind: Any = type(Product)
    name = "And".join(family.__name__ for family in families)
    made: type[Family] = pytree(kind(name, (Product,), members, hidden=True))
    return made
