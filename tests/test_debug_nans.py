"""On healthy data nothing is NaN on the way either, which jax_debug_nans would stop at."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import FAMILIES

import mixjax


@pytest.fixture
def stop_at_nan():
    with jax.debug_nans(True):
        yield


@pytest.fixture(scope="module")
def x():
    rng = np.random.default_rng(0)
    centers = np.array([[0, 0, 0], [4, -4, 2]])
    return jnp.asarray(centers[rng.integers(2, size=60)] + rng.normal(size=(60, 3)), "float32")


def questions(mixture, x):
    """What can be asked of a mixture."""
    family = type(mixture.components)
    resp = mixjax.responsibilities(mixture, x)
    return (
        mixjax.energy(mixture, x),
        mixjax.surprisal(mixture, x),
        mixjax.feature_importance(mixture, x),
        mixjax.marginal(mixture, [2, 0]),
        mixjax.conditional(mixture, [1], x[0, 1:2]),
        mixjax.predict(mixture, [0], x[:, :1]),
        mixjax.sample(jax.random.key(0), mixture, 5),
        mixjax.m_step(family, x, resp),
        mixjax.covariance_penalty(mixture),
        mixjax.bic(mixture, x),
        mixjax.icl(mixture, x),
        mixture.components.covariances,
    )


def loss(x, resp, family):
    mixture = mixjax.m_step(family, x, resp)
    return mixjax.energy(mixture, x).mean() + mixjax.covariance_penalty(mixture)


def test_fits_and_questions(stop_at_nan, family, x):
    fit = mixjax.fit(jax.random.key(0), x, 2, family=family)
    assert fit.status == mixjax.Status.CONVERGED
    eager, compiled = questions(fit.mixture, x), jax.jit(questions)(fit.mixture, x)
    for one, other in zip(jax.tree.leaves(eager), jax.tree.leaves(compiled), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-3)
    resp = mixjax.responsibilities(fit.mixture, x)
    gradient = jax.grad(loss, argnums=(0, 1))(x, resp, family)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))


def test_from_parameters(stop_at_nan):
    eye, zeros = jnp.eye(6), jnp.zeros((1, 6))
    np.testing.assert_allclose(mixjax.Gaussian.from_covariances(zeros, eye[None]).factors[0], eye)
    np.testing.assert_allclose(mixjax.Gaussian.from_precisions(zeros, eye[None]).factors[0], eye)
    np.testing.assert_allclose(mixjax.TiedGaussian.from_covariance(zeros, eye).factor, eye)


def test_many_fits_and_streams(stop_at_nan, x):
    key = jax.random.key(0)
    fits = mixjax.fit_batch(key, [x, x[:50]], 2)
    stream = mixjax.fit_stream(key, [x[:30], x[30:]], 2)
    assert np.isfinite(fits.energy).all()
    assert np.isfinite(stream.energy)


def test_detectors_and_files(stop_at_nan, x, tmp_path):
    detector = mixjax.detect.fit(
        jax.random.key(0), x, n_components=[1, 2], families=[mixjax.Gaussian, FAMILIES[2]]
    )
    mixjax.save(tmp_path / "detector.npz", detector)
    again = mixjax.load(tmp_path / "detector.npz")
    np.testing.assert_array_equal(again.scores(x), detector.scores(x))
    assert np.isfinite(detector.explain(x)).all()


def test_scikit_learns_front_doors(stop_at_nan, x):
    pytest.importorskip("sklearn")
    import mixjax.sklearn

    estimator = mixjax.sklearn.GaussianMixture(2, random_state=0).fit(np.asarray(x))
    np.testing.assert_allclose(estimator.predict_proba(np.asarray(x)).sum(1), 1, rtol=1e-5)
