"""The first pass over a stream: the number of rows, their scale, and a sample for the start."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ..rows.scaling import Scale, Scaling, scale_of
from ..rows.subsample import places
from .fingerprint import Fingerprint
from .processes import Team
from .sources import Batches


class Survey(NamedTuple):
    """Facts about the rows of a stream before the fit.

    Attributes:
      n_rows: N; if it is 0, nothing else is known.
      dtype: float32 or float64, the dtype of the fit.
      low, high, mean, spread: (D,) of each column, in float64; spread is the standard deviation.
      sample: (n, D) rows in float64, drawn uniformly without replacement; all rows if they are few.
      narrowed: whether some rows have double precision but are fitted in single.
      digest: of all rows in any order, see `Fingerprint`.
      checksum: of the rows of this process in their order.
    """

    n_rows: int
    dtype: Any
    low: np.ndarray
    high: np.ndarray
    mean: np.ndarray
    spread: np.ndarray
    sample: np.ndarray
    narrowed: bool
    digest: int
    checksum: int

    @property
    def n_features(self) -> int:
        return len(self.mean)

    @property
    def _center(self) -> np.ndarray:
        return np.where(self.low == self.high, self.low, self.mean)

    def origin(self, scaling: Scaling) -> np.ndarray | None:
        """What to subtract (D,) before rounding to single precision; None if nothing is lost."""
        if not self.narrowed or scaling is Scaling.NONE:
            return None
        return self._center.astype(self.dtype)

    def scale(self, scaling: Scaling) -> Scale:
        """Center and scale of the columns minus their origin, as for a table in memory."""
        constant = self.low == self.high
        origin = self.origin(scaling)
        shift = self._center if origin is None else self._center - origin
        least = float(np.finfo(self.dtype).tiny)
        spread = np.where(constant | (self.spread == 0), 1, np.maximum(self.spread, least))
        return scale_of(
            jnp.asarray(shift, self.dtype), jnp.asarray(spread, self.dtype),
            jnp.asarray(constant), scaling,
        )  # fmt: skip


def surveyed(batches: Batches, seed: Any, n_sample: int) -> Survey:
    """One pass; means and spreads are merged batch by batch, without cancellation.

    A row is in the sample if its random number is among the smallest, so the sample does
    not depend on the batches.
    """
    rng = np.random.default_rng(seed)
    n, dtype, narrowed = 0, None, False
    low = high = mean = spread = np.zeros(0)
    sample, tickets = np.zeros((0, 0)), np.zeros(0)
    seen = Fingerprint()
    for i, batch in enumerate(batches()):
        if dtype is None:
            dtype, d = jax.dtypes.canonicalize_dtype(batch.dtype), batch.shape[1]
            low, high, mean, spread = np.full(d, np.inf), np.full(d, -np.inf), *np.zeros((2, d))
            sample = np.zeros((0, d))
        if batch.shape[1] != len(mean):
            raise ValueError(
                f"batch {i} has {batch.shape[1]} columns, but those before it have {len(mean)}: "
                "all batches must have the same columns"
            )
        if len(batch) == 0:
            continue
        least, most = batch.min(axis=0), batch.max(axis=0)
        if not (np.isfinite(least).all() and np.isfinite(most).all()):
            row = int(np.argmin(np.isfinite(batch).all(axis=1)))
            raise ValueError(
                f"batch {i} holds NaN or infinity (the first in its row {row}, which is row "
                f"{n + row} of the stream): drop or fill such rows"
            )
        largest = float(max(np.abs(least).max(), np.abs(most).max()))
        if largest > float(np.finfo(dtype).max):
            raise ValueError(
                f"batch {i} holds {largest:.3g}, too large for {dtype}: convert the column to "
                "a larger unit, or set jax_enable_x64"
            )
        narrowed |= batch.dtype.itemsize > dtype.itemsize
        seen.add(batch)
        low, high = np.minimum(low, least), np.maximum(high, most)
        own_mean, own_spread = _mean_and_spread(batch, least, most)
        total = n + len(batch)
        mean, spread = _joined(mean, spread, own_mean, own_spread, len(batch) / total)

        drawn = rng.random(len(batch))
        # Only rows whose random number may be among the smallest so far.
        limit = tickets.max() if len(tickets) == n_sample else np.inf
        chosen = np.flatnonzero(drawn < limit)
        sample = np.concatenate([sample, batch[chosen].astype(np.float64)])
        tickets = np.concatenate([tickets, drawn[chosen]])
        if len(tickets) > n_sample:
            kept = np.sort(np.argpartition(tickets, n_sample)[:n_sample])
            sample, tickets = sample[kept], tickets[kept]
        n = total
    return Survey(
        n, dtype, low, high, mean, spread, sample, narrowed, seen.digest, seen.checksum
    )  # fmt: skip


def _mean_and_spread(
    rows: np.ndarray, low: np.ndarray, high: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and spread (D,) of the columns, computed in units of their range to avoid overflow."""
    low, high = low.astype(np.float64), high.astype(np.float64)
    middle = 0.5 * low + 0.5 * high
    reach = np.maximum(high - middle, middle - low)
    reach = np.where(reach > 0, reach, 1)
    unit = (rows - middle) / reach
    mean = unit.mean(axis=0)
    unit -= mean
    return middle + reach * mean, reach * np.sqrt(np.einsum("nd,nd->d", unit, unit) / len(rows))


def _joined(
    mean: np.ndarray, spread: np.ndarray, other: np.ndarray, other_spread: np.ndarray, share: float
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and spread of two tables together; the other has this share of the rows."""
    step = other - mean
    within = np.hypot(spread * np.sqrt(1 - share), other_spread * np.sqrt(share))
    spread = np.hypot(within, np.abs(step) * np.sqrt(share * (1 - share)))
    return mean + share * step, spread


def merged(own: Survey, team: Team, n_sample: int) -> Survey:
    """The survey of the rows of all processes, in the order of the processes."""
    size = 0 if own.dtype is None else own.dtype.itemsize
    facts = np.array([own.n_rows, own.n_features, size, own.narrowed], np.int64)
    n_rows, widths, sizes, narrowed = team.all_gather(facts).T
    digest = sum(team.all_gather(np.uint64(own.digest)).tolist()) % 2**64
    total = int(n_rows.sum())
    if total == 0:
        raise ValueError("batches gave no rows: the stream is empty")
    forms = sorted(set(zip(widths[n_rows > 0].tolist(), sizes[n_rows > 0].tolist(), strict=True)))
    if len(forms) > 1:
        raise ValueError(
            "the processes gave different numbers of columns or dtypes (columns, bytes a number): "
            f"{', '.join(map(str, forms))}"
        )
    width, size = forms[0]
    if own.n_rows == 0:
        zeros = np.zeros(width)
        own = own._replace(
            dtype=np.dtype(f"f{size}"), low=zeros, high=zeros, mean=zeros, spread=zeros,
            sample=np.zeros((0, width)),
        )  # fmt: skip

    columns = team.all_gather(np.stack([own.low, own.high, own.mean, own.spread]))[n_rows > 0]
    n, (low, high, mean, spread) = 0, columns[0]
    for more, (least, most, own_mean, own_spread) in zip(n_rows[n_rows > 0], columns, strict=True):
        low, high = np.minimum(low, least), np.maximum(high, most)
        mean, spread = _joined(mean, spread, own_mean, own_spread, more / (n + more))
        n += more

    # A process contributes to the sample in proportion to its rows.
    shares = np.minimum(n_rows, n_sample * n_rows // total) if total > n_sample else n_rows
    padded = np.zeros((int(shares.max()), width))
    mine = int(shares[team.rank])
    if mine:
        padded[:mine] = own.sample[places(len(own.sample), mine, xp=np)]
    samples = team.all_gather(padded)
    sample = np.concatenate([rows[:some] for rows, some in zip(samples, shares, strict=True)])
    return own._replace(
        n_rows=total, low=low, high=high, mean=mean, spread=spread, sample=sample,
        narrowed=bool(narrowed.any()), digest=digest,
    )  # fmt: skip
