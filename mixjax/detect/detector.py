"""A detector of anomalies: what it scores, what it flags, and why."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from .. import checks
from ..describing.summary import Described, Summary, fields_of
from ..describing.words import counted, listed, number, on_host, quoted
from ..mixture.explain import surprisal
from ..programs import jit, on_device
from ..pytrees import pytree, static
from ..rows.frames import in_order
from ..selection.candidates import Candidate
from ..threshold.conformal_prediction import Conformal
from ..threshold.scores import above
from .committee import Member, combined

# Scores nearer to each other than this are ties: programs differ in their rounding.
LEEWAY = 1e-3


@pytree
class Detector(Described):
    """What was learned from normal rows: a pytree, with pure methods.

    Attributes:
      center: (C,) mean of each column used, in double precision.
      scale: (C,) its standard deviation; 1 for a constant one.
      members: the best candidate of each family, that of the lowest held-out energy first.
      typical: (C,) the mean surprise in each column among normal rows.
      rule: p-values and the threshold of the promised rate.
      threshold: () rows of a higher score are flagged.
      held_out: (n,) mean energy, in nats, of the rows held out but for the highest 5 %, for
        each of the candidates, columns standardized; infinite where a fit failed.
      candidates: n of them: family, n_components and reg_covar.
      columns: the columns that are used, of the ``n_features`` of a table.
      feature_names: the names of all D columns.

    Example:
      >>> import jax, mixjax
      >>> x = jax.random.normal(jax.random.key(0), (500, 2))
      >>> detector = mixjax.detect.fit(
      ...     jax.random.key(1), x, n_components=[1], families=[mixjax.Gaussian])
      >>> detector.predict(x.at[0].set(9.0))[:2].tolist()
      [True, False]

    Source: the combination, Wilson (2019), equation 1; the p-values, Vovk, Cross-conformal
    Predictors (2015), equation 6.
    """

    center: Array | np.ndarray
    scale: Array | np.ndarray
    members: tuple[Member, ...]
    typical: Array
    rule: Conformal
    threshold: Array
    held_out: Array
    candidates: tuple[Candidate, ...] = static()
    columns: tuple[int, ...] = static()
    feature_names: tuple[str, ...] = static()

    @property
    def n_features(self) -> int:
        """D, the columns of a table, also of those that are not used."""
        return len(self.feature_names)

    def scores(self, x: ArrayLike) -> Array:
        """How strange each row of x (N, D) is: (N,), minus the log of a share of normal rows."""
        return _scores(self.members, self.standardized(x))

    def p_values(self, x: ArrayLike) -> Array:
        """(N,) for a new normal row, at most t with a probability of about t at most."""
        return self.judge(x)[1]

    def predict(self, x: ArrayLike) -> Array:
        """(N,) True for the rows that are flagged."""
        return self.judge(x)[2]

    def judge(self, x: ArrayLike) -> tuple[Array, Array, Array]:
        """`scores`, `p_values` and `predict` of x (N, D), for the price of one of them."""
        scores = self.scores(x)
        p_values, flags = _judged(self.rule, self.threshold, scores)
        return scores, p_values, flags

    def flags(self, scores: ArrayLike) -> Array:
        """Which scores are above the threshold, as `predict` decides; NaN is."""
        return above(scores, self.threshold)

    def explain(self, x: ArrayLike) -> Array:
        """(N, C) by how many nats each column is more surprising than in normal rows.

        Given the other columns of the row (see `mixjax.surprisal`), by the member with the
        lowest held-out energy.
        """
        return _excess(self.members[0], self.typical, self.standardized(x))

    def _summary(self) -> Summary:
        alpha, threshold = on_host(self.rule.alpha), on_host(self.threshold)
        if alpha is None or threshold is None:
            return fields_of(self)
        judges = [member.mixtures.components for member in self.members]
        used = [quoted(self.feature_names[i]) for i in self.columns]
        n_left, n_rows = self.n_features - len(used), self.rule.calibration.shape[-1]
        return Summary(
            f"Detector of {counted(len(judges), 'mixture')}, {self.typical.dtype}",
            [
                ("mixtures", [listed([f"{type(j).__name__} (K = {j.shape[0]})" for j in judges])]),
                ("columns", [listed(used) + (f"; {n_left:,} not used" if n_left else "")]),
                ("alpha", [f"{number(alpha)}, the highest rate of false alarms"]),
                ("threshold", [f"{number(threshold)}, from {n_rows:,} rows"]),
            ],
        )

    def standardized(self, x: ArrayLike) -> Array:
        """The columns used (N, C) of x (N, D), as the members see them."""
        x = in_order(x, self.feature_names)
        table = checks.table(x)
        checks.width(table, self.n_features)
        dtype = self.typical.dtype
        if isinstance(x, np.ndarray) and isinstance(self.center, np.ndarray):
            # In double precision: a time in seconds has no digits left in single.
            largest = np.finfo(dtype).max
            with np.errstate(over="ignore"):
                z = (x[:, list(self.columns)] - self.center) / self.scale
            return on_device(np.clip(z, -largest, largest), dtype)
        return _standardized(table, self.center, self.scale, self.columns, dtype)


@functools.partial(jit, static_argnums=(3, 4))
def _standardized(x: Array, center: Array, scale: Array, columns: Any, dtype: Any) -> Array:
    center, scale = (jnp.asarray(v, x.dtype)[None] for v in (center, scale))
    return ((x[:, np.array(columns)] - center) / scale).astype(dtype)


@jit
def _scores(members: tuple[Member, ...], z: Array) -> Array:
    return combined(jnp.stack([member.rarity(z) for member in members]))


@jit
def _judged(rule: Conformal, threshold: Array, scores: Array) -> tuple[Array, Array]:
    return rule.p_values(scores - LEEWAY), above(scores, threshold)


@jit
def _excess(member: Member, typical: Array, z: Array) -> Array:
    return surprise(member, z) - typical[None]


@jit
def surprise(member: Member, z: Array) -> Array:
    """(N, C) the mean surprisal over the mixtures of a member."""
    return jnp.mean(jax.lax.map(lambda mixture: surprisal(mixture, z), member.mixtures), axis=0)
