"""Marginals, conditionals and surprises, against SciPy and against each other."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import MONOTONE
from scipy import stats

import mixjax


def mixture_of(family, rng, k=3, d=4, dtype="float64"):
    x = rng.normal(size=(60 * k, d)) @ rng.normal(size=(d, d)) + 3 * rng.normal(size=(1, d))
    x[:60] += 4
    return mixjax.fit(jax.random.key(0), x.astype(dtype), k, family=family).mixture, x.astype(dtype)


@pytest.fixture(params=MONOTONE, ids=lambda family: family.__name__)
def known(request, float64, rng):
    return mixture_of(request.param, rng)


def test_a_marginal_is_what_integration_leaves(known):
    """In one column of two, by a fine sum over the other."""
    mixture, x = known
    pair = mixjax.marginal(mixture, [2, 0])
    alone = mixjax.marginal(mixture, [2])
    grid = np.linspace(x[:, 0].min() - 80, x[:, 0].max() + 80, 20_001)
    for value in x[:3, 2]:
        rows = np.stack([np.full_like(grid, value), grid], axis=1)
        total = np.trapezoid(np.exp(mixjax.log_prob(pair, rows)), grid)
        np.testing.assert_allclose(
            np.log(total), mixjax.log_prob(alone, [[value]] * np.ones((1, 1)))[0], rtol=1e-4
        )
    whole = mixjax.marginal(mixture, range(4))
    np.testing.assert_allclose(mixjax.log_prob(whole, x), mixjax.log_prob(mixture, x), rtol=1e-9)
    np.testing.assert_allclose(
        mixjax.log_prob(mixjax.marginal(mixture, [-2, 0]), x[:, [2, 0]]),
        mixjax.log_prob(pair, x[:, [2, 0]]),
    )


def test_joint_is_marginal_times_conditional(known):
    mixture, x = known
    for columns in ([1], [3, 0], [0, 1, 2]):
        rest = [i for i in range(4) if i not in columns]
        before = mixjax.log_prob(mixjax.marginal(mixture, columns), x[:20][:, columns])

        def given(row, columns=columns, rest=rest):
            other = mixjax.conditional(mixture, columns, row[jnp.array(columns)])
            return mixjax.log_prob(other, row[jnp.array(rest)][None])[0]

        after = jax.jit(jax.vmap(given))(jnp.asarray(x[:20]))
        np.testing.assert_allclose(before + after, mixjax.log_prob(mixture, x[:20]), rtol=1e-8)


def test_surprisal_is_the_energy_less_that_of_the_others(known):
    mixture, x = known
    s = mixjax.surprisal(mixture, x)
    assert s.shape == x.shape
    for column in range(4):
        rest = [i for i in range(4) if i != column]
        without = mixjax.energy(mixjax.marginal(mixture, rest), x[:, rest])
        np.testing.assert_allclose(s[:, column], mixjax.energy(mixture, x) - without, atol=1e-7)


def test_surprisal_of_far_rows_keeps_its_digits(family):
    mixture, x = mixture_of(family, np.random.default_rng(3), k=1, dtype="float32")
    far = x[:5] + 1e4
    single = mixjax.surprisal(mixture, far)
    given = -mixture.components.coordinate_log_prob(jnp.asarray(far))[:, 0]
    np.testing.assert_allclose(single, given, rtol=1e-6)
    two, _ = mixture_of(family, np.random.default_rng(3), k=2, dtype="float32")
    assert np.isfinite(mixjax.surprisal(two, far)).all()


def test_prediction_is_mean_and_covariance_of_the_conditional(known):
    mixture, x = known
    prediction = mixjax.predict(mixture, [1, 3], x[:3][:, [1, 3]])
    assert prediction.covariance.shape == (3, 2, 2)
    for i in range(3):
        given = mixjax.conditional(mixture, [1, 3], x[i, [1, 3]])
        drawn, _ = mixjax.sample(jax.random.key(i), given, 100_000)
        spread = np.sqrt(np.diagonal(prediction.covariance[i]))
        assert (np.abs(drawn.mean(0) - prediction.mean[i]) < 5 * spread / np.sqrt(1e5)).all()
        np.testing.assert_allclose(
            np.cov(drawn.T), prediction.covariance[i], atol=0.05 * spread.max() ** 2
        )


def test_one_gaussian_is_that_of_scipy(float64, rng):
    mixture, x = mixture_of(mixjax.Gaussian, rng, k=1)
    mean, cov = (
        np.asarray(mixture.components.means[0]),
        np.asarray(mixture.components.covariances[0]),
    )
    part = stats.multivariate_normal(mean[[2, 1]], cov[np.ix_([2, 1], [2, 1])])
    ours = mixjax.log_prob(mixjax.marginal(mixture, [2, 1]), x[:, [2, 1]])
    np.testing.assert_allclose(ours, part.logpdf(x[:, [2, 1]]), rtol=1e-9)
    gain = cov[0, 1:] @ np.linalg.inv(cov[1:, 1:])
    predicted = mixjax.predict(mixture, [1, 2, 3], x[:, 1:])
    np.testing.assert_allclose(
        predicted.mean[:, 0], mean[0] + (x[:, 1:] - mean[1:]) @ gain, rtol=1e-8
    )


def test_importance_finds_the_columns_that_matter(seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(600, 5)).astype("float32")
    x[:, 4] = x[:, 3] + 0.1 * x[:, 4]
    fit = mixjax.fit(jax.random.key(0), x, 1)
    odd = x.copy()
    odd[:30, 1] += 6
    labels = np.arange(600) < 30
    with_labels = mixjax.feature_importance(fit.mixture, odd, labels)
    assert mixjax.suggest_columns(fit.mixture, odd, 1, labels) == [1]
    assert with_labels[1] > 0.9
    assert (np.delete(with_labels, 1) < 0.4).all()
    without = jax.jit(mixjax.feature_importance)(fit.mixture, odd)
    assert int(np.argmax(without)) == 1
    np.testing.assert_allclose(without.sum(), 1, rtol=1e-5)
    odd = x.copy()
    odd[:30, 4] += 2  # unremarkable alone, not beside its twin
    assert set(mixjax.suggest_columns(fit.mixture, odd, 2, labels)) == {3, 4}


def test_with_labels_it_is_the_area_under_the_curve(rng):
    from sklearn.metrics import roc_auc_score

    x = np.round(rng.normal(size=(200, 3)), 1).astype("float32")  # with ties
    labels = rng.uniform(size=200) < 0.3
    fit = mixjax.fit(jax.random.key(0), x, 2)
    s = np.asarray(mixjax.surprisal(fit.mixture, x))
    expected = [abs(2 * roc_auc_score(labels, s[:, d]) - 1) for d in range(3)]
    ours = mixjax.feature_importance(fit.mixture, x, labels)
    np.testing.assert_allclose(ours, expected, atol=1e-5)


def test_bad_input_is_named(rng):
    mixture, x = mixture_of(mixjax.Gaussian, rng, dtype="float32")
    for bad, word in (
        ([], "different numbers"),
        ([4], "from 0 to 3"),
        ([1, -3], "different"),
        ([0.5], "different numbers"),
    ):
        with pytest.raises(ValueError, match=word):
            mixjax.marginal(mixture, bad)
    with pytest.raises(ValueError, match="leave at least one"):
        mixjax.conditional(mixture, range(4), x[0])
    with pytest.raises(ValueError, match=r"shape \(2,\)"):
        mixjax.conditional(mixture, [0, 1], x[0])
    with pytest.raises(ValueError, match=r"\(rows, 2\)"):
        mixjax.predict(mixture, [0, 1], x)
    with pytest.raises(TypeError, match=r"must be a mixjax.Mixture"):
        mixjax.surprisal(x, x)
    with pytest.raises(ValueError, match="n must be from 1 to 4"):
        mixjax.suggest_columns(mixture, x, 5)

    @mixjax.pytree
    class Own(mixjax.Gaussian):
        marginal = mixjax.Family.marginal

    own = mixjax.Mixture(mixture.log_weights, Own(**vars(mixture.components)))
    with pytest.raises(NotImplementedError, match="Own does not define marginal"):
        mixjax.marginal(own, [0])
