"""An epoch: one compiled scan over shuffled batches that keeps the last good parameters."""

import functools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array, lax

from ..programs import BySize, jit, on_device
from ..pytrees import pytree
from .inputs import Inputs
from .losses import Objective, Terms, loss
from .model import DAGMM

# Rows used to find idle codes, at the start and after each epoch.
LOOKED_AT = 4096
# Numbers to fold into a key: these, then the numbers of the epochs.
BEFORE, AFTER = 0, 1


@pytree
class Run:
    """The state of a training: all that the next epoch needs.

    Attributes:
      model: the parameters, all finite.
      optimizer_state: the state of the optimizer.
      diverged: () whether the loss became NaN or infinite.
    """

    model: DAGMM
    optimizer_state: Any
    diverged: Array


def batches_of(key: Array, number: int, n_rows: int, batch_size: int) -> Array:
    """The rows of each batch, (B, batch size), for one key or (S, B, batch size) for S.

    NumPy draws them: JAX needs a third of an epoch to sort 200,000 random numbers.
    """
    n_batches = n_rows // batch_size

    def one(words: np.ndarray) -> np.ndarray:
        shuffled = np.random.default_rng([*words.tolist(), number]).permutation(n_rows)
        return shuffled[: n_batches * batch_size].reshape(n_batches, batch_size).astype(np.int32)

    words = np.asarray(jax.random.key_data(key))
    return on_device(one(words) if words.ndim == 1 else np.stack([one(row) for row in words]))


@functools.partial(jit, static_argnames="optimizer")
def begun(
    key: Array, model: DAGMM, *, x: Array, inputs: Inputs, optimizer: optax.GradientTransformation
) -> Run:
    """The model before the first epoch, with idle codes moved onto rows."""
    for_rows, for_codes = jax.random.split(jax.random.fold_in(key, BEFORE))
    model = _revived(model, for_rows, for_codes, x, inputs)
    with jax.numpy_dtype_promotion("standard"):
        optimizer_state = optimizer.init(model)
    return Run(model, optimizer_state, jnp.zeros((), bool))


def _epoch(
    key: Array,
    run: Run,
    number: Array,
    order: Array,
    *,
    x: Array,
    labels: Array | None,
    inputs: Inputs,
    objective: Objective,
    optimizer: optax.GradientTransformation,
) -> tuple[Run, Terms]:
    """One pass over batches (B, batch size) of rows, and the mean terms of the loss."""
    key = jax.random.fold_in(key, AFTER + 1 + number)
    for_noise, for_rows, for_codes = jax.random.split(key, 3)
    with_extra = optax.with_extra_args_support(optimizer)

    def update(
        carry: tuple[Run, DAGMM], batch: tuple[Array, Array]
    ) -> tuple[tuple[Run, DAGMM], Terms]:
        run, good = carry
        i, index = batch
        rows = inputs(x[index])
        flags = None if labels is None else labels[index]
        noise = jax.random.fold_in(for_noise, i)

        def total(model: DAGMM) -> tuple[Array, Terms]:
            terms = loss(model, rows, objective, key=noise, labels=flags)
            return terms.total, terms

        (value, terms), gradient = jax.value_and_grad(total, has_aux=True)(run.model)
        with jax.numpy_dtype_promotion("standard"):
            step, optimizer_state = with_extra.update(
                gradient, run.optimizer_state, run.model,
                value=value, grad=gradient, value_fn=lambda model: total(model)[0],
            )  # fmt: skip
            model = optax.apply_updates(run.model, step)
        sound = jnp.isfinite(value) & _all_finite(gradient) & ~run.diverged
        stay = Run(good, run.optimizer_state, jnp.ones((), bool))
        go = Run(model, optimizer_state, jnp.zeros((), bool))
        return (_where(sound, go, stay), _where(sound, run.model, good)), terms

    batches = (jnp.arange(order.shape[0]), order)
    (run, good), terms = lax.scan(update, (run, run.model), batches)
    model = _revived(run.model, for_rows, for_codes, x, inputs)
    sound = _all_finite(model) & ~run.diverged
    run = Run(_where(sound, model, good), run.optimizer_state, ~sound)
    return run, jax.tree.map(jnp.mean, terms)


epoch: BySize[tuple[Run, Terms]] = BySize(_epoch, static_argnames="optimizer")


def _revived(model: DAGMM, for_rows: Array, for_codes: Array, x: Array, inputs: Inputs) -> DAGMM:
    some = jax.random.randint(for_rows, (min(LOOKED_AT, x.shape[0]),), 0, x.shape[0])
    coder = model.autoencoder.revived(model.coder, inputs(x[some]), for_codes)
    return eqx.tree_at(lambda model: model.coder, model, coder)


def _all_finite(tree: Any) -> Array:
    finite = jax.tree.map(lambda leaf: jnp.all(jnp.isfinite(leaf)), tree)
    return functools.reduce(jnp.logical_and, jax.tree.leaves(finite))


def _where(condition: Array, a: Any, b: Any) -> Any:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), a, b)
