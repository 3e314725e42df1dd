"""Many tables of any lengths, read in padded blocks."""

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np

from .. import checks
from ..families.observing import observing
from ..mixture.opening import require_noise
from ..rows.frames import keys_of, rows_of, values_of
from ..rows.host_table import padded_length
from ..rows.observed import Observed, noise_of, packed, packed_width
from ..rows.origin import Origin, origin_of, relative_rows

# For at most this many numbers, tables are padded to a few lengths: compiling takes longer than
# running.
LITTLE = 2**22
# The share of all padded rows below which tables of a length are padded to the next.
FEW = 0.1


@dataclasses.dataclass(frozen=True)
class TableSet:
    """Tables of one width and dtype, read when they are needed.

    Attributes:
      lengths: (B,) number of rows of each table.
      n_features: D.
      dtype: float32 or float64.
      same_length: whether the tables were given as one array.
      read: number -> rows (N_i, D) and their weights (N_i,) or None.
      origin: (B, D) the origin of the rows of each table, or None; see `mixjax.rows.origin`.
      noise: if tables are `Observed`, number -> the noise of the rows or None.
      full: whether the noise has covariances.
    """

    lengths: np.ndarray
    n_features: int
    dtype: Any
    same_length: bool
    read: Callable[[int], tuple[Any, Any]]
    origin: Origin | None = None
    noise: Callable[[int], Any] | None = None
    full: bool = False

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def width(self) -> int:
        """The number of columns of a padded table."""
        d = self.n_features
        return d if self.noise is None else packed_width(d, self.full)

    @property
    def largest(self) -> tuple[int, int]:
        """The shape (N, D) of the longest table."""
        return int(max(self.lengths)), self.n_features

    def by_length(self, least: int) -> Iterator[tuple[np.ndarray, int]]:
        """Numbers of tables of similar length, and their padded length, at least ``least``."""
        if self.same_length:
            yield np.arange(len(self)), int(self.lengths[0])
            return
        wanted = np.maximum(self.lengths, least)
        little = int(wanted.sum()) * self.n_features <= LITTLE
        to = _coarse_length if little else padded_length
        padded = np.array([to(n) for n in wanted.tolist()])
        if little:
            padded = _merged(padded)
        for length in np.unique(padded)[::-1]:
            yield np.flatnonzero(padded == length), int(length)

    def padded(self, numbers: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
        """These tables (n, length, D) and their weights (n, length), 0 in the padding."""
        x = np.zeros((len(numbers), length, self.width), self.dtype)
        weights = np.zeros((len(numbers), length), self.dtype)
        for i, number in enumerate(numbers.tolist()):
            rows, row_weights = self.read(number)
            if self.origin is not None:
                own = Origin(self.origin.high[number], self.origin.low[number])
                rows = relative_rows(rows, own)
            if self.noise is not None:
                rows = packed(rows, self.noise(number), self.full)
            x[i, : len(rows)] = rows
            weights[i, : len(rows)] = 1 if row_weights is None else row_weights
        return x, weights


def _coarse_length(n: int) -> int:
    """The next power of four from 8 on: 8, 32, 128, 512, ..."""
    return 8 << 2 * max(0, ((n - 1) >> 3).bit_length() + 1 >> 1)


def _merged(padded: np.ndarray) -> np.ndarray:
    """The lengths of the tables, without those for which a program would be worth little."""
    total = padded.sum()
    for length, longer in itertools.pairwise(np.unique(padded)):
        of_this = padded == length
        if of_this.sum() * longer <= FEW * total:
            padded = np.where(of_this, longer, padded)
    return padded


def observed(xs: Any, weights: Any) -> TableSet:
    """From `Observed` rows (B, N, D), or a sequence of `Observed` tables (N_i, D)."""
    if isinstance(xs, Observed):
        tables = listed(xs.x, weights)
        shape = (len(tables), *tables.largest)
        each = None if xs.noise is None else noise_of(xs.noise, shape)
        full = each is not None and each.ndim == 4
        return dataclasses.replace(
            tables, noise=lambda i: None if each is None else each[i], full=full
        )
    if strangers := [i for i, x in enumerate(xs) if not isinstance(x, Observed)]:
        raise TypeError(
            f"xs[{strangers[0]}] is a plain table, but xs[0] is mixjax.Observed: pass all tables "
            "in the same way"
        )
    tables = listed([x.x for x in xs], weights)
    noises = [
        None if x.noise is None else noise_of(x.noise, (int(n), tables.n_features), f"xs[{i}]")
        for i, (x, n) in enumerate(zip(xs, tables.lengths, strict=True))
    ]
    full = any(noise is not None and noise.ndim == 3 for noise in noises)
    if full and not all(noise is not None and noise.ndim == 3 for noise in noises):
        raise ValueError("if one of the tables has covariances of errors, all must have them")
    return dataclasses.replace(tables, noise=noises.__getitem__, full=full)


def family_for(tables: TableSet, family: Any) -> Any:
    """The family for tables as they are padded."""
    family = checks.family(family)
    if family.looks_at_rows():
        family = family.for_rows(np.concatenate([tables.read(i)[0] for i in range(len(tables))]))
    if tables.noise is None:
        return family
    noise = next((n for i in range(len(tables)) if (n := tables.noise(i)) is not None), None)
    axes = 0 if noise is None else noise.ndim
    require_noise(family, axes)
    return observing(family, axes)


def is_observed(xs: Any) -> bool:
    """Whether tables are `Observed`, or a sequence that begins with one that is."""
    return isinstance(xs, Observed) or (
        isinstance(xs, Sequence) and len(xs) > 0 and isinstance(xs[0], Observed)
    )


def listed(xs: Any, weights: Any) -> TableSet:
    """From an array (B, N, D), or a sequence of tables (N_i, D)."""
    if is_observed(xs):
        return observed(xs, weights)
    if hasattr(xs, "ndim"):
        return _stacked(xs, weights)
    if not isinstance(xs, Sequence):
        raise TypeError(
            f"xs must be an array (B, N, D) or a list of tables (N_i, D), got {type(xs).__name__}"
        )
    if len(xs) == 0:
        raise ValueError("xs must hold at least one table, got an empty sequence")
    tables = [_table(x, i) for i, x in enumerate(xs)]
    for i, x in enumerate(tables):
        if x.shape[1] != tables[0].shape[1]:
            raise ValueError(
                f"xs[{i}] has {x.shape[1]} columns, but xs[0] has {tables[0].shape[1]}: all "
                "tables must have the same columns"
            )
    dtype = np.result_type(*(x.dtype for x in tables))
    tables = [x.astype(dtype, copy=False) for x in tables]
    own: list[np.ndarray | None] = [None] * len(tables)
    if weights is not None:
        if len(weights) != len(tables):
            raise ValueError(f"there are {len(tables)} tables, but {len(weights)} weights")
        pairs = zip(weights, tables, strict=True)
        own = [_weights(w, len(x), f"weights[{i}]") for i, (w, x) in enumerate(pairs)]
    lengths = np.array([len(x) for x in tables])
    return TableSet(
        lengths, tables[0].shape[1], _dtype(tables[0]), False,
        lambda i: (tables[i], own[i]), _origins(tables),
    )  # fmt: skip


def grouped(x: Any, groups: Any, weights: Any) -> tuple[np.ndarray, TableSet]:
    """The groups in order, and the table of each, from one long table (N, D)."""
    seen = x if isinstance(x, Observed) else Observed(x)
    table = _table(seen.x, None)
    if 0 in table.shape:
        raise ValueError(f"x must have at least one row and one column, got {table.shape}")
    keys = keys_of(groups, "groups")
    if keys.shape != (len(table),):
        raise ValueError(
            f"groups must have shape ({len(table)},), one for each row; got {keys.shape}"
        )
    own = None if weights is None else _weights(weights, len(table), "weights")
    names, number = _numbered(keys)
    order = np.argsort(number, kind="stable")
    lengths = np.bincount(number, minlength=len(names))
    end = np.cumsum(lengths)

    def read(i: int) -> tuple[Any, Any]:
        rows = order[end[i] - lengths[i] : end[i]]
        return table[rows], None if own is None else own[rows]

    rounded = _dtype(table) != table.dtype
    origin = _origins([read(i)[0] for i in range(len(names))]) if rounded else None
    tables = TableSet(lengths, table.shape[1], _dtype(table), False, read, origin)
    if seen is not x:
        return names, tables
    noise = None if seen.noise is None else noise_of(seen.noise, table.shape)
    full = noise is not None and noise.ndim == 3

    def noise_in(i: int) -> Any:
        return None if noise is None else noise[order[end[i] - lengths[i] : end[i]]]

    return names, dataclasses.replace(tables, noise=noise_in, full=full)


def _numbered(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distinct keys, sorted, and the index (N,) of each row's key among them."""
    try:
        return np.unique(keys, return_inverse=True)
    except TypeError:
        kinds: dict[str, int] = {}
        for row, key in enumerate(keys.tolist()):
            kinds.setdefault(type(key).__name__, row)
        found = ", ".join(f"{kind} (first in row {row})" for kind, row in kinds.items())
        raise TypeError(
            f"groups must be keys of one sortable type, got {found}: convert them, for "
            "example by [str(key) for key in groups]"
        ) from None


def _origins(tables: Sequence[np.ndarray]) -> Origin | None:
    """The origins (B, D) of tables of any lengths."""
    found = [origin_of(table) for table in tables]
    if not any(found):
        return None
    zeros = np.zeros(tables[0].shape[1], np.float32)
    pairs = [(zeros, zeros) if origin is None else origin for origin in found]
    return Origin(np.stack([high for high, _ in pairs]), np.stack([low for _, low in pairs]))


def _stacked(xs: Any, weights: Any) -> TableSet:
    _on_host(xs)
    if xs.ndim != 3 or 0 in xs.shape:
        hint = "; one table is xs[None], or call mixjax.fit" if xs.ndim == 2 else ""
        raise ValueError(
            f"xs must have shape (tables, rows, columns) without 0, got {xs.shape}{hint}"
        )
    tables = np.asarray(rows_of(xs, "xs")[0])
    checks.floating(tables.dtype, "xs")
    own: Any = None
    if weights is not None:
        own = np.asarray(values_of(weights, "weights"))
        if own.shape != tables.shape[:2]:
            raise ValueError(f"weights must have shape {tables.shape[:2]}, got {own.shape}")
        _weights(own.reshape(-1), own.size, "weights")
    lengths = np.full(len(tables), tables.shape[1])
    return TableSet(
        lengths, tables.shape[2], _dtype(tables), True,
        lambda i: (tables[i], None if own is None else own[i]), origin_of(tables),
    )  # fmt: skip


def _table(x: Any, number: int | None) -> np.ndarray:
    name = "x" if number is None else f"xs[{number}]"
    _on_host(x)
    table = np.asarray(rows_of(x, name)[0])
    checks.floating(table.dtype, name)
    if table.ndim != 2 or table.shape[1] == 0:
        raise ValueError(f"{name} must have shape (rows, columns), got {table.shape}")
    return table


def _weights(weights: Any, n: int, name: str) -> np.ndarray:
    _on_host(weights)
    values = np.asarray(values_of(weights, name))
    if values.shape != (n,):
        raise ValueError(f"{name} must have shape ({n},), one for each row; got {values.shape}")
    if values.dtype.kind not in "fiub":
        raise TypeError(f"{name} must be real numbers, got {values.dtype}")
    if (values < 0).any():
        first = int(np.argmax(values < 0))
        raise ValueError(f"{name} must not be negative, got {values[first]} at row {first}")
    return values


def _on_host(value: Any) -> None:
    if not checks.is_concrete(value):
        raise TypeError(checks.HOST_ONLY.format("fit_batch", "jax.vmap(mixjax.fit)"))


def _dtype(table: np.ndarray) -> Any:
    return jax.dtypes.canonicalize_dtype(table.dtype)
