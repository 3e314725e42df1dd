"""The anomaly detector: scores, p-values, flags and explanations."""

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
from ..mixture.mixture import Mixture
from ..programs import BySize, jit, on_device, taken
from ..pytrees import pytree, static
from ..rows.asking import ask
from ..rows.executor import executor_of
from ..rows.frames import columns_of, in_order, ordered
from ..rows.observed import Observed, known_values, packed
from ..rows.words import coded_rows
from ..selection.candidates import Candidate
from ..threshold.conformal_prediction import Conformal
from ..threshold.scores import above
from .committee import Member, combined
from .levels import Levels, with_codes

# Scores that differ by less than this are ties, because programs differ in rounding.
TIE_TOLERANCE = 1e-3


@pytree
class Detector(Described):
    """A detector learned from normal rows: a pytree with pure methods.

    Attributes:
      center: (C,) mean of each used column, in double precision.
      scale: (C,) standard deviation of each used column; 1 for a constant one.
      usual: (C, 2) the values of each used column between which 95 % of the normal rows lie.
      members: the best candidate of each family, the one of lowest held-out energy first; one of
        diagonal components may be spheres in columns of equal reach.
      typical: (C,) mean surprise of each column in normal rows.
      rule: p-values, and the threshold of the promised rate.
      threshold: () rows of a higher score are flagged.
      held_out: (n,) for each candidate the mean energy of held-out rows, without the highest
        5 %, in nats, of standardized columns; infinite if a fit failed.
      candidates: n candidates: family, n_components and ridge.
      columns: the numbers of the used columns.
      feature_names: the names of all D columns.
      levels: for each used column that holds categories their values, or names if the table
        numbers them; () for the others. None if no column holds categories.

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
    usual: Array | np.ndarray
    members: tuple[Member, ...]
    typical: Array
    rule: Conformal
    threshold: Array
    held_out: Array
    candidates: tuple[Candidate, ...] = static()
    columns: tuple[int, ...] = static()
    feature_names: tuple[str, ...] = static()
    levels: tuple[Levels, ...] | None = static(default=None)

    @property
    def n_features(self) -> int:
        """D, the number of columns of a table, including unused ones."""
        return len(self.feature_names)

    def scores(self, x: Observed | ArrayLike) -> Array:
        """(N,) how strange each row of x (N, D) is: minus the log of a tail probability.

        Of a row of `mixjax.Observed` rows with missing values it is that of the mean energy of the
        rows that it may be. In a plain table a row with NaN is strange.
        """
        return self.judge(x)[0]

    def p_values(self, x: Observed | ArrayLike) -> Array:
        """p-values (N,): for a new normal row, P(p <= t) is at most about t."""
        return self.judge(x)[1]

    def predict(self, x: Observed | ArrayLike) -> Array:
        """(N,) True for flagged rows."""
        return self.judge(x)[2]

    def judge(self, x: Observed | ArrayLike) -> tuple[Array, Array, Array]:
        """`scores`, `p_values` and `predict` of x (N, D), at the cost of one of them."""
        members, z = self._prepared(x)
        judges = members, self.rule, self.threshold
        scores, p_values, flags = jax.tree.map(on_device, _asked(judgments, judges, z))
        return scores, p_values, flags

    def flags(self, scores: ArrayLike) -> Array:
        """Which scores are flagged: those above the threshold, and NaN."""
        return above(scores, self.threshold)

    def p_values_of(self, scores: ArrayLike) -> Array:
        """The p-values (N,) of scores (N,), from `scores` or `fit_scores`."""
        return self.rule.p_values(jnp.asarray(scores) - TIE_TOLERANCE)

    def explain(self, x: Observed | ArrayLike) -> Array:
        """(N, C) the surprise of each column minus its mean in normal rows, in nats.

        It is the surprise given the other columns of the row (see `mixjax.surprisal`), by the
        member with the lowest held-out energy.
        """
        members, z = self._prepared(x)
        surprise = _asked(surprises, members[:1], z)
        xp = executor_of(surprise).xp
        excess = surprise - xp.asarray(self.typical)[None]
        if isinstance(x, Observed):
            # What is not known is as usual.
            excess = xp.where(known_values(z), excess, 0)
        return on_device(excess)

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
        """The used columns (N, C) of x (N, D), standardized; categories as numbers from 0."""
        z = self._standardized(x)
        return on_device(z) if isinstance(z, np.ndarray) else z

    def _prepared(self, x: Any) -> tuple[tuple[Member, ...], Any]:
        """The members, and the rows they judge, both for packed rows if some are unknown."""
        if not isinstance(x, Observed):
            return self.members, self._standardized(x)
        if x.noise is not None:
            raise TypeError("a detector takes rows without noise: pass mixjax.Observed(x)")
        z = packed(self._standardized(x.x), None, False)
        return tuple(member.of_packed() for member in self.members), z

    def _standardized(self, x: ArrayLike) -> Any:
        """The same as a NumPy array, if x and the detector are on the host."""
        rows = checks.rows(self.in_order(x))
        checks.width(rows, self.n_features)
        dtype = self.typical.dtype
        if isinstance(rows, np.ndarray) and isinstance(self.center, np.ndarray):
            # In double precision: a time in seconds loses its digits in single.
            largest = np.finfo(dtype).max
            with np.errstate(over="ignore"):
                z = (rows[:, list(self.columns)] - self.center) / self.scale
                z = with_codes(z, rows, self.columns, self.levels, np)
                return np.clip(z, -largest, largest).astype(dtype)
        more = self.columns, self.levels, dtype
        return _standardized(taken(rows), self.center, self.scale, *more)

    def in_order(self, x: Any) -> Any:
        """The columns (N, D) of a table in the order of the names, words as numbers of levels."""
        if self.levels is None or columns_of(x, "x") is None:
            return in_order(x, self.feature_names)
        named = zip(self.columns, self.levels, strict=True)
        words: Any = {
            self.feature_names[i]: own for i, own in named if own and isinstance(own[0], str)
        }
        rows, names, _ = coded_rows(x, words)
        return ordered(rows, names, self.feature_names)


def _asked(program: BySize[Any], known: Any, z: Any) -> Any:
    """What a program says of each row of z, by NumPy arrays if all is on the host."""
    if not checks.on_host(known, z):
        return program.thorough(known, z)
    return ask(program, known, np.asarray(z), _width(known, z))


@functools.partial(jit, static_argnums=(3, 4, 5))
def _standardized(
    x: Array, center: Array, scale: Array, columns: Any, levels: Any, dtype: Any
) -> Array:
    center, scale = (jnp.asarray(v, x.dtype)[None] for v in (center, scale))
    z = (x[:, np.array(columns)] - center) / scale
    return with_codes(z, x, columns, levels, jnp).astype(dtype)


def _judged(judges: Any, z: Array) -> tuple[Array, Array, Array]:
    members, rule, threshold = judges
    scores = combined(jnp.stack([member.neg_log_tail(z) for member in members]))
    return scores, rule.p_values(scores - TIE_TOLERANCE), above(scores, threshold)


def _surprise(best: tuple[Member], z: Array) -> Array:
    """(N, C) the mean surprisal over the mixtures of a member."""
    return jnp.mean(jax.lax.map(lambda mixture: surprisal(mixture, z), best[0].mixtures), axis=0)


judgments, surprises = BySize(_judged), BySize(_surprise)


def surprises_of(member: Member, z: Array) -> np.ndarray:
    """The mean surprisal (N, C) over the mixtures of a member, on the host."""
    return np.asarray(_asked(surprises, (member,), z))


def _width(known: Any, z: Any) -> int:
    """About how many numbers are computed for each row."""
    mixtures = jax.tree.leaves(known, is_leaf=lambda value: isinstance(value, Mixture))
    sizes = [m.log_weights.size for m in mixtures if isinstance(m, Mixture)]
    return sum(sizes) * z.shape[1]
