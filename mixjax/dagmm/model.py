"""The model: an autoencoder, its latent rows, and a network that assigns them."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .. import checks
from ..families.family import Family
from ..families.gaussian import Gaussian
from ..rows.origin import rounded
from .autoencoders.autoencoder import Autoencoder, squared_distance, whole_number
from .networks import Layers

# A row whose norm for each column is shorter than this counts as this long. Standardized rows near
# the mean are short, and a relative error would make the most common rows the strangest.
SMALLEST_NORM = 0.01


class Latent(NamedTuple):
    """The result of a model for N rows.

    Attributes:
      z: (N, L + 2) code, relative Euclidean error and cosine similarity.
      responsibilities: (N, K) of the estimation network; each row sums to 1.
      error: (N,) squared Euclidean error of the reconstruction.
      loss: (N,) the training loss of the autoencoder.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from mixjax import dagmm
      >>> latent = dagmm.DAGMM(jax.random.key(0), 5)(jnp.ones((3, 5)))
      >>> latent.z.shape, latent.responsibilities.shape
      ((3, 10), (3, 4))
    """

    z: Array
    responsibilities: Array
    error: Array
    loss: Array


class DAGMM(eqx.Module):
    r"""An autoencoder whose latent space is a mixture, as a pytree of its parameters.

    $z = [\text{code},\ \|x-x'\|/\|x\|,\ x\cdot x'/\|x\|\|x'\|]$ and
    $\gamma = \mathrm{softmax}(\mathrm{MLP}(z))$, from which `mixjax.m_step` makes the
    mixture. Norms below 0.01 √D count as 0.01 √D, so value and gradient are well behaved for
    rows near zero.

    Args:
      key: a typed random key.
      n_features: D, columns of the tables.
      autoencoder: `Autoencoder`, `VariationalAutoencoder`, `VectorQuantizedAutoencoder`
        or your own.
      n_components: K, components of the mixture in the latent space.
      family: the class of the components: `mixjax.Gaussian`, or `mixjax.MeanLaplace` for the
        published Laplacian form.
      estimation: widths of the estimation network's hidden layers (tanh).
      dropout: share of the last hidden layer of this network that is dropped in training.
      dtype: of the parameters; None for JAX's default float.

    Attributes:
      coder: the autoencoder's parameters.
      estimation: the estimation network.
      n_features, n_components: D and K.

    Raises:
      TypeError: the key is an old-style key, family is not a `Family`, or autoencoder is not an
        `Autoencoder`.
      ValueError: a width is not a whole number of at least 1, dropout is outside [0, 1), or
        dtype is not float32 or float64.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from mixjax import dagmm
      >>> model = dagmm.DAGMM(jax.random.key(0), 5, n_components=2)
      >>> model(jnp.zeros((1, 5))).z[0, -2:].tolist()
      [0.0, 0.0]

    Source: Zong et al., Deep Autoencoding Gaussian Mixture Model (2018), equations 1-4.
    """

    coder: Any
    estimation: Layers
    autoencoder: Autoencoder = eqx.field(static=True)
    family: type[Family] = eqx.field(static=True)
    n_features: int = eqx.field(static=True)
    n_components: int = eqx.field(static=True)

    def __init__(
        self,
        key: Array,
        n_features: int,
        *,
        autoencoder: Autoencoder = Autoencoder(),  # noqa: B008 - frozen
        n_components: int = 4,
        family: type[Family] = Gaussian,
        estimation: tuple[int, ...] = (10,),
        dropout: float = 0.5,
        dtype: Any = None,
    ):
        if not isinstance(autoencoder, Autoencoder):
            raise TypeError(
                "autoencoder must be a value such as dagmm.Autoencoder(latent=8), "
                f"got {autoencoder!r}"
            )
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must be at least 0 and below 1, got {dropout!r}")
        if dtype is not None and np.dtype(dtype) not in (np.float32, np.float64):
            raise ValueError(f"dtype must be float32, float64 or None, got {dtype!r}")
        n_features = whole_number("n_features", n_features)
        n_components = whole_number("n_components", n_components)
        hidden = [whole_number("estimation", width) for width in estimation]
        for_coder, for_estimation = jax.random.split(checks.key(key))
        self.coder = autoencoder.init(for_coder, n_features, dtype)
        self.estimation = Layers(
            for_estimation,
            (autoencoder.latent + 2, *hidden, n_components),
            dropout=float(dropout),
            dtype=dtype,
        )
        self.autoencoder = autoencoder
        self.family = checks.family_of_numbers(family, "DAGMM")
        self.n_features = n_features
        self.n_components = n_components

    @property
    def dtype(self) -> Any:
        """The floating type of the parameters."""
        return self.estimation.linear[0].weight.dtype

    def __call__(self, x: Array, key: Array | None = None) -> Latent:
        """The latent rows of x (N, D); without a key there is no dropout and no random code."""
        for_code, for_dropout = (None, None) if key is None else jax.random.split(key)
        encoded = self.autoencoder(self.coder, x, for_code)
        z = latent_rows(x, encoded.code, encoded.reconstruction)
        resp = jax.nn.softmax(self.estimation(z, for_dropout), axis=1)
        return Latent(z, resp, squared_distance(x, encoded.reconstruction), encoded.loss)


def latent_rows(x: Array, code: Array, reconstruction: Array) -> Array:
    """Code, relative Euclidean error and cosine similarity, side by side: (N, L + 2)."""
    shortest = SMALLEST_NORM * x.shape[1] ** 0.5
    size = jnp.maximum(_norm(x), shortest)
    size_back = jnp.maximum(_norm(reconstruction), shortest)
    relative = _norm(x - reconstruction) / size
    cosine = jnp.sum(x * reconstruction, axis=1) / (size * size_back)
    return jnp.concatenate([code, relative[:, None], cosine[:, None]], axis=1)


def _norm(x: Array) -> Array:
    """Euclidean norm (N,) of rows; its gradient is zero at zero."""
    squares = jnp.sum(x * x, axis=1)
    return jnp.where(squares > 0, jnp.sqrt(jnp.where(squares > 0, squares, 1)), 0)


def n_parameters(model: DAGMM) -> int:
    """The number of parameters of the networks."""
    return sum(leaf.size for leaf in jax.tree.leaves(model))


def of_model(model: DAGMM, x: Any) -> Array:
    """A table with the width of the model, in its dtype."""
    table = rounded(checks.rows(x))
    if table.shape[1] != model.n_features:
        raise ValueError(
            f"x has {table.shape[1]} columns, but the model was made for {model.n_features}: "
            f"pass those columns, or make the model with n_features={table.shape[1]}"
        )
    return table.astype(model.dtype)
