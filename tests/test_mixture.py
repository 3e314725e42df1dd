import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
from problems import central_difference, random_mixture

import mixjax


def test_log_prob_energy_and_responsibilities_agree(family, dtype, rng):
    mixture = random_mixture(family, rng, 3, 2, dtype)
    x = jnp.asarray(3 * rng.normal(size=(40, 2)), dtype)
    joint = np.asarray(mixture.components.log_prob(x)) + np.asarray(mixture.log_weights)
    expected = scipy.special.logsumexp(joint, axis=1)
    tol = 1e-5 if dtype == np.float32 else 1e-12
    np.testing.assert_allclose(mixjax.log_prob(mixture, x), expected, rtol=tol, atol=tol)
    np.testing.assert_allclose(mixjax.energy(mixture, x), -expected, rtol=tol, atol=tol)
    resp = mixjax.responsibilities(mixture, x)
    np.testing.assert_allclose(resp, np.exp(joint - expected[:, None]), rtol=1e-3, atol=tol)
    np.testing.assert_allclose(resp.sum(1), 1, rtol=1e-5)
    assert mixjax.energy(mixture, x).dtype == dtype


def test_many_rows_are_one_row_at_a_time(family, rng):
    """Enough rows for several blocks and a remainder."""
    mixture = random_mixture(family, rng, 3, 2, "float32")
    x = jnp.asarray(rng.normal(size=(20_011, 2)), "float32")
    energy = mixjax.energy(mixture, x)
    for i in (0, 8191, 8192, 20_010):
        np.testing.assert_allclose(energy[i], mixjax.energy(mixture, x[i : i + 1])[0], rtol=1e-5)


def test_permuting_components_changes_nothing_but_their_order(family, float64, rng):
    if family is mixjax.TiedGaussian:
        pytest.skip("its covariance has no component axis to permute")
    mixture = random_mixture(family, rng, 4, 3)
    order = rng.permutation(4)
    permuted = jax.tree.map(lambda leaf: leaf[order], mixture)
    x = jnp.asarray(rng.normal(size=(20, 3)))
    np.testing.assert_allclose(mixjax.energy(permuted, x), mixjax.energy(mixture, x), rtol=1e-12)
    resp = mixjax.responsibilities(mixture, x)
    np.testing.assert_allclose(mixjax.responsibilities(permuted, x), resp[:, order], rtol=1e-9)


def test_energy_gradient_agrees_with_finite_differences(family, float64, rng):
    mixture = random_mixture(family, rng, 3, 2)
    x = rng.normal(size=(5, 2))
    direction = rng.normal(size=(5, 2))

    def total(x):
        return mixjax.energy(mixture, jnp.asarray(x)).sum()

    exact = jnp.sum(jax.grad(total)(jnp.asarray(x)) * direction)
    np.testing.assert_allclose(exact, central_difference(total, x, direction), rtol=1e-5, atol=1e-7)


def test_the_gradient_goes_through_blocks(float64, rng):
    mixture = random_mixture(mixjax.Gaussian, rng, 3, 2)
    x = jnp.asarray(rng.normal(size=(20_000, 2)))
    gradient = jax.grad(lambda x: mixjax.energy(mixture, x).sum())(x)
    some = jax.grad(lambda x: mixjax.energy(mixture, x).sum())(x[-3:])
    np.testing.assert_allclose(gradient[-3:], some, rtol=1e-9)


def test_far_from_the_origin_float32_keeps_its_digits(family, rng):
    mixture = random_mixture(family, rng, 3, 2, "float32")
    shift = jnp.full(2, 4096.0)  # a power of two: the rows themselves lose little
    x = jnp.asarray(np.round(rng.normal(size=(50, 2)), 2), "float32")
    moved = mixjax.Mixture(mixture.log_weights, mixture.components.affine(jnp.ones(2), shift))
    difference = mixjax.energy(moved, x + shift[None]) - mixjax.energy(mixture, x)
    assert np.abs(difference).max() < 0.02


def test_sample_has_the_weights_and_the_density(family, rng):
    mixture = random_mixture(family, rng, 3, 2, "float32")
    x, labels = mixjax.sample(jax.random.key(0), mixture, 50_000)
    share = np.bincount(labels, minlength=3) / 50_000
    np.testing.assert_allclose(share, mixture.weights, atol=0.015)
    # Cross-entropy of the samples is minimal under the density they came from.
    other = random_mixture(family, rng, 3, 2, "float32")
    assert mixjax.energy(mixture, x).mean() < mixjax.energy(other, x).mean()


def test_covariance_penalty_is_the_sum_of_inverse_variances(family, float64, rng):
    mixture = random_mixture(family, rng, 3, 2)
    expected = (1 / np.asarray(mixture.components.variances)).sum()
    np.testing.assert_allclose(mixjax.covariance_penalty(mixture), expected)


def test_everything_works_under_jit_and_vmap(family, rng):
    mixtures = [random_mixture(family, rng, 3, 2, "float32") for _ in range(4)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *mixtures)
    xs = jnp.asarray(rng.normal(size=(4, 10, 2)), "float32")
    for f in (mixjax.energy, mixjax.log_prob, mixjax.responsibilities):
        together = jax.jit(jax.vmap(f))(stacked, xs)
        for i, mixture in enumerate(mixtures):
            np.testing.assert_allclose(together[i], f(mixture, xs[i]), rtol=1e-4, atol=1e-5)
    keys = jax.random.split(jax.random.key(0), 4)
    rows, labels = jax.vmap(lambda key, m: mixjax.sample(key, m, 7))(keys, stacked)
    assert rows.shape == (4, 7, 2)
    assert labels.shape == (4, 7)
    penalty = jax.vmap(mixjax.covariance_penalty)(stacked)
    np.testing.assert_allclose(penalty[1], mixjax.covariance_penalty(mixtures[1]), rtol=1e-5)
    assert stacked.n_features == 2
    assert stacked.n_components == 3
