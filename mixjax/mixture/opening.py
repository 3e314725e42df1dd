"""Rows as they come through a front door: checked, near an origin, packed if some are unknown."""

from typing import Any, NamedTuple

import jax
import numpy as np

from .. import checks
from ..families.family import Family
from ..families.labeling import labeling, with_labels
from ..families.observing import observing
from ..programs import on_device
from ..rows.frames import columns_of
from ..rows.observed import Observed, noise_of, packed
from ..rows.origin import Origin, near, near_on_host, placed, relative
from ..rows.words import coded_rows
from .mixture import Mixture


class Opened(NamedTuple):
    """A table for the machinery, and the way back.

    Attributes:
      table: (N, D) rows relative to the origin, or packed ones.
      shape: (N, D).
      family: the family to fit to this table.
      origin: where the rows are, or None.
      on_host: whether all numbers are NumPy's.
    """

    table: Any
    shape: tuple[int, int]
    family: type[Family]
    origin: Origin | None
    on_host: bool

    def inside(self, mixture: Mixture) -> Mixture:
        """A mixture of the rows, as one of this table."""
        mixture = relative(mixture, self.origin)
        return Mixture(mixture.log_weights, self.family.around(mixture.components))

    def outside(self, mixture: Mixture) -> Mixture:
        """A mixture of this table, as one of the rows."""
        released = Mixture(mixture.log_weights, mixture.components.released())
        return placed(released, self.origin)


def opened(x: Any, family: Any, *others: Any) -> Opened:
    """The rows x, checked, for a fit of this family; ``others`` are what else it depends on."""
    family = checks.family(family)
    if not isinstance(x, Observed):
        rows, family = numbered(x, family)
        family = family.for_rows(rows)
        on_host = checks.on_host(rows, *others)
        table, origin = (near_on_host if on_host else near)(rows, family.scaling)
        return Opened(table, rows.shape, family, origin, on_host)
    numbers, family = numbered(x.x, family)
    rows, noise, full = observed(Observed(numbers, x.noise))
    axes = 0 if noise is None else noise.ndim
    require_noise(family, axes)
    family = family.for_rows(rows)
    on_host = checks.on_host(rows, noise, *others)
    table, origin = (near_on_host if on_host else near)(rows, family.scaling)
    if noise is not None:
        noise = np.asarray(noise, table.dtype) if on_host else on_device(noise, table.dtype)
    return Opened(packed(table, noise, full), rows.shape, observing(family, axes), origin, on_host)


def numbered(x: Any, family: type[Family]) -> tuple[Any, type[Family]]:
    """The rows x as numbers, and the family with the names of its levels.

    In a frame a word stands for its place among the words of its column.
    """
    columns = columns_of(x, "x") if family.looks_at_rows() else None
    if columns is None:
        return checks.rows(x), family
    names = list(map(str, columns))
    known = family.words_of(len(names))
    given = {name: own for name, own in zip(names, known, strict=True) if own}
    rows, _, words = coded_rows(x, given or None)
    if given:
        _require_known(rows, known)
        return checks.rows(rows), family
    places = {names.index(name) for name in words}
    if wrong := sorted(places - set(family.categories(len(names)))):
        raise TypeError(
            f"the column {names[wrong[0]]!r} of x holds words, but {family.__name__} takes numbers "
            "there: give the column to mixjax.Categorical"
        )
    if words:
        family = family.with_words(tuple(words.get(name, ()) for name in names))
    return checks.rows(rows), family


def _require_known(rows: np.ndarray, words: tuple[tuple[str, ...], ...]) -> None:
    """Raise if a word was never seen: its number is that after the last one."""
    for column, own in enumerate(words):
        new = rows[:, column] == len(own)
        if own and new.any():
            raise ValueError(
                f"x has a word that was never seen, in row {int(np.argmax(new))}, column {column}: "
                f"the words are {', '.join(own[:10])}"
            )


def labeled(rows: Opened, labels: Any, k: int) -> Opened:
    """The same rows, of some of which the component is known.

    Args:
      rows: what `opened` gave, with ``labels`` among what the fit depends on.
      labels: (N,) the number of the component, -1 where it is unknown; None for none.
      k: the number of components.
    """
    if labels is None:
        return rows
    values = labels if isinstance(labels, jax.Array) else np.asarray(labels)
    if values.shape != rows.shape[:1]:
        raise ValueError(
            f"labels must have shape ({rows.shape[0]},), one for each row; got {values.shape}"
        )
    if np.dtype(values.dtype).kind not in "iu":
        raise TypeError(f"labels must be whole numbers, got {values.dtype}: -1 where unknown")
    if checks.is_concrete(values):
        host = np.asarray(values)
        wrong = (host < -1) | (host >= k)
        if wrong.any():
            row = int(np.argmax(wrong))
            raise ValueError(
                f"labels must be from 0 to {k - 1}, or -1 where unknown; got {host[row]} "
                f"in row {row}"
            )
    if rows.on_host:
        values = np.asarray(values)
    table = with_labels(rows.table, values)
    return rows._replace(table=table, family=labeling(rows.family))


def observed(x: Observed) -> tuple[Any, Any, bool]:
    """The checked values (N, D), the noise or None, and whether it has covariances."""
    rows = checks.rows(x.x)
    if x.noise is None:
        return rows, None, False
    noise = noise_of(x.noise, rows.shape)
    return rows, noise, noise.ndim == 3


def require_seen(x: Any) -> None:
    """Raise if a column of `Observed` rows to be fitted has no value; not under ``jit``."""
    if not isinstance(x, Observed):
        return
    rows = checks.rows(coded_rows(x.x)[0])
    if not checks.is_concrete(rows):
        return
    never = np.flatnonzero(np.isnan(np.asarray(rows)).all(axis=0))
    if never.size:
        raise ValueError(
            f"x has no value in the columns {', '.join(map(str, never[:10]))}: leave them out"
        )


def require_noise(family: type[Family], axes: int) -> None:
    """Raise unless the family can be fitted to rows whose noise has this many axes, 0 for none."""
    if not family.defines("observed_log_prob_and_statistics"):
        raise TypeError(
            f"{family.__name__} does not say what holes and errors mean: it would have to define "
            "observed_log_prob_and_statistics"
        )
    if axes > family.noise_axes:
        some = "no noise" if family.noise_axes == 0 else "noise of shape (D,) or (N, D) only"
        came = "(N, D, D)" if axes > 2 else "(D,) or (N, D)"
        raise TypeError(
            f"{family.__name__} takes {some}: use mixjax.Gaussian, which takes any, got noise of "
            f"shape {came}"
        )
