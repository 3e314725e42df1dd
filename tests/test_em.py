import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats
from conftest import MONOTONE
from problems import clusters, random_mixture, weighted_median
from sklearn.mixture import GaussianMixture

import mixjax

KINDS = {
    "full": mixjax.Gaussian,
    "tied": mixjax.TiedGaussian,
    "diag": mixjax.DiagonalGaussian,
    "spherical": mixjax.SphericalGaussian,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("d", "n_iter"), [(2, 1), (2, 20), (7, 10)])
def test_equals_scikit_learn_from_the_same_start(kind, dtype, rng, d, n_iter):
    k = 4
    x = clusters(rng, 500, d, k, spread=2.0).astype(dtype)
    means = x[:k]
    reference = KINDS[kind].standard(k, d, dtype)
    start = type(reference)(jnp.asarray(means), *list(vars(reference).values())[1:])
    mixture = mixjax.Mixture(jnp.full(k, -np.log(k), dtype), start)
    precisions = {
        "full": np.tile(np.eye(d), (k, 1, 1)), "tied": np.eye(d),
        "diag": np.ones((k, d)), "spherical": np.ones(k),
    }[kind]  # fmt: skip
    peer = GaussianMixture(
        k, covariance_type=kind, tol=0.0, max_iter=n_iter, means_init=means.astype("float64"),
        weights_init=np.full(k, 1 / k), precisions_init=precisions, init_params="random_from_data",
    )  # fmt: skip
    with pytest.warns(match="did not converge"):
        peer.fit(x.astype("float64"))
    fit = mixjax.fit_from(mixture, x, solver=mixjax.EM(reg_covar=1e-6), tol=0.0, max_iter=n_iter)
    tol = 1e-4 if dtype == np.float32 else 1e-8
    assert int(fit.n_iter) == n_iter
    assert abs(-float(fit.energy) - peer.score(x.astype("float64"))) < tol
    assert abs(float(mixjax.log_prob(fit.mixture, x).mean()) - peer.score(x)) < tol
    if dtype == np.float64:
        np.testing.assert_allclose(fit.mixture.weights, peer.weights_, rtol=1e-6)
        np.testing.assert_allclose(fit.mixture.components.means, peer.means_, rtol=1e-5, atol=1e-6)


def laplace_em(x, log_weights, locations, scales, n_iter):
    """Exact EM in plain NumPy."""
    for _ in range(n_iter):
        joint = log_weights + scipy.stats.laplace.logpdf(x[:, None], locations, scales).sum(2)
        resp = np.exp(joint - scipy.special.logsumexp(joint, axis=1, keepdims=True))
        log_weights = np.log(resp.mean(0))
        for k in range(len(locations)):
            for d in range(x.shape[1]):
                locations[k, d] = weighted_median(x[:, d], resp[:, k])
        deviation = abs(x[:, None] - locations)
        scales = np.einsum("nk,nkd->kd", resp, deviation) / resp.sum(0)[:, None]
    joint = log_weights + scipy.stats.laplace.logpdf(x[:, None], locations, scales).sum(2)
    return scipy.special.logsumexp(joint, axis=1).mean()


@pytest.mark.parametrize("n_iter", [1, 8])
def test_laplace_equals_a_numpy_reference(dtype, rng, n_iter):
    x = np.concatenate([rng.laplace(m, 1 + m / 4, size=(150, 2)) for m in (0, 4, 9)]).astype(dtype)
    mixture = random_mixture(mixjax.Laplace, rng, 3, 2, dtype)
    expected = laplace_em(
        x.astype("float64"), np.asarray(mixture.log_weights, "float64"),
        np.array(mixture.components.locations, "float64"),
        np.array(mixture.components.scales, "float64"), n_iter,
    )  # fmt: skip
    solver = mixjax.EM(reg_covar=0.0)
    fit = mixjax.fit_from(mixture, x, solver=solver, tol=0.0, max_iter=n_iter)
    assert abs(-float(fit.energy) - expected) < (1e-4 if dtype == np.float32 else 1e-8)


@pytest.mark.parametrize("family", MONOTONE)
def test_em_never_raises_the_energy(family, dtype, rng):
    x = jnp.asarray(clusters(rng, 400, 3, 4, spread=1.5), dtype)
    start = random_mixture(family, rng, 4, 3, dtype)
    solver = mixjax.EM(reg_covar=0.0)
    fit, energies = mixjax.fit_history(start, x, solver=solver, tol=0.0, max_iter=40)
    assert (np.diff(energies) <= (2e-5 if dtype == np.float32 else 1e-10)).all()
    assert energies[-1] < energies[0]
    assert energies[int(fit.n_iter)] == fit.energy


def test_the_energy_is_that_of_the_mixture_returned(family, rng):
    x = jnp.asarray(clusters(rng, 300, 3, 3), "float32")
    weights = jnp.asarray(rng.uniform(0, 2, 300), "float32")
    fit = mixjax.fit(jax.random.key(0), x, 3, family=family, weights=weights, max_iter=7)
    mean = jnp.sum(weights * mixjax.energy(fit.mixture, x)) / jnp.sum(weights)
    np.testing.assert_allclose(fit.energy, mean, rtol=3e-5)


def test_blocks_do_not_change_the_result(family, float64):
    """A table of several blocks and a remainder against one of fewer blocks, weighted."""
    rng, d = np.random.default_rng(0), 3
    x = clusters(rng, 20_003, d, 3)
    start = random_mixture(family, rng, 3, d)
    many = mixjax.fit_from(start, jnp.asarray(x), tol=0.0, max_iter=2)
    half = x[:10_001]
    doubled = mixjax.fit_from(start, np.concatenate([half, half]), tol=0.0, max_iter=2)
    single = mixjax.fit_from(start, half, weights=np.full(10_001, 3.0), tol=0.0, max_iter=2)
    np.testing.assert_allclose(doubled.energy, single.energy, rtol=1e-9)
    assert np.isfinite(many.energy)
    direct = mixjax.energy(many.mixture, x).mean()
    np.testing.assert_allclose(many.energy, direct, rtol=1e-9)


@pytest.mark.parametrize(("scale", "offset"), [(1e-4, 0.0), (1e4, 1e3), (1.0, 1e3)])
def test_fits_move_with_the_data_in_float32(family, seed, scale, offset):
    """log p(a x + b) = log p(x) - D log a, for the whole fit, start included."""
    rng = np.random.default_rng(seed)
    # Clusters that are clearly three: a rounding error may make a start draw another row,
    # which must not matter; where several optima compete it would.
    labels = rng.integers(3, size=500)
    x = 10 * np.eye(3)[labels] + rng.normal(size=(500, 3))
    x = x.astype("float32")
    sigma = x.std()
    moved = (scale * (x.astype("float64") + offset * sigma)).astype("float32")
    # What rounding the moved table took away is no fault of the fit.
    back = (moved.astype("float64") / scale - offset * sigma).astype("float32")
    key = jax.random.key(seed)
    one = mixjax.fit(key, jnp.asarray(back), 3, family=family)
    other = mixjax.fit(key, jnp.asarray(moved), 3, family=family)
    np.testing.assert_allclose(other.energy, one.energy + 3 * np.log(scale), atol=5e-3)
    assert int(other.status) == int(one.status)


def test_scale_of_variance_is_not_lost_far_from_the_origin(rng):
    x = rng.normal(1000, 1, size=(20_000, 1)).astype("float32")
    fit = mixjax.fit(jax.random.key(0), x, 1)
    np.testing.assert_allclose(
        fit.mixture.components.covariances[0, 0, 0], x.var(dtype="float64"), rtol=1e-4
    )


def test_reg_covar_is_added_as_it_is(float64, rng):
    x = jnp.asarray(rng.normal(size=(500, 2)) * np.array([1.0, 5.0]))
    plain = mixjax.fit(jax.random.key(0), x, 1, solver=mixjax.EM(reg_covar=0.0))
    ridged = mixjax.fit(jax.random.key(0), x, 1, solver=mixjax.EM(reg_covar=jnp.array([0.5, 2.0])))
    added = ridged.mixture.components.covariances[0] - plain.mixture.components.covariances[0]
    np.testing.assert_allclose(added, np.diag([0.5, 2.0]), atol=1e-8)
    default = mixjax.fit(jax.random.key(0), x, 1).mixture.components.covariances[0]
    share = np.diag(default - plain.mixture.components.covariances[0]) / np.asarray(x).var(0)
    np.testing.assert_allclose(share, 1e-6, rtol=1e-3)
