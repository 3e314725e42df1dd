"""Stepwise EM: a mixture that follows a stream without an end."""

from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from . import checks
from .em import e_step
from .families.family import Family
from .mixture import Mixture, log_shares, require
from .pytree import pytree
from .rows import Table


@pytree
class Stepwise:
    """A mixture that follows a stream; a pytree, for ``jit``, ``scan`` and ``vmap``.

    Attributes:
      mixture: the mixture now, in the units of x.
      unregularised: its components without the ridge; they stand for the sums so far.
      reg_covar: (D,) variance added to the diagonals.

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
    unregularised: Any
    reg_covar: Array

    @classmethod
    def of(cls, mixture: Mixture, *, reg_covar: ArrayLike | None = None) -> Self:
        """Begin with a mixture: one fitted to the first rows, or one of your own.

        Args:
          mixture: of a Gaussian family, in the units of x.
          reg_covar: None adds 1e-6 of the variance of each feature under the mixture to
            the diagonals; a number or (D,) is added as it is.

        Returns:
          The state that `update` takes.

        Raises:
          TypeError: no mixture, or of a family whose M-step is not made of sums.
          ValueError: a reg_covar of another shape, or negative.
        """
        require(mixture)
        components = mixture.components
        if type(components).own_statistics is Family.own_statistics:
            raise TypeError(
                f"stepwise EM needs a family whose M-step is made of sums, and that defines "
                f"own_statistics, such as mixjax.Gaussian; not {type(components).__name__}"
            )
        checks.reg_covar(reg_covar, mixture.n_features)
        if reg_covar is None:
            reg_covar = 1e-6 * _variance(mixture)
        dtype = mixture.log_weights.dtype
        reg = jnp.broadcast_to(jnp.asarray(reg_covar, dtype), (mixture.n_features,))
        return cls(mixture, components, reg)


def update(
    state: Stepwise, x: ArrayLike, step_size: ArrayLike, *, weights: ArrayLike | None = None
) -> Stepwise:
    r"""One step of stepwise EM: $s \leftarrow (1-\gamma)s + \gamma\bar s(x)$, then the M-step.

    $\bar s$ is the mean of the sufficient statistics of a batch under the mixture so far.
    With $\gamma_t = t^{-0.6}$ it converges to a maximum of the likelihood; a constant
    $\gamma$ forgets old rows at that rate, and so follows a drift. Pure: use it under
    ``jit``, in a ``scan`` over batches, or under ``vmap`` for thousands of streams.

    Args:
      state: from `Stepwise.of`, or from the update before.
      x: (n, D) a batch of rows, float32 or float64; one row will do.
      step_size: $\gamma$, from 0 (nothing changes) to 1 (only this batch counts).
      weights: (n,) weight of each row; a batch in which none counts changes nothing.

    Returns:
      The next state. Rows that are not finite are left out, as if they had weight 0.

    Raises:
      TypeError: a state that is none; x is not floating.
      ValueError: x of another width, or a step_size that is not in [0, 1].

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
        raise TypeError(f"state must be what Stepwise.of gives, got {type(state).__name__}")
    x = checks.table(x)
    checks.width(x, state.mixture.n_features)
    row_weights = checks.row_weights(weights, x, may_all_be_zero=True)
    if jnp.shape(step_size) != ():
        raise ValueError(f"step_size must be a single number, got shape {jnp.shape(step_size)}")
    if checks.is_concrete(step_size) and not 0 <= float(np.asarray(step_size)) <= 1:
        raise ValueError(f"step_size must be between 0 and 1, got {step_size}")
    return _updated(state, x, row_weights, jnp.asarray(step_size, x.dtype))


@jax.jit
def _updated(state: Stepwise, x: Array, weights: Array | None, step_size: Array) -> Stepwise:
    old = state.unregularised
    rows = Table.of(x, weights, old.shape[0]).standardized(
        jnp.zeros_like(state.reg_covar), jnp.ones_like(state.reg_covar)
    )
    # The responsibilities are those of the mixture, the sums relative to the frame `old`.
    _, stats = e_step(state.mixture, rows, frame=old)
    empty = rows.total <= 0
    share = jnp.where(empty, 0, step_size / jnp.where(empty, 1, rows.total))
    kept = old.own_statistics(state.mixture.weights * jnp.where(empty, 1, 1 - step_size))
    blended = jax.tree.map(lambda a, b: a + share * b, kept, stats)
    components = old.from_statistics(blended, state.reg_covar)
    bare = old.from_statistics(blended, jnp.zeros_like(state.reg_covar))
    return Stepwise(Mixture(log_shares(blended.count), components), bare, state.reg_covar)


def _variance(mixture: Mixture) -> Array:
    """(D,) the variance of each feature under the whole mixture."""
    means, weights = mixture.components.means, mixture.weights[:, None]
    centre = jnp.sum(weights * means, axis=0)
    within = mixture.components.variances + (means - centre[None]) ** 2
    return jnp.sum(weights * within, axis=0)
