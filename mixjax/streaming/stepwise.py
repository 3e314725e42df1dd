"""Stepwise EM: a mixture that follows an endless stream."""

from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from .. import checks
from ..describing.summary import Described, Summary, summary_of
from ..fitting.em import e_step, m_step_of
from ..mixture.maximization import rescaled, ridge, unscaled
from ..mixture.mixture import Mixture, require
from ..programs import jit
from ..pytrees import pytree
from ..rows.blocks import Table
from ..rows.origin import rounded
from ..rows.scaling import Scale, scale_of


@pytree
class Stepwise(Described):
    """A mixture that follows a stream; a pytree, for ``jit``, ``scan`` and ``vmap``.

    Attributes:
      mixture: the current mixture, in the units of x.
      scaled: the same mixture for the scaled columns ``(x - shift) / scale``. Without the
        ridge, it stands for the sums so far.
      ridge: (D,) variance added to the diagonals, in units of the scaled columns.
      shift: (D,) center of the columns under the first mixture.
      scale: (D,) standard deviations of the columns under the first mixture.

    Example:
      >>> import jax, mixjax
      >>> x = jax.random.normal(jax.random.key(0), (100, 2))
      >>> state = mixjax.Stepwise.of(mixjax.fit(jax.random.key(1), x, 2).mixture)
      >>> state.mixture.n_components
      2

    Source: Cappé and Moulines, On-line Expectation-Maximization Algorithm for Latent Data
    Models (2009), section 2.
    """

    mixture: Mixture
    scaled: Mixture
    ridge: Array
    shift: Array
    scale: Array

    @classmethod
    def of(cls, mixture: Mixture, *, reg_covar: ArrayLike | None = None) -> Self:
        """Start from a mixture: one fitted to the first rows, or your own.

        Args:
          mixture: of a Gaussian family, in the units of x.
          reg_covar: None adds 1e-6 of the variance of each feature under the mixture to
            the diagonals. A number or (D,) is added as it is, but at least the rounding error
            of that variance, because a stuck sensor has no variance.

        Returns:
          The state for `update`.

        Raises:
          TypeError: mixture is not a `Mixture`, or the M-step of its family does not use sums.
          ValueError: reg_covar has the wrong shape, or is negative.
        """
        require(mixture)
        components = mixture.components
        family = type(components)
        if not family.defines("expected_statistics"):
            raise TypeError(
                f"stepwise EM needs a family whose M-step uses sums and that defines "
                f"expected_statistics, such as mixjax.Gaussian; got {family.__name__}"
            )
        checks.reg_covar(reg_covar, mixture.n_features)
        center, spread = _center_and_spread(mixture)
        scale = scale_of(center, spread, jnp.zeros(spread.shape, bool), family.scaling)
        least = float(jnp.finfo(spread.dtype).eps) ** 2
        reg = jnp.broadcast_to(jnp.maximum(ridge(reg_covar, scale), least), spread.shape)
        scaled = unscaled(mixture, scale, family.scaling)
        return cls(mixture, scaled, reg, scale.shift, scale.scale)

    @property
    def reg_covar(self) -> Array:
        """(D,) variance added to the diagonals, in squared units of x."""
        return self.ridge * self.scale * self.scale

    @property
    def unregularized(self) -> Any:
        """The components without the ridge, in the units of x."""
        components = self.scaled.components
        sums = components.expected_statistics(jnp.ones_like(self.scaled.log_weights), self.ridge)
        bare = Mixture(self.scaled.log_weights, components.from_statistics(sums, 0 * self.ridge))
        return self._in_units(bare).components

    def _summary(self) -> Summary:
        headline, rows = summary_of(self.mixture)
        return Summary(f"Stepwise: {headline}", rows)

    def _in_units(self, scaled: Mixture) -> Mixture:
        scale = Scale(self.shift, self.scale, jnp.ones_like(self.scale))
        return rescaled(scaled, scale, type(scaled.components).scaling)


def update(
    state: Stepwise, x: ArrayLike, step_size: ArrayLike, *, weights: ArrayLike | None = None
) -> Stepwise:
    r"""One step of stepwise EM: $s \leftarrow (1-\gamma)s + \gamma\bar s(x)$, then the M-step.

    $\bar s$ is the mean of the sufficient statistics of a batch under the mixture so far.
    With $\gamma_t = t^{-0.6}$ it converges to a maximum of the likelihood. A constant
    $\gamma$ forgets old rows at that rate, so the mixture follows a drift. The function is
    pure: use it under ``jit``, in a ``scan`` over batches, or under ``vmap`` for thousands of
    streams.

    Args:
      state: from `Stepwise.of`, or from the previous update.
      x: (n, D) a batch of rows, float32 or float64, also if the state has the other dtype. One
        row is enough.
      step_size: $\gamma$, from 0 (nothing changes) to 1 (only this batch counts).
      weights: (n,) weight of each row; a batch without positive weights changes nothing.

    Returns:
      The next state, with the dtype of the state. Rows that are not finite, or so far away
      that their squares are not finite, count as absent.

    Raises:
      TypeError: state is not a `Stepwise`, or x is not floating.
      ValueError: x has the wrong width, or step_size is not in [0, 1].

    Example:
      >>> import jax, jax.numpy as jnp, mixjax
      >>> key = jax.random.key(0)
      >>> x = jax.random.normal(key, (50, 20, 1)) + jnp.linspace(0, 9, 50)[:, None, None]
      >>> state = mixjax.Stepwise.of(mixjax.fit(key, x[0], 1).mixture)
      >>> state, _ = jax.lax.scan(lambda s, x: (mixjax.update(s, x, 0.3), None), state, x)
      >>> bool(state.mixture.components.means[0, 0] > 7)
      True

    Source: Cappé and Moulines (2009), equations 11 and 12.
    """
    if not isinstance(state, Stepwise):
        raise TypeError(f"state must be made by Stepwise.of or update, got {type(state).__name__}")
    x = rounded(checks.rows(x))
    checks.width(x, state.mixture.n_features)
    row_weights = checks.row_weights(weights, x, may_all_be_zero=True)
    if jnp.shape(step_size) != ():
        raise ValueError(f"step_size must be a single number, got shape {jnp.shape(step_size)}")
    if checks.is_concrete(step_size) and not 0 <= float(np.asarray(step_size)) <= 1:
        raise ValueError(f"step_size must be between 0 and 1, got {step_size}")
    return _updated(state, x, row_weights, jnp.asarray(step_size, state.shift.dtype))


@jit
def _updated(state: Stepwise, x: Array, weights: Array | None, step_size: Array) -> Stepwise:
    dtype = state.shift.dtype
    # The difference first, in the precision of x, which may differ from that of the state.
    common = np.promote_types(x.dtype, dtype)
    shift, scale = state.shift.astype(common), state.scale.astype(common)
    z = ((x.astype(common) - shift[None]) / scale[None]).astype(dtype)
    near = jnp.all(jnp.abs(z) < float(jnp.finfo(dtype).max) ** 0.25, axis=1)
    own = jnp.ones_like(z[:, 0]) if weights is None else weights.astype(dtype)
    table = Table.of(jnp.where(near[:, None], z, 0), jnp.where(near, own, 0), state.ridge.shape[0])
    rows = table.standardized(jnp.zeros_like(state.shift), jnp.ones_like(state.scale))

    old = state.scaled.components
    _, stats = e_step(state.scaled, rows)
    empty = rows.total <= 0
    share = step_size / jnp.where(empty, 1, rows.total)
    kept = old.expected_statistics(state.scaled.weights * (1 - step_size), state.ridge)
    blended = jax.tree.map(lambda a, b: a + share * b, kept, stats)
    new = m_step_of(old, blended, state.ridge)
    moved = Stepwise(state._in_units(new), new, state.ridge, state.shift, state.scale)
    finite = [jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(moved)]
    changes = jnp.all(jnp.stack(finite)) & ~empty & (step_size > 0)
    return jax.tree.map(lambda a, b: jnp.where(changes, a, b), moved, state)


def _center_and_spread(mixture: Mixture) -> tuple[Array, Array]:
    """(D,) the mean and the standard deviation of each feature under the whole mixture."""
    centers, weights = mixture.components.centers, mixture.weights[:, None]
    center = jnp.sum(weights * centers, axis=0)
    away, deviations = jnp.abs(centers - center[None]), mixture.components.standard_deviations
    unit = jnp.max(jnp.maximum(away, deviations), axis=0)
    unit = jnp.where(unit > 0, unit, 1)
    squares = (away / unit[None]) ** 2 + (deviations / unit[None]) ** 2
    return center, unit * jnp.sqrt(jnp.sum(weights * squares, axis=0))
