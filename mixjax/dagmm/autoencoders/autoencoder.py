"""The plain autoencoder, the base of the others."""

import dataclasses
import numbers
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array

from ..networks import Layers


class Encoded(NamedTuple):
    """The result of an autoencoder for N rows.

    Attributes:
      code: (N, L) the latent code.
      reconstruction: (N, D) the reconstructed rows.
      loss: (N,) the training loss of the autoencoder.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from mixjax import dagmm
      >>> autoencoder = dagmm.Autoencoder(hidden=(4,), latent=2)
      >>> encoded = autoencoder(autoencoder.init(jax.random.key(0), 5), jnp.ones((3, 5)))
      >>> encoded.code.shape, encoded.reconstruction.shape, encoded.loss.shape
      ((3, 2), (3, 5), (3,))
    """

    code: Array
    reconstruction: Array
    loss: Array


class Coder(eqx.Module):
    """The parameters of an autoencoder: an encoder and its mirror."""

    encoder: Layers
    decoder: Layers


@dataclasses.dataclass(frozen=True)
class Autoencoder:
    r"""Compresses rows to a code and reconstructs them; minimizes $\|x - x'\|^2$.

    This is a value, not a network: `init` makes the parameters, and a call applies them. To write
    your own autoencoder, make a subclass that overrides both.

    Attributes:
      hidden: widths of the encoder's hidden layers (tanh); the decoder mirrors them.
      latent: L, the width of the code.

    Raises:
      ValueError: a width is not a whole number of at least 1.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from mixjax import dagmm
      >>> autoencoder = dagmm.Autoencoder(hidden=(4,), latent=2)
      >>> params = autoencoder.init(jax.random.key(0), 5)
      >>> autoencoder(params, jnp.ones((3, 5))).code.shape
      (3, 2)

    Source: Zong et al., Deep Autoencoding Gaussian Mixture Model (2018), section 3.2.
    """

    hidden: tuple[int, ...] = (60, 30, 10)
    latent: int = 8

    def __post_init__(self) -> None:
        # Plain Python numbers, because they are compared, hashed and written to files.
        hidden = tuple(whole_number("hidden", width) for width in self.hidden)
        object.__setattr__(self, "hidden", hidden)
        object.__setattr__(self, "latent", whole_number("latent", self.latent))

    def init(self, key: Array, n_features: int, dtype: Any = None) -> Any:
        """Parameters for tables of n_features columns."""
        return self._coder(key, n_features, self.latent, dtype)

    def __call__(self, params: Any, x: Array, key: Array | None = None) -> Encoded:
        """Encode and decode rows (N, D); deterministic without a key."""
        code = params.encoder(x)
        reconstruction = params.decoder(code)
        return Encoded(code, reconstruction, squared_distance(x, reconstruction))

    def revived(self, params: Any, x: Array, key: Array) -> Any:
        """The parameters with idle parts moved onto the rows x (N, D); called once an epoch."""
        return params

    def _coder(self, key: Array, n_features: int, n_out: int, dtype: Any) -> Coder:
        for_encoder, for_decoder = jax.random.split(key)
        encoder = Layers(for_encoder, (n_features, *self.hidden, n_out), dtype=dtype)
        mirror = (self.latent, *self.hidden[::-1], n_features)
        return Coder(encoder, Layers(for_decoder, mirror, dtype=dtype))


def whole_number(name: str, value: Any) -> int:
    """The value as a Python int; `ValueError` unless it is a whole number of at least 1."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 1:
        raise ValueError(f"{name} must be whole numbers of at least 1, got {value!r}")
    return int(value)


def squared_distance(a: Array, b: Array) -> Array:
    """Squared Euclidean distance (N,) between rows (N, D)."""
    return jnp.sum((a - b) ** 2, axis=1)
