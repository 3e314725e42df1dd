"""The vector-quantized autoencoder."""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array, lax

from .autoencoder import Autoencoder, Coder, Encoded, squared_distance, whole_number


class QuantizedCoder(eqx.Module):
    """The parameters: encoder and decoder, and the codes (C, L) between them."""

    coder: Coder
    codes: Array


@dataclasses.dataclass(frozen=True)
class VectorQuantizedAutoencoder(Autoencoder):
    r"""A code rounded to the nearest vector of a codebook, with straight-through gradients.

    $\|x-x'\|^2 + \|\mathrm{sg}[z_e]-e\|^2 + \beta\|z_e-\mathrm{sg}[e]\|^2$, with $z_e$ the
    encoder's output, e the nearest code, and sg the stop-gradient. Once an epoch, codes that no
    row chose are moved onto rows.

    Attributes:
      hidden: widths of the encoder's hidden layers (tanh); the decoder mirrors them.
      latent: L, the width of the code.
      n_codes: C, the number of codes.
      commitment: $\beta$, how strongly the encoder is pulled toward the codes.

    Raises:
      ValueError: a width or the number of codes is not a whole number of at least 1, or
        commitment is negative.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from mixjax import dagmm
      >>> autoencoder = dagmm.VectorQuantizedAutoencoder(hidden=(4,), latent=2, n_codes=3)
      >>> params = autoencoder.init(jax.random.key(0), 5)
      >>> code = autoencoder(params, jax.random.normal(jax.random.key(1), (99, 5))).code
      >>> len(set(code[:, 0].round(3).tolist())) <= 3
      True

    Source: van den Oord et al., Neural Discrete Representation Learning (2017), equation 3.
    """

    n_codes: int = 256
    commitment: float = 0.25

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "n_codes", whole_number("n_codes", self.n_codes))
        if not self.commitment >= 0:
            raise ValueError(f"commitment must not be negative, got {self.commitment!r}")
        object.__setattr__(self, "commitment", float(self.commitment))

    def init(self, key: Array, n_features: int, dtype: Any = None) -> Any:
        """Parameters for tables of n_features columns."""
        for_coder, for_codes = jax.random.split(key)
        coder = self._coder(for_coder, n_features, self.latent, dtype)
        dtype = coder.encoder.linear[0].weight.dtype
        codes = jax.random.normal(for_codes, (self.n_codes, self.latent), dtype)
        return QuantizedCoder(coder, codes)

    def __call__(self, params: Any, x: Array, key: Array | None = None) -> Encoded:
        """Encode, round and decode rows (N, D)."""
        encoded = params.coder.encoder(x)
        nearest = params.codes[nearest_code(params.codes, encoded)]
        # Forward the code; the gradient goes to the encoder as if there were no rounding.
        code = encoded + lax.stop_gradient(nearest - encoded)
        reconstruction = params.coder.decoder(code)
        book = squared_distance(lax.stop_gradient(encoded), nearest)
        commitment = squared_distance(encoded, lax.stop_gradient(nearest))
        loss = squared_distance(x, reconstruction) + book + self.commitment * commitment
        return Encoded(code, reconstruction, loss)

    def revived(self, params: Any, x: Array, key: Array) -> Any:
        """Move codes that none of the rows x (N, D) chose onto some of these rows."""
        encoded = params.coder.encoder(x)
        used = jnp.zeros(self.n_codes, bool).at[nearest_code(params.codes, encoded)].set(True)
        rows = jax.random.randint(key, (self.n_codes,), 0, x.shape[0])
        codes = jnp.where(used[:, None], params.codes, encoded[rows])
        return QuantizedCoder(params.coder, codes)


def nearest_code(codes: Array, encoded: Array) -> Array:
    """The position (N,) of the code (C, L) nearest to each row (N, L)."""
    return jnp.argmin(jnp.sum((encoded[:, None] - codes[None]) ** 2, axis=2), axis=1)
