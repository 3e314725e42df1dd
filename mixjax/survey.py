"""The first pass over a stream: how many rows, their scale, and a sample to start from."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .batches import Batches
from .processes import Team
from .scaling import Scale, Scaling, scale_of


class Survey(NamedTuple):
    """What is known of the rows of a stream before anything is fitted.

    Attributes:
      n_rows: N; 0 if there are none, and then nothing else is known.
      dtype: float32 or float64.
      low, high, mean, variance: (D,) of each column, in float64.
      sample: (n, D) rows drawn evenly without replacement; all of them if they are few.
    """

    n_rows: int
    dtype: Any
    low: np.ndarray
    high: np.ndarray
    mean: np.ndarray
    variance: np.ndarray
    sample: np.ndarray

    @property
    def n_features(self) -> int:
        return len(self.mean)

    def scale(self, scaling: Scaling) -> Scale:
        """Centre and scale of the columns, as those of a table in memory."""
        constant = self.low == self.high
        shift = np.where(constant, self.low, self.mean)
        spread = np.sqrt(self.variance)
        spread = np.where(constant | (spread == 0), 1, spread)
        return scale_of(
            jnp.asarray(shift, self.dtype), jnp.asarray(spread, self.dtype),
            jnp.asarray(constant), scaling,
        )  # fmt: skip


def surveyed(batches: Batches, seed: Any, n_sample: int) -> Survey:
    """One pass; means and variances are merged batch by batch, without cancellation.

    A row is in the sample if its random number is among the smallest, so the sample does
    not depend on how the rows were cut into batches.
    """
    rng = np.random.default_rng(seed)
    n, dtype = 0, None
    low = high = mean = squares = np.zeros(0)
    sample, tickets, numbers = np.zeros((0, 0)), np.zeros(0), np.zeros(0, np.int64)
    for i, batch in enumerate(batches()):
        if dtype is None:
            dtype, d = jax.dtypes.canonicalize_dtype(batch.dtype), batch.shape[1]
            low, high, mean, squares = np.full(d, np.inf), np.full(d, -np.inf), *np.zeros((2, d))
            sample = np.zeros((0, d), dtype)
        if batch.shape[1] != len(mean):
            raise ValueError(
                f"batch {i} has {batch.shape[1]} columns, those before it {len(mean)}: all must "
                "have the same"
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
        low, high = np.minimum(low, least), np.maximum(high, most)
        own_mean = batch.mean(axis=0, dtype=np.float64)
        own_squares = np.square(batch - own_mean, dtype=np.float64).sum(axis=0)
        total = n + len(batch)
        step = own_mean - mean
        squares = squares + own_squares + step**2 * (n * len(batch) / total)
        mean = mean + step * (len(batch) / total)

        drawn = rng.random(len(batch))
        # Only rows that could be among the smallest so far.
        limit = tickets.max() if len(tickets) == n_sample else np.inf
        chosen = np.flatnonzero(drawn < limit)
        sample = np.concatenate([sample, batch[chosen].astype(sample.dtype)])
        tickets = np.concatenate([tickets, drawn[chosen]])
        numbers = np.concatenate([numbers, n + chosen])
        if len(tickets) > n_sample:
            kept = np.sort(np.argpartition(tickets, n_sample)[:n_sample])
            sample, tickets, numbers = sample[kept], tickets[kept], numbers[kept]
        n = total
    return Survey(n, dtype, low, high, mean, squares / max(n, 1), sample)


def merged(own: Survey, team: Team, n_sample: int) -> Survey:
    """What all processes of a team know together, the rows of the first one coming first."""
    n_rows, widths, sizes = team.told(
        np.array([own.n_rows, own.n_features, own.sample.dtype.itemsize])
    ).T
    total = int(n_rows.sum())
    if total == 0:
        raise ValueError("batches gave no rows: the stream is empty")
    forms = sorted(set(zip(widths[n_rows > 0].tolist(), sizes[n_rows > 0].tolist(), strict=True)))
    if len(forms) > 1:
        raise ValueError(
            "the processes gave rows of different forms (columns, bytes a number): "
            f"{', '.join(map(str, forms))}"
        )
    width, size = forms[0]
    if own.n_rows == 0:
        dtype = np.dtype(f"f{size}")
        zeros = np.zeros(width)
        own = Survey(0, dtype, zeros, zeros, zeros, zeros, np.zeros((0, width), dtype))

    columns = team.told(np.stack([own.low, own.high, own.mean, own.variance]))[n_rows > 0]
    n, (low, high, mean, variance) = 0, columns[0]
    for more, (least, most, own_mean, own_variance) in zip(
        n_rows[n_rows > 0], columns, strict=True
    ):
        low, high = np.minimum(low, least), np.maximum(high, most)
        share = more / (n + more)
        step = own_mean - mean
        variance = variance + share * (own_variance - variance + step**2 * (1 - share))
        mean = mean + share * step
        n += more

    # As many of the sample as its process has of the rows.
    shares = np.minimum(n_rows, n_sample * n_rows // total) if total > n_sample else n_rows
    padded = np.zeros((int(shares.max()), width), own.sample.dtype)
    mine = int(shares[team.rank])
    padded[:mine] = own.sample[np.arange(mine) * len(own.sample) // max(mine, 1)]
    samples = team.told(padded)
    sample = np.concatenate([rows[:some] for rows, some in zip(samples, shares, strict=True)])
    return Survey(total, own.dtype, low, high, mean, variance, sample)
