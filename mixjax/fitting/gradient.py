"""Fitting by gradient: any optax optimizer on the unconstrained parameters."""

from typing import Any, NamedTuple, Self

import jax
import jax.numpy as jnp
import optax
from jax import Array, lax

from .. import checks
from ..mixture.mixture import Mixture, joint_log_prob
from ..pytrees import pytree, static
from ..rows.blocks import Rows
from ..rows.scaling import Scale
from ..rows.subsample import scrambled
from .frozen import held_constant

Leaves = tuple[Array, Any]


@pytree
class GradientState:
    """The mixture, its mean energy over all rows, and the state of the optimizer."""

    mixture: Mixture
    energy: Array
    leaves: Leaves
    optimizer_state: Any


@pytree
class Gradient:
    """Minimize the mean energy with an optax optimizer; an iteration is one pass over the rows.

    The weights are the softmax of unconstrained numbers; the family maps unconstrained leaves
    to components. With ``batch_size`` a pass takes one step for each minibatch. Every row of
    positive weight is in one minibatch, and successive rows are in different ones, so a sorted
    table or sensors that take turns do no harm. The minibatches are the same in every pass.
    After each pass the energy of all rows is computed.

    Attributes:
      optimizer: an `optax.GradientTransformation`; `optax.lbfgs` works as well. Build
        it once: a new object compiles again.
      batch_size: rows in a minibatch; None for all rows.
      frozen: names of parameters that stay as those of the given mixture; see `EM`.

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
    frozen: tuple[str, ...] = static(default=())

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
        """One pass over the rows, then the energy of the resulting mixture."""
        family = type(state.mixture.components)
        optimizer = optax.with_extra_args_support(self.optimizer)

        def mixture_of(leaves: Leaves) -> Mixture:
            found = Mixture(jax.nn.log_softmax(leaves[0]), family.constrain(leaves[1]))
            return held_constant(found, state.mixture, self.frozen)

        def update(carry: tuple[Leaves, Any], batch: Rows) -> tuple[Leaves, Any]:
            leaves, optimizer_state = carry

            def loss(leaves: Leaves) -> Array:
                return _mean_energy(mixture_of(leaves), batch)

            value, gradient = jax.value_and_grad(loss)(leaves)
            # Adam's bias correction raises a float to an int32, which strict promotion forbids.
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
            dealt = Minibatches.of(rows, size)
            leaves, optimizer_state = lax.fori_loop(
                jnp.int32(0), dealt.n_batches, lambda i, carry: update(carry, dealt.batch(i)), carry
            )
        mixture = mixture_of(leaves)
        return GradientState(mixture, _mean_energy(mixture, rows), leaves, optimizer_state)


def _mean_energy(mixture: Mixture, rows: Rows) -> Array:
    def block(x: Array, weights: Array, index: Array) -> Array:
        joint = joint_log_prob(mixture, x.T)
        return -jnp.sum(weights * jax.nn.logsumexp(joint, axis=0))

    return rows.sum(block) / rows.total


class Minibatches(NamedTuple):
    """Minibatches of the rows of positive weight; each row is in one of them.

    Of B successive rows each of the B minibatches gets one, in an order that changes from one
    run of B rows to the next. So the minibatches are alike also for a sorted table and for
    sensors that take turns. The order comes from a hash and is always the same.

    Attributes:
      rows: the table.
      size: the largest number of rows in a minibatch.
      place: (N,) positions of the rows of positive weight, in order; then zeros.
      n_present: () the number of these rows.
    """

    rows: Rows
    size: int
    place: Array
    n_present: Array

    @classmethod
    def of(cls, rows: Rows, size: int) -> Self:
        """The minibatches of a table; none is empty."""
        present = rows.weights.reshape(-1) > 0
        steps = jnp.arange(present.size, dtype=jnp.int32)
        rank = jnp.where(present, jnp.cumsum(present.astype(jnp.int32)) - 1, present.size)
        place = jnp.zeros_like(steps).at[rank].set(steps, mode="drop")
        return cls(rows, size, place, jnp.sum(present.astype(jnp.int32)))

    @property
    def n_batches(self) -> Array:
        """() the number of minibatches."""
        return (self.n_present + self.size - 1) // self.size

    def batch(self, i: Array) -> Rows:
        """The i-th minibatch as one block; missing rows have weight zero."""
        n_batches = jnp.maximum(self.n_batches, 1)
        stratum = jnp.arange(self.size, dtype=jnp.int32)
        # The i-th row of each stratum, counted from a random offset.
        turn = (scrambled(stratum.astype(jnp.uint32)) % n_batches.astype(jnp.uint32)).astype(
            jnp.int32
        )
        rank = stratum * n_batches + (i + turn) % n_batches
        place = self.place[jnp.minimum(rank, self.place.size - 1)]
        block, within = jnp.divmod(place, self.rows.weights.shape[1])
        weights = jnp.where(rank < self.n_present, self.rows.weights[block, within], 0)
        x = self.rows.x[block, :, within].T
        start = jnp.zeros((1,), self.rows.start.dtype)
        return Rows(x[None], weights[None], start, jnp.sum(weights), self.rows.nonfinite)
