"""Nothing of the size of the rows times a matrix is made: temporaries are a few times the result."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from problems import random_mixture

import mixjax


def bytes_of(f, *arguments):
    """Of the result and of the temporaries of f."""
    memory = jax.jit(f).lower(*arguments).compile().memory_analysis()
    return memory.output_size_in_bytes, memory.temp_size_in_bytes


def test_sampling_takes_a_few_times_the_rows(family):
    mixture = random_mixture(family, np.random.default_rng(0), 4, 32, "float32")
    rows, temporary = bytes_of(lambda key: mixjax.sample(key, mixture, 50_000), jax.random.key(0))
    assert temporary < 5 * rows  # a matrix for each row: 32 times


def test_samples_in_blocks_are_those_of_one_piece():
    mixture = random_mixture(mixjax.Gaussian, np.random.default_rng(0), 4, 32, "float32")
    key = jax.random.key(1)
    x, labels = jax.jit(lambda key: mixjax.sample(key, mixture, 5_001))(key)
    noise = jax.random.normal(jax.random.split(key)[1], (5_001, 32))
    lower = np.linalg.inv(np.asarray(mixture.components.factors))[labels]
    expected = np.asarray(mixture.components.means)[labels] + np.einsum("nij,nj->ni", lower, noise)
    np.testing.assert_allclose(x, expected, atol=1e-3)
    several = jax.vmap(lambda key: mixjax.sample(key, mixture, 5_001)[0])(key[None])
    np.testing.assert_allclose(several[0], x, atol=1e-3)


@pytest.mark.parametrize("kind", [mixjax.Gaussian, mixjax.DiagonalGaussian])
def test_predictions_take_a_few_times_the_result(kind):
    mixture = random_mixture(kind, np.random.default_rng(0), 16, 12, "float32")
    x = jnp.zeros((30_000, 4))
    result, temporary = bytes_of(lambda x: mixjax.predict(mixture, range(4), x), x)
    assert temporary < 3 * result


def test_questions_about_rows_take_less_than_components_times_rows(family):
    mixture = random_mixture(family, np.random.default_rng(0), 64, 8, "float32")
    x = jnp.zeros((200_000, 8))
    together = 64 * x.shape[0] * 4
    for f in (mixjax.energy, mixjax.surprisal, mixjax.feature_importance):
        _, temporary = bytes_of(lambda x, f=f: f(mixture, x), x)
        assert temporary < together
