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
from ..rows.frames import in_order
from ..selection.candidates import Candidate
from ..threshold.conformal_prediction import Conformal
from ..threshold.scores import above
from .committee import Member, combined

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

    @property
    def n_features(self) -> int:
        """D, the number of columns of a table, including unused ones."""
        return len(self.feature_names)

    def scores(self, x: ArrayLike) -> Array:
        """(N,) how strange each row of x (N, D) is: minus the log of a tail probability."""
        return self.judge(x)[0]

    def p_values(self, x: ArrayLike) -> Array:
        """p-values (N,): for a new normal row, P(p <= t) is at most about t."""
        return self.judge(x)[1]

    def predict(self, x: ArrayLike) -> Array:
        """(N,) True for flagged rows."""
        return self.judge(x)[2]

    def judge(self, x: ArrayLike) -> tuple[Array, Array, Array]:
        """`scores`, `p_values` and `predict` of x (N, D), at the cost of one of them."""
        judges = (self.members, self.rule, self.threshold)
        scores, p_values, flags = jax.tree.map(on_device, self._asked(judgments, judges, x))
        return scores, p_values, flags

    def flags(self, scores: ArrayLike) -> Array:
        """Which scores are flagged: those above the threshold, and NaN."""
        return above(scores, self.threshold)

    def p_values_of(self, scores: ArrayLike) -> Array:
        """The p-values (N,) of scores (N,), from `scores` or `fit_scores`."""
        return self.rule.p_values(jnp.asarray(scores) - TIE_TOLERANCE)

    def explain(self, x: ArrayLike) -> Array:
        """(N, C) the surprise of each column minus its mean in normal rows, in nats.

        It is the surprise given the other columns of the row (see `mixjax.surprisal`), by the
        member with the lowest held-out energy.
        """
        surprise = self._asked(surprises, self.members[:1], x)
        if isinstance(surprise, np.ndarray):
            return on_device(surprise - np.asarray(self.typical)[None])
        excess: Array = surprise - self.typical[None]
        return excess

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
        """The used columns (N, C) of x (N, D), standardized."""
        z = self._standardized(x)
        return on_device(z) if isinstance(z, np.ndarray) else z

    def _standardized(self, x: ArrayLike) -> Any:
        """The same as a NumPy array, if x and the detector are on the host."""
        rows = checks.rows(in_order(x, self.feature_names))
        checks.width(rows, self.n_features)
        dtype = self.typical.dtype
        if isinstance(rows, np.ndarray) and isinstance(self.center, np.ndarray):
            # In double precision: a time in seconds loses its digits in single.
            largest = np.finfo(dtype).max
            with np.errstate(over="ignore"):
                z = (rows[:, list(self.columns)] - self.center) / self.scale
                return np.clip(z, -largest, largest).astype(dtype)
        return _standardized(taken(rows), self.center, self.scale, self.columns, dtype)

    def _asked(self, program: BySize[Any], known: Any, x: ArrayLike) -> Any:
        """What a program says of each row of x (N, D), by NumPy arrays if x is on the host."""
        z = self._standardized(x)
        if not checks.on_host(known, z):
            return program.thorough(known, z)
        return ask(program, known, np.asarray(z), _width(known, z))


@functools.partial(jit, static_argnums=(3, 4))
def _standardized(x: Array, center: Array, scale: Array, columns: Any, dtype: Any) -> Array:
    center, scale = (jnp.asarray(v, x.dtype)[None] for v in (center, scale))
    return ((x[:, np.array(columns)] - center) / scale).astype(dtype)


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
    best = (member,)
    if not checks.on_host(best, z):
        return np.asarray(surprises.thorough(best, z))
    found: np.ndarray = ask(surprises, best, np.asarray(z), _width(best, z))
    return found


def _width(known: Any, z: Any) -> int:
    """About how many numbers are computed for each row."""
    mixtures = jax.tree.leaves(known, is_leaf=lambda value: isinstance(value, Mixture))
    sizes = [m.log_weights.size for m in mixtures if isinstance(m, Mixture)]
    return sum(sizes) * z.shape[1]
