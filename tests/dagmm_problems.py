"""Tables and models to test DAGMM on; small, and of few shapes, since most of a test is compiling."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

import mixjax
from mixjax import dagmm

N, D, BATCH = 400, 6, 100
KEY = jax.random.key(0)
AUTOENCODERS = [
    dagmm.Autoencoder(hidden=(5,), latent=2),
    dagmm.VariationalAutoencoder(hidden=(5,), latent=2),
    dagmm.VectorQuantizedAutoencoder(hidden=(5,), latent=2, n_codes=32),
]


def rows(rng, n=N, dtype="float32"):
    """Rows near a plane, in units of which every column has its own."""
    x = rng.normal(size=(n, 2)) @ rng.normal(size=(2, D)) + 0.3 * rng.normal(size=(n, D))
    return (x * 10.0 ** np.arange(-3, D - 3) + 7).astype(dtype)


def model_of(autoencoder, key=KEY, family=mixjax.Gaussian, dtype=None):
    return dagmm.DAGMM(
        key, D, autoencoder=autoencoder, n_components=2, family=family, estimation=(4,), dtype=dtype
    )


def quick_train(model, x, key=KEY, **options):
    """Two epochs of four batches, without a bar or a refit."""
    quick = {"epochs": 2, "batch_size": BATCH, "progress": False, "refit": None}
    return dagmm.train(key, model, x, **{**quick, **options})


@functools.cache
def trained(autoencoder):
    """One trained model of each autoencoder and the rows it saw, shared by the tests."""
    x = rows(np.random.default_rng(5))
    return quick_train(model_of(autoencoder), x, refit=dagmm.Refit()), x


def leaves_finite(tree):
    return all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(tree))


def scaled_latents(result, x):
    """What the model makes of rows, computed here in one piece."""
    return result.model(result.inputs(jnp.asarray(x)))
