"""Fully connected layers, for all networks of a DAGMM."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ..programs import on_device
from ..rows.executor import executor_of
from ..rows.subsample import seeds_of, uniform_at


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
        pairs = itertools.pairwise(widths)
        seeds = seeds_of(key, len(widths) - 1)
        self.linear = tuple(
            glorot(seed, m, n, dtype) for seed, (m, n) in zip(seeds, pairs, strict=True)
        )
        self.dropout = dropout

    def __call__(self, x: Array, key: Array | None = None) -> Array:
        """From (N, first width) to (N, last width); with a key, units drop out."""
        for layer in self.linear[:-1]:
            x = jnp.tanh(jax.vmap(layer)(x))
        if key is not None and self.dropout > 0 and len(self.linear) > 1:
            x = eqx.nn.Dropout(self.dropout)(x, key=key)
        return jax.vmap(self.linear[-1])(x)


def glorot(seed: Any, n_in: int, n_out: int, dtype: Any) -> eqx.nn.Linear:
    """A layer with Glorot weights for tanh and biases of zero.

    Source: Glorot and Bengio, Understanding the difficulty of training deep feedforward neural
    networks (2010), equation 16.
    """
    # Its shape alone: what it draws by itself would be thrown away.
    key = jax.eval_shape(lambda: jax.random.key(0))
    layer = eqx.filter_eval_shape(eqx.nn.Linear, n_in, n_out, dtype=dtype, key=key)
    xp = executor_of(seed).xp
    drawn = uniform_at(xp.arange(n_out * n_in, dtype=np.uint32), seed, xp).reshape(n_out, n_in)
    weight = (2 * drawn - 1) * np.float32(math.sqrt(6 / (n_in + n_out)))
    weight, bias = (
        on_device(values.astype(layer.weight.dtype)) for values in (weight, xp.zeros(n_out))
    )
    return eqx.tree_at(lambda layer: (layer.weight, layer.bias), layer, (weight, bias))
