"""Fully connected layers, for all networks of a DAGMM."""

import itertools
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array


class Layers(eqx.Module):
    """Linear layers with tanh between them, applied to tables of rows.

    Attributes:
      linear: the layers, first to last.
      dropout: share of the last hidden units that is dropped in training.
    """

    linear: tuple[eqx.nn.Linear, ...]
    dropout: float = eqx.field(static=True)

    def __init__(
        self, key: Array, widths: Sequence[int], *, dropout: float = 0.0, dtype: Any = None
    ):
        keys = jax.random.split(key, len(widths) - 1)
        pairs = itertools.pairwise(widths)
        self.linear = tuple(
            glorot(key, m, n, dtype) for key, (m, n) in zip(keys, pairs, strict=True)
        )
        self.dropout = dropout

    def __call__(self, x: Array, key: Array | None = None) -> Array:
        """From (N, first width) to (N, last width); with a key, units drop out."""
        for layer in self.linear[:-1]:
            x = jnp.tanh(jax.vmap(layer)(x))
        if key is not None and self.dropout > 0 and len(self.linear) > 1:
            x = eqx.nn.Dropout(self.dropout)(x, key=key)
        return jax.vmap(self.linear[-1])(x)


def glorot(key: Array, n_in: int, n_out: int, dtype: Any) -> eqx.nn.Linear:
    """A layer with Glorot weights for tanh and biases of zero."""
    # Its shape alone: what it draws by itself would be thrown away.
    layer = eqx.filter_eval_shape(eqx.nn.Linear, n_in, n_out, dtype=dtype, key=key)
    weight = jax.nn.initializers.glorot_uniform()(key, (n_out, n_in), layer.weight.dtype)
    bias = jnp.zeros(n_out, weight.dtype)
    return eqx.tree_at(lambda layer: (layer.weight, layer.bias), layer, (weight, bias))
