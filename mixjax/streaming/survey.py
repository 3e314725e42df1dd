"""The first pass over a stream: the number of rows, their scale, and a sample for the start."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ..families.family import Family
from ..rows.scaling import Scale, Scaling
from ..rows.subsample import places
from .fingerprint import Fingerprint
from .form import Form
from .processes import Team
from .sources import Source


class Survey(NamedTuple):
    """Facts about the rows of a stream before the fit.

    Attributes:
      n_rows: N; if it is 0, nothing else is known.
      form: what a row is.
      dtype: float32 or float64, the dtype of the fit.
      total: the weight of all rows of which something is known.
      mass: (D,) the weight of the rows whose value is known, in each column.
      low, high, mean, spread: (D,) of the known values of each column, in float64; spread is the
        standard deviation.
      sample: (n, W) wide rows in float64, drawn uniformly without replacement among those with a
        weight; all if they are few.
      narrowed: whether some rows have double precision but are fitted in single.
      digest: of all rows in any order, see `Fingerprint`.
      checksum: of the rows of this process in their order.
    """

    n_rows: int
    form: Form | None
    dtype: Any
    total: float
    mass: np.ndarray
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
    def known_form(self) -> Form:
        """The form, of a survey that is not empty."""
        assert self.form is not None
        return self.form

    @property
    def _center(self) -> np.ndarray:
        return np.where(self.low == self.high, self.low, self.mean)

    def fitted(self, family: type[Family]) -> type[Family]:
        """What is fitted to the wide rows for a family of the user's choice.

        Raises:
          TypeError, ValueError: it cannot describe such rows; or a column has no value.
        """
        if not (self.mass > 0).all():
            columns = ", ".join(map(str, np.flatnonzero(self.mass <= 0)[:10]))
            raise ValueError(
                f"the columns {columns} of batches have no value in a row with a weight: leave "
                "them out"
            )
        if family.looks_at_rows():
            values, known, _ = self.known_form.parts(self.sample)
            some = values if known is None else np.where(known, values, np.nan)
            family = family.for_rows(np.concatenate([some, self.low[None], self.high[None]]))
        return self.known_form.family(family)

    def origin(self, family: type[Family]) -> np.ndarray | None:
        """What to subtract (D,) before rounding to single precision; None if nothing is lost."""
        if not self.narrowed or family.scaling is Scaling.NONE:
            return None
        origin = self._center.astype(self.dtype)
        origin[list(family.categories(self.known_form.n_known))] = 0
        return origin

    def scale(self, family: type[Family]) -> Scale:
        """Center and scale of the columns minus their origin, as for a table in memory."""
        constant = self.low == self.high
        origin = self.origin(family)
        shift = self._center if origin is None else self._center - origin
        least = float(np.finfo(self.dtype).tiny)
        spread = np.where(constant | (self.spread == 0), 1, np.maximum(self.spread, least))
        shares = self.mass / max(self.total, np.finfo(float).tiny)
        return family.scale_of_known(
            jnp.asarray(shift, self.dtype), jnp.asarray(spread, self.dtype),
            jnp.asarray(constant), jnp.asarray(shares, self.dtype),
        )  # fmt: skip


def surveyed(batches: Source, seed: Any, n_sample: int) -> Survey:
    """One pass; means and spreads are merged batch by batch, without cancellation.

    A row is in the sample if its random number is among the smallest, so the sample does
    not depend on the batches.
    """
    rng = np.random.default_rng(seed)
    n, dtype, narrowed, all_mass = 0, None, False, 0.0
    low = high = mean = spread = mass = np.zeros(0)
    sample, tickets = np.zeros((0, 0)), np.zeros(0)
    seen = Fingerprint()
    for i, batch in enumerate(batches()):
        form = batches.form
        assert form is not None  # a batch has been read
        if dtype is None:
            dtype, d = jax.dtypes.canonicalize_dtype(batch.dtype), form.n_features
            low, high = np.full(d, np.inf), np.full(d, -np.inf)
            mean, spread, mass = np.zeros((3, d))
            sample = np.zeros((0, form.width))
        if len(batch) == 0:
            continue
        values, known, weights = form.parts(batch)
        least, most = values.min(axis=0), values.max(axis=0)
        if not (np.isfinite(least).all() and np.isfinite(most).all()):
            row = int(np.argmin(np.isfinite(values).all(axis=1)))
            raise ValueError(
                f"batch {i} holds NaN or infinity (the first in its row {row}, which is row "
                f"{n + row} of the stream): drop or fill such rows, or pass batches of "
                "mixjax.Observed rows, in which NaN is a missing value"
            )
        largest = float(max(np.abs(least).max(), np.abs(most).max()))
        if largest > float(np.finfo(dtype).max):
            raise ValueError(
                f"batch {i} holds {largest:.3g}, too large for {dtype}: convert the column to "
                "a larger unit, or set jax_enable_x64"
            )
        narrowed |= batch.dtype.itemsize > dtype.itemsize
        seen.add(batch)
        drawn = rng.random(len(batch))
        if known is None and weights is None:
            own, more = np.full(len(mean), float(len(batch))), float(len(batch))
            own_mean, own_spread = _mean_and_spread(values, least, most)
        else:
            w = np.ones(len(batch)) if weights is None else weights.astype(np.float64)
            there = np.broadcast_to(w[:, None], values.shape)
            there = there if known is None else np.where(known, there, 0)
            least = np.where(there > 0, values, np.inf).min(axis=0)
            most = np.where(there > 0, values, -np.inf).max(axis=0)
            own, more = there.sum(axis=0), float(w[there.any(axis=1)].sum())
            own_mean, own_spread = _weighted_mean_and_spread(values, there, own, least, most)
            drawn = np.where(w > 0, drawn, np.inf)
        low, high = np.minimum(low, least), np.maximum(high, most)
        total = n + len(batch)
        share = own / np.where(mass + own > 0, mass + own, 1)
        mean, spread = _joined(mean, spread, own_mean, own_spread, share)
        mass, all_mass = mass + own, all_mass + more

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
        n, batches.form, dtype, all_mass, mass, low, high, mean, spread, sample, narrowed,
        seen.digest, seen.checksum,
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


def _weighted_mean_and_spread(
    rows: np.ndarray, weights: np.ndarray, mass: np.ndarray, low: np.ndarray, high: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The same with a weight (n, D) for each value, of sums ``mass`` (D,); 0 without any."""
    low, high = (np.where(mass > 0, end, 0).astype(np.float64) for end in (low, high))
    middle = 0.5 * low + 0.5 * high
    reach = np.where(high > low, np.maximum(high - middle, middle - low), 1)
    share = weights / np.where(mass > 0, mass, 1)
    unit = np.where(weights > 0, (rows - middle) / reach, 0)
    mean = np.einsum("nd,nd->d", share, unit)
    unit = np.where(weights > 0, unit - mean, 0)
    return middle + reach * mean, reach * np.sqrt(np.einsum("nd,nd,nd->d", share, unit, unit))


def _joined(
    mean: np.ndarray, spread: np.ndarray, other: np.ndarray, other_spread: np.ndarray, share: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and spread of two tables together; the other has this share of the rows."""
    step = other - mean
    within = np.hypot(spread * np.sqrt(1 - share), other_spread * np.sqrt(share))
    spread = np.hypot(within, np.abs(step) * np.sqrt(share * (1 - share)))
    return mean + share * step, spread


def merged(own: Survey, team: Team, n_sample: int) -> Survey:
    """The survey of the rows of all processes, in the order of the processes."""
    size = 0 if own.dtype is None else own.dtype.itemsize
    kind = [0, 0, 0] if own.form is None else list(own.form)
    facts = np.array([own.n_rows, size, own.narrowed, *kind], np.int64)
    n_rows, sizes, narrowed, *kinds = team.all_gather(facts).T
    digest = sum(team.all_gather(np.uint64(own.digest)).tolist()) % 2**64
    total = int(n_rows.sum())
    if total == 0:
        raise ValueError("batches gave no rows: the stream is empty")
    found = np.array(kinds).T[n_rows > 0].tolist(), sizes[n_rows > 0].tolist()
    forms = {(Form.of(facts), size) for facts, size in zip(*found, strict=True)}
    if len(forms) > 1:
        each = sorted(f"{form} of {8 * size} bits" for form, size in forms)
        raise ValueError(f"the processes gave rows of different forms: {', '.join(each)}")
    form, size = forms.pop()
    if own.n_rows == 0:
        zeros = np.zeros(form.n_features)
        own = own._replace(
            form=form, dtype=np.dtype(f"f{size}"), mass=zeros, low=zeros, high=zeros, mean=zeros,
            spread=zeros, sample=np.zeros((0, form.width)),
        )  # fmt: skip

    facts_of_columns = np.stack([own.mass, own.low, own.high, own.mean, own.spread])
    columns = team.all_gather(facts_of_columns)[n_rows > 0]
    mass, (_, low, high, mean, spread) = np.zeros(form.n_features), columns[0]
    for more, least, most, own_mean, own_spread in columns:
        low, high = np.minimum(low, least), np.maximum(high, most)
        share = more / np.where(mass + more > 0, mass + more, 1)
        mean, spread = _joined(mean, spread, own_mean, own_spread, share)
        mass = mass + more
    all_mass = float(team.all_gather(np.float64(own.total)).sum())

    # A process contributes to the sample in proportion to its rows.
    available = team.all_gather(np.int64(len(own.sample)))
    shares = np.minimum(available, n_sample * n_rows // total) if total > n_sample else available
    padded = np.zeros((int(shares.max()), form.width))
    mine = int(shares[team.rank])
    if mine:
        padded[:mine] = own.sample[places(len(own.sample), mine, xp=np)]
    samples = team.all_gather(padded)
    sample = np.concatenate([rows[:some] for rows, some in zip(samples, shares, strict=True)])
    return own._replace(
        n_rows=total, total=all_mass, mass=mass, low=low, high=high, mean=mean, spread=spread,
        sample=sample, narrowed=bool(narrowed.any()), digest=digest,
    )  # fmt: skip
