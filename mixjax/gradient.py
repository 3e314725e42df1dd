"""Fitting by gradient: any optax optimiser on the unconstrained parameters."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import Array, lax

from . import checks
from .mixture import Mixture, joint_log_prob
from .pytree import pytree, static
from .rows import Rows
from .scaling import Scale

Leaves = tuple[Array, Any]


@pytree
class GradientState:
    """The mixture, its mean energy over all rows, and the optimiser's own state."""

    mixture: Mixture
    energy: Array
    leaves: Leaves
    optimizer_state: Any


@pytree
class Gradient:
    """Descend the mean energy with an optax optimiser; an iteration is one pass.

    The weights are the softmax of their leaf, the components what their family makes of
    unconstrained leaves. With ``batch_size`` a pass takes one step a minibatch; the
    minibatches are strides through the table, so a sorted table does no harm and there
    is nothing random. After each pass the energy of all rows is taken.

    Attributes:
      optimizer: an `optax.GradientTransformation`; `optax.lbfgs` works as well. Build
        it once: another object is another compilation.
      batch_size: rows in a minibatch; None for all of them.

    Example:
      >>> import optax, mixjax
      >>> solver = mixjax.Gradient(optax.adam(1e-2), batch_size=4096)
      >>> solver.batch_size
      4096

    Source: Hosseini and Sra, An Alternative to EM for Gaussian Mixture Models (2020), for
    gradient fits; the parameters here are log-diagonal Cholesky factors.
    """

    optimizer: optax.GradientTransformation = static()
    batch_size: int | None = static(default=None)

    def init(self, mixture: Mixture, rows: Rows, scale: Scale) -> GradientState:
        """The state before the first pass."""
        checks.optimizer(self.optimizer)
        if self.batch_size is not None:
            checks.count(self.batch_size, "batch_size")
        leaves = (mixture.log_weights, mixture.components.unconstrain())
        with jax.numpy_dtype_promotion("standard"):
            optimizer_state = self.optimizer.init(leaves)
        return GradientState(mixture, _mean_energy(mixture, rows), leaves, optimizer_state)

    def step(self, state: GradientState, rows: Rows, scale: Scale) -> GradientState:
        """One pass over the rows, then the energy of the mixture it ended with."""
        family = type(state.mixture.components)
        optimizer = optax.with_extra_args_support(self.optimizer)

        def mixture_of(leaves: Leaves) -> Mixture:
            return Mixture(jax.nn.log_softmax(leaves[0]), family.constrain(leaves[1]))

        def update(carry: tuple[Leaves, Any], batch: Rows) -> tuple[Leaves, Any]:
            leaves, optimizer_state = carry

            def loss(leaves: Leaves) -> Array:
                return _mean_energy(mixture_of(leaves), batch)

            value, gradient = jax.value_and_grad(loss)(leaves)
            # Adam's bias correction raises a float to an int32, which strict promotion bars.
            with jax.numpy_dtype_promotion("standard"):
                step, optimizer_state = optimizer.update(
                    gradient, optimizer_state, leaves,
                    value=value, grad=gradient, value_fn=loss,
                )  # fmt: skip
                leaves = optax.apply_updates(leaves, step)
            return leaves, optimizer_state

        carry = (state.leaves, state.optimizer_state)
        size = self.batch_size
        if size is None or size >= rows.weights.size:
            leaves, optimizer_state = update(carry, rows)
        else:
            leaves, optimizer_state = lax.fori_loop(
                0,
                _n_batches(rows, size),
                lambda i, carry: update(carry, _minibatch(rows, size, i)),
                carry,
            )
        mixture = mixture_of(leaves)
        return GradientState(mixture, _mean_energy(mixture, rows), leaves, optimizer_state)


def _mean_energy(mixture: Mixture, rows: Rows) -> Array:
    def block(x: Array, weights: Array, index: Array) -> Array:
        joint = joint_log_prob(mixture, x.T)
        return -jnp.sum(weights * jax.nn.logsumexp(joint, axis=0))

    return rows.sum(block) / rows.total


def _n_batches(rows: Rows, batch_size: int) -> int:
    return -(-rows.weights.size // batch_size)


def _minibatch(rows: Rows, batch_size: int, i: Array) -> Rows:
    """Every n-th row from the i-th on, as one block."""
    n_rows, length = rows.weights.size, rows.weights.shape[1]
    n_batches = _n_batches(rows, batch_size)
    place = i + jnp.arange(-(-n_rows // n_batches)) * n_batches
    block, within = jnp.divmod(jnp.minimum(place, n_rows - 1), length)
    weights = jnp.where(place < n_rows, rows.weights[block, within], 0)
    x = rows.x[block, :, within].T
    start = jnp.zeros((1,), rows.start.dtype)
    return Rows(x[None], weights[None], start, jnp.sum(weights), rows.nonfinite)
