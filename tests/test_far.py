"""Rows so far away that squares of their distances are no floats."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from problems import random_mixture

import mixjax
from mixjax.mixture.far import settled

FAR = [1e20, 9.96921e36, 3e38]


def far_rows(value):
    """Each row far in one column, then in all, then in two of which the last is farther."""
    x = np.full((5, 3), 0.5, np.float32)
    x[[0, 1, 2], [0, 1, 2]] = value, -value, value
    x[3] = value
    x[4, 1:] = 1e-3 * value, -value
    return x


@pytest.mark.parametrize("value", FAR)
def test_energies_are_infinite_and_responsibilities_of_sum_1(family, value):
    mixture = random_mixture(family, np.random.default_rng(0), 3, 3, "float32")
    x = jnp.asarray(np.concatenate([far_rows(value), [[np.nan, 0, 0], [np.inf, 0, 0]]]), "float32")
    resp = mixjax.responsibilities(mixture, x)
    known = np.array([0, 1, 2, 3, 4, 6])
    np.testing.assert_allclose(resp[known].sum(1), 1, rtol=1e-5)
    assert np.isnan(resp[5]).all()
    energy = np.asarray(mixjax.energy(mixture, x))
    assert np.isnan(energy[5])
    assert (energy[known] > 1e19).all()
    assert not np.isneginf(energy).any()
    if value < 1e30:
        weight = jnp.arange(3, dtype="float32")[None]
        for f in (mixjax.energy, lambda m, x: mixjax.responsibilities(m, x) * weight):
            gradients = jax.grad(lambda m, x, f=f: f(m, x).sum(), argnums=(0, 1))(mixture, x[:5])
            for leaf in jax.tree.leaves(gradients):
                assert not np.isnan(leaf).any()


@pytest.mark.parametrize("k", [3, 4])
def test_nan_stays_nan_for_any_number_of_components(family, k):
    """The maximum of four NaN is -inf in jaxlib 0.10.2."""
    mixture = random_mixture(family, np.random.default_rng(0), k, 2, "float32")
    x = jnp.asarray(np.random.default_rng(1).normal(size=(40, 2)), "float32").at[7, 1].set(jnp.nan)
    for ask in (mixjax.responsibilities, mixjax.energy, mixjax.surprisal):
        for answers in (ask(mixture, x), jax.jit(ask)(mixture, x)):
            lost = np.isnan(np.asarray(answers)).reshape(40, -1)
            assert lost[7].all()
            assert not np.delete(lost, 7, axis=0).any()


def test_a_far_row_belongs_to_the_nearest_component(family):
    """Of two alike the one on its side; of two at one place the wider."""
    mixture = random_mixture(family, np.random.default_rng(0), 2, 2, "float32")
    width = 0.5 * jnp.ones_like(jax.tree.leaves(mixture)[2])
    if family in (mixjax.Gaussian, mixjax.TiedGaussian):
        width = jnp.broadcast_to(2 * jnp.eye(2), width.shape)
    sides = mixjax.Mixture(
        jnp.log(jnp.array([0.9, 0.1])), family(jnp.array([[-5.0, 0], [5, 0]]), width)
    )
    x = jnp.array([[1e20, 0], [-3e38, 1e19], [1e25, 1e25]])
    np.testing.assert_allclose(
        mixjax.responsibilities(sides, x), [[0, 1], [1, 0], [0, 1]], atol=1e-5
    )
    if family is mixjax.TiedGaussian:
        return
    wider = width * jnp.array([1, 2.0]).reshape(-1, *[1] * (width.ndim - 1))
    nested = mixjax.Mixture(sides.log_weights, family(jnp.zeros((2, 2)), wider))
    widest = 0 if family is mixjax.Gaussian else 1
    assert (mixjax.responsibilities(nested, x).argmax(1) == widest).all()


def test_rows_without_any_probability_go_by_the_weights():
    log_weights = jnp.log(jnp.array([0.2, 0.3, 0.5]))
    joint = jnp.array([[-jnp.inf, jnp.inf, 0], [-jnp.inf, 1, jnp.nan], [-jnp.inf, jnp.inf, 0]])
    r = jax.nn.softmax(settled(joint, log_weights), axis=0)
    np.testing.assert_allclose(r[:, :2].T, [[0.2, 0.3, 0.5], [0.5, 0, 0.5]], rtol=1e-6)
    assert np.isnan(r[:, 2]).all()


@pytest.mark.parametrize("value", FAR)
def test_the_far_column_surprises_most(family, value):
    mixture = random_mixture(family, np.random.default_rng(1), 3, 3, "float32")
    s = np.asarray(mixjax.surprisal(mixture, far_rows(value)))
    assert not np.isnan(s).any()
    np.testing.assert_array_equal(s[[0, 1, 2, 4]].argmax(1), [0, 1, 2, 2])
    assert s[4, 2] > s[4, 1]
    importance = mixjax.feature_importance(mixture, far_rows(value))
    np.testing.assert_allclose(importance.sum(), 1, rtol=1e-4)
    nearer = np.asarray(mixjax.surprisal(mixture, far_rows(1e6)))
    assert (s[[0, 1, 2], [0, 1, 2]] >= nearer[[0, 1, 2], [0, 1, 2]]).all()


@pytest.mark.parametrize("units", [1e-15, 1e15])
def test_parts_of_a_mixture_do_not_depend_on_the_units(family, units):
    mixture = random_mixture(family, np.random.default_rng(2), 2, 3, "float32")
    scale = jnp.full((3,), units, "float32")
    other = mixjax.Mixture(
        mixture.log_weights, mixture.components.affine(scale, jnp.zeros_like(scale))
    )
    x = np.random.default_rng(3).normal(size=(6, 3)).astype("float32")
    shift = np.log(units)
    s = mixjax.surprisal(mixture, x)
    np.testing.assert_allclose(mixjax.surprisal(other, x * scale[None]), s + shift, atol=2e-3)
    one, two = (mixjax.marginal(m, [2, 0]) for m in (mixture, other))
    at = x[:, [2, 0]]
    expected = mixjax.energy(one, at) + 2 * shift
    np.testing.assert_allclose(mixjax.energy(two, at * scale[None, :2]), expected, atol=2e-3)
    one, two = (
        mixjax.conditional(m, [1], x[0, 1:2] * u) for m, u in ((mixture, 1), (other, scale[:1]))
    )
    expected = mixjax.energy(one, at) + 2 * shift
    np.testing.assert_allclose(mixjax.energy(two, at * scale[None, :2]), expected, atol=2e-3)


@pytest.mark.parametrize("value", FAR)
def test_conditioning_on_far_values(family, value):
    mixture = random_mixture(family, np.random.default_rng(0), 3, 3, "float32")
    given = mixjax.conditional(mixture, [0], jnp.array([value], "float32"))
    np.testing.assert_allclose(given.weights.sum(), 1, rtol=1e-5)
    if value < 1e30:
        prediction = mixjax.predict(mixture, [0], jnp.array([[value], [0.1]], "float32"))
        assert np.isfinite(prediction.mean).all()
        assert np.isfinite(prediction.covariance).all()


def test_an_average_has_a_gradient_at_far_rows():
    mixture = random_mixture(mixjax.Gaussian, np.random.default_rng(0), 2, 3, "float32")
    average = mixjax.Average(jnp.log(jnp.array([0.5, 0.5])), (mixture, mixture))
    x = jnp.asarray(far_rows(1e20))
    assert np.isinf(average.energy(x)).all()
    assert not np.isnan(jax.grad(lambda x: average.energy(x).sum())(x)).any()


def test_a_detector_names_the_far_column():
    x = np.random.default_rng(0).normal(size=(300, 3)).astype("float32")
    x[:, 1] *= 1e-5
    detector = mixjax.detect.fit(jax.random.key(0), x, n_components=[1], families=[mixjax.Gaussian])
    new = x[:4].copy()
    new[0, 0], new[1, 1], new[2, 2], new[3, 1] = 1e20, 1e38, -9.96921e36, 1e20
    explained = np.asarray(detector.explain(new))
    assert not np.isnan(explained).any()
    np.testing.assert_array_equal(explained.argmax(1), [0, 1, 2, 1])
    assert detector.predict(new).all()


def test_a_fit_from_a_mixture_far_away_says_so():
    x = np.random.default_rng(0).normal(size=(100, 2)).astype("float32")
    means = jnp.array([[1e30, 0], [-1e30, 0]])
    far = mixjax.Mixture(jnp.log(jnp.ones(2) / 2), mixjax.DiagonalGaussian(means, 1e-3 + 0 * means))
    fit = mixjax.fit_from(far, x)
    assert fit.status == mixjax.Status.NONFINITE
    assert fit.energy == np.inf
    assert fit.n_iter == 0
    for leaf in jax.tree.leaves(fit.mixture):
        assert np.isfinite(leaf).all()


@pytest.mark.parametrize("width", [1e-38, 1e-30, 1e-5, 1e30, 1e43])
def test_a_tied_factor_of_any_size_is_the_same_compiled_or_not(width):
    """Also where the factor is no normal float, whose logarithm may be that of zero."""
    factor = np.eye(2, dtype="float32") * np.float32(1 / width)
    mixture = mixjax.Mixture(
        jnp.log(jnp.array([0.25, 0.75])), mixjax.TiedGaussian(jnp.eye(2), jnp.asarray(factor))
    )
    x = jnp.array([[0, 0], [1, 0], [3, 1e5], [1, 1]], "float32")
    resp, energy = mixjax.responsibilities(mixture, x), mixjax.energy(mixture, x)
    np.testing.assert_allclose(resp.sum(1), 1, rtol=1e-5)
    assert not np.isnan(energy).any()
    with jax.disable_jit():
        np.testing.assert_allclose(mixjax.responsibilities(mixture, x), resp, atol=1e-5)
        np.testing.assert_allclose(mixjax.energy(mixture, x), energy, rtol=1e-5)
