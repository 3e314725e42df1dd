"""The variational autoencoder."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from .autoencoder import Autoencoder, Encoded, squared_distance


@dataclasses.dataclass(frozen=True)
class VariationalAutoencoder(Autoencoder):
    r"""An encoder with a mean and a log-variance head; minimizes the negative ELBO.

    $\|x - x'\|^2 + 2\sigma^2\,\mathrm{KL}(N(m, e^v)\,\|\,N(0, 1))$ with
    $\mathrm{KL} = \tfrac12\sum_l m_l^2 + e^{v_l} - 1 - v_l$: the negative ELBO of a
    decoder with noise $\sigma$, times $2\sigma^2$ and minus a constant, so that it has the
    units of the plain autoencoder's loss. In training the code is drawn as
    $m + e^{v/2}\epsilon$; otherwise it is the mean m.

    Attributes:
      hidden: widths of the encoder's hidden layers (tanh); the decoder mirrors them.
      latent: L, the width of the code.
      noise: $\sigma$, standard deviation of the decoder in units of the (scaled)
        columns. With 1 the divergence outweighs the information of most columns, and the
        code collapses onto its prior.

    Raises:
      ValueError: a width is not a whole number of at least 1, or noise is not positive.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from mixjax import dagmm
      >>> autoencoder = dagmm.VariationalAutoencoder(hidden=(4,), latent=2)
      >>> params = autoencoder.init(jax.random.key(0), 5)
      >>> one, two = (autoencoder(params, jnp.ones((3, 5)), jax.random.key(i)) for i in (1, 2))
      >>> bool((one.code != two.code).all())
      True

    Source: Kingma and Welling, Auto-Encoding Variational Bayes (2014), equation 10.
    """

    noise: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.noise > 0:
            raise ValueError(f"noise must be a positive number, got {self.noise!r}")
        object.__setattr__(self, "noise", float(self.noise))

    def init(self, key: Array, n_features: int, dtype: Any = None) -> Any:
        """Parameters for tables of n_features columns."""
        return self._coder(key, n_features, 2 * self.latent, dtype)

    def __call__(self, params: Any, x: Array, key: Array | None = None) -> Encoded:
        """Encode and decode rows (N, D); with a key the code is drawn."""
        mean, log_variance = jnp.split(params.encoder(x), 2, axis=1)
        code = mean
        if key is not None:
            code = mean + jnp.exp(0.5 * log_variance) * jax.random.normal(key, mean.shape, x.dtype)
        reconstruction = params.decoder(code)
        divergence = 0.5 * jnp.sum(mean**2 + jnp.exp(log_variance) - 1 - log_variance, axis=1)
        loss = squared_distance(x, reconstruction) + 2 * self.noise**2 * divergence
        return Encoded(code, reconstruction, loss)
