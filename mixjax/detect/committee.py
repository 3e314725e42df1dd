"""Several mixtures that judge together, by tail probabilities of their energies."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ..describing.summary import Described
from ..families.observing import observing
from ..fitting.outcome import FitError
from ..mixture.expected import expected_energy
from ..mixture.mixture import Mixture
from ..programs import on_device
from ..pytrees import pytree, static
from ..rows.executor import executor_of
from ..selection.grid import Result
from ..threshold import pareto
from ..threshold.conformal_prediction import share_as_high

# The share of the energies in the tail.
TAIL = 0.1
# In nats: energies that differ by less than this (or this share) are equal. Also the smallest
# scale of a tail.
TIES = 1e-5
NARROWEST = 0.05


@pytree
class Calibration(Described):
    """The distribution of the energies of normal rows.

    Attributes:
      energies: (n,) energies of normal rows, ascending, each by a mixture not fitted to the row.
      start: () the energy above which the tail is a generalized Pareto distribution.
      scale: () the scale of the tail.
      shape: () the shape of the tail, from 0 (exponential) to 0.9.
    """

    energies: Array
    start: Array
    scale: Array
    shape: Array

    @classmethod
    def of(cls, energies: Array) -> "Calibration":
        """The calibration by energies (n,); `threshold.pareto` fits the tail."""
        xp = executor_of(energies).xp
        ordered = xp.sort(energies)
        n_tail = max(1, int(TAIL * len(ordered)))
        start, _, shape, scale = pareto.tail_of(ordered, n_tail, pareto.moments)
        # A tail of equal energies has the width of their rounding errors.
        return cls(ordered, start, xp.maximum(scale, xp.asarray(NARROWEST, scale.dtype)), shape)

    def neg_log_tail(self, energy: Array) -> Array:
        """(N,) minus the logarithm of the share of normal rows with an energy at least as high."""
        xp = executor_of(energy).xp
        # Copies of a row may differ by rounding.
        near = xp.where(xp.isfinite(energy), TIES * xp.maximum(xp.abs(energy), 1), 0)
        counted = share_as_high(self.energies, energy - near)
        # Energies may be infinite; the order is kept within the range of floats.
        y = xp.minimum((energy - self.start) / self.scale, jnp.finfo(energy.dtype).max / 4)
        y = xp.maximum(y, 0)
        n_higher = xp.sum((self.energies > self.start).astype(energy.dtype))
        share = (1 + n_higher) / (self.energies.shape[0] + 1)
        law = -pareto.log_survival(y, self.shape)
        neg_log_tail = xp.where(energy > self.start, law - xp.log(share), -xp.log(counted))
        # NaN is never normal.
        return xp.where(xp.isnan(energy), energy, neg_log_tail)


@pytree
class Member(Described):
    """The best candidate of a family, fitted once without each fold of the rows.

    Attributes:
      mixtures: F mixtures, with a leading axis.
      calibration: the distribution of the median of their energies.
      view: the columns in which it was fitted, in words; "" for the standardized columns.
    """

    mixtures: Mixture
    calibration: Calibration
    view: str = static(default="")

    def of_packed(self) -> "Member":
        """The same for rows that are packed, see `rows.observed`."""
        components = self.mixtures.components
        around = observing(components.kind, 0).around(components)
        return dataclasses.replace(self, mixtures=Mixture(self.mixtures.log_weights, around))

    @property
    def appearance(self) -> str:
        """What its components look like, in everyday words."""
        return ", ".join(filter(None, (self.mixtures.components.appearance, self.view)))

    def neg_log_tail(self, x: Array) -> Array:
        """(N,) minus the logarithm of the share of normal rows that are at least as strange."""
        each = jax.lax.map(lambda mixture: expected_energy(mixture, x), self.mixtures)
        # Not the mean: a row of a rare kind that one fold lacked is not strange.
        return self.calibration.neg_log_tail(jnp.median(each, axis=0))


def calibrated(normal: np.ndarray, energies: np.ndarray) -> tuple[list[Calibration], Any]:
    """The calibrations of M members by normal rows (M, n), and the scores (N,) of all rows.

    By NumPy: the length of a table is no reason to compile.
    """
    with np.errstate(all="ignore"):
        calibrations = [Calibration.of(of_member) for of_member in normal]
        each = zip(calibrations, energies, strict=True)
        tails: Any = np.stack([one.neg_log_tail(energy) for one, energy in each])
    return calibrations, combined(tails)


def members_of(
    tried: list[Result],
    views: Sequence[str],
    fold: np.ndarray,
    repeated: np.ndarray,
    kept: np.ndarray,
) -> tuple[list[Member], np.ndarray]:
    """The members, the lowest mean energy first, and the combined scores of all rows."""
    n_folds = fold.max() + 1
    energies, mixtures, known = [], [], []
    for i, view in enumerate(views):
        splits = tried[i * n_folds : (i + 1) * n_folds]
        each = np.stack([split.expected for split in splits])
        own = each[fold, np.arange(len(fold))]
        # A copy of a row is judged by the median of all mixtures, some of which were fitted to the
        # row: the row ties with its copies, or is stranger.
        energy = np.where(repeated, np.maximum(own, np.median(each, axis=0)), own)
        if any(split.fit.failed for split in splits) or not np.isfinite(energy[kept]).all():
            continue
        energies.append(energy)
        known.append(view)
        mixtures.append(
            jax.tree.map(lambda *leaves: np.stack(leaves), *[p.fit.mixture for p in splits])
        )
    if not energies:
        raise FitError("no family could be fitted without each fold of the rows: pass more rows")
    order = sorted(range(len(energies)), key=lambda i: energies[i][kept].mean())
    table = np.stack([energies[i] for i in order])
    calibrations, scores = calibrated(table[:, kept], table)
    pairs = zip(order, calibrations, strict=True)
    members = [Member(mixtures[i], calibration, known[i]) for i, calibration in pairs]
    return [jax.tree.map(on_device, member) for member in members], scores


def combined(rarities: Array) -> Array:
    r"""One score (N,) from the scores (M, N) of the members: $-\log$ of the harmonic mean p-value.

    $-\log\bar p = \log\tfrac1M\sum_m 1/p_m$. A row is strange if one member finds it strange,
    and the members may depend on each other.

    Source: Wilson, The Harmonic Mean p-value for Combining Dependent Tests (2019),
    equation 1.
    """
    xp = executor_of(rarities).xp
    top = xp.max(rarities, axis=0)
    top = xp.where(xp.isfinite(top), top, 0)
    mean = xp.mean(xp.exp(rarities - top[None]), axis=0)
    # Not by the largest alone: on some devices a maximum loses NaN.
    return top + xp.log(mean)
