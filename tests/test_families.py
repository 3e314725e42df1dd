import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from conftest import FAMILIES
from problems import clusters, covariances, random_components, weighted_median

import mixjax
from mixjax.mixture.assignment import Shares
from mixjax.rows.blocks import Table


@functools.partial(jax.jit, static_argnums=0)
def call(method, components, *arguments):
    """As one program a family and shape, where each line of the method would be one."""
    return getattr(components, method)(*arguments)


@jax.jit
def covariances_of(components):
    return components.covariances


@jax.jit
def evaluated(components, x, resp):
    log_prob, statistics = components.log_prob_and_statistics(x)
    return log_prob, statistics(resp)


@jax.jit
def laplace_m_step(start, x, weights, resp):
    (n, d), dtype = x.shape, x.dtype
    table = Table(x, weights, jnp.ones((), dtype), min(n, 64))
    rows = table.standardized(jnp.zeros(d, dtype), jnp.ones(d, dtype)).sorted(table.x)
    given = Shares(resp)

    def responsibilities(x, index):
        return given.of(index, resp.shape[1], dtype)

    return start.m_step(rows, responsibilities, jnp.zeros(d, dtype))


GAUSSIANS = [family for family in FAMILIES if "Gaussian" in family.__name__]


@pytest.mark.parametrize("family", GAUSSIANS)
def test_log_prob_agrees_with_scipy_for_gaussians(family, dtype, rng):
    components = random_components(family, rng, 3, 4, dtype)
    x = rng.normal(size=(20, 4)).astype(dtype)
    expected = np.stack(
        [
            scipy.stats.multivariate_normal(m, c).logpdf(x)
            for m, c in zip(components.means, covariances_of(components), strict=True)
        ],
        axis=1,
    )
    tol = 2e-4 if dtype == np.float32 else 1e-9
    np.testing.assert_allclose(call("log_prob", components, x), expected, rtol=tol, atol=tol)


@pytest.mark.parametrize("family", [mixjax.Laplace, mixjax.MeanLaplace])
def test_log_prob_agrees_with_scipy_for_laplace(family, dtype, rng):
    components = random_components(family, rng, 3, 4, dtype)
    x = rng.normal(size=(20, 4)).astype(dtype)
    log_pdf = scipy.stats.laplace.logpdf(
        x[:, None], np.asarray(components.locations), np.asarray(components.scales)
    )
    np.testing.assert_allclose(call("log_prob", components, x), log_pdf.sum(2), rtol=1e-4)


def test_unconstrain_and_back_is_the_identity(family, dtype, rng):
    components = random_components(family, rng, 3, 4, dtype)
    back = family.constrain(components.unconstrain())
    for a, b in zip(jax.tree.leaves(components), jax.tree.leaves(back), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)


def test_any_unconstrained_leaves_are_allowed(family, rng):
    leaves = random_components(family, rng, 3, 4, "float32").unconstrain()
    wild = jax.tree.map(
        lambda leaf: jnp.asarray(3 * rng.normal(size=leaf.shape), leaf.dtype), leaves
    )
    assert np.isfinite(family.constrain(wild).log_prob(jnp.zeros((1, 4)))).all()


def test_affine_is_a_change_of_variables(family, float64, rng):
    components = random_components(family, rng, 3, 4)
    scale = np.full(4, 1.7) if family.scaling is mixjax.Scaling.SHARED else rng.uniform(0.1, 9, 4)
    shift = rng.normal(size=4)
    x = jnp.asarray(rng.normal(size=(10, 4)))
    moved = call("affine", components, jnp.asarray(scale), jnp.asarray(shift))
    expected = np.asarray(call("log_prob", components, x)) - np.log(scale).sum()
    np.testing.assert_allclose(
        call("log_prob", moved, x * scale[None] + shift[None]), expected, rtol=1e-9
    )


def test_samples_have_the_moments_of_their_component(family, float64, rng):
    components = random_components(family, rng, 2, 3)
    labels = jnp.repeat(jnp.arange(2), 40_000)
    x = np.asarray(components.sample(jax.random.key(int(rng.integers(99))), labels))
    center = components.centers
    for k in range(2):
        rows = x[40_000 * k : 40_000 * (k + 1)]
        deviation = np.sqrt(np.asarray(components.variances[k]))
        np.testing.assert_allclose(rows.mean(0), center[k], atol=5 * deviation.max() / 200)
        np.testing.assert_allclose(rows.var(0), components.variances[k], rtol=0.1)
        if hasattr(components, "covariances"):
            tolerance = 0.05 * deviation.max() ** 2
            np.testing.assert_allclose(np.cov(rows.T), components.covariances[k], atol=tolerance)


def test_statistics_add_up_over_rows(family, float64, rng):
    components = random_components(family, rng, 3, 4)
    x = jnp.asarray(rng.normal(size=(30, 4)))
    resp = jnp.asarray(rng.dirichlet(np.ones(3), 30))
    whole = call("statistics", components, x, resp)
    parts = [call("statistics", components, x[i : i + 10], resp[i : i + 10]) for i in (0, 10, 20)]
    for total, *some in zip(*map(jax.tree.leaves, (whole, *parts)), strict=True):
        np.testing.assert_allclose(total, sum(some), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("family", GAUSSIANS)
def test_from_statistics_gives_the_weighted_moments(family, dtype, rng):
    """Whatever components the sums were taken relative to."""
    k, d, n = 3, 4, 200
    x = clusters(rng, n, d, k, dtype=dtype)
    resp = rng.dirichlet(np.ones(k), n).astype(dtype)
    reg = np.full(d, 1e-3, dtype)
    start = random_components(family, rng, k, d, dtype)
    statistics = call("statistics", start, jnp.asarray(x), jnp.asarray(resp))
    new = call("from_statistics", start, statistics, jnp.asarray(reg))
    x, resp = x.astype("float64"), resp.astype("float64")
    count = resp.sum(0)
    means = resp.T @ x / count[:, None]
    centered = x[:, None] - means
    full = np.einsum("nk,nki,nkj->kij", resp, centered, centered) / count[:, None, None]
    full += 1e-3 * np.eye(d)
    if family is mixjax.TiedGaussian:
        full[:] = np.einsum("k,kij->ij", count / n, full)
    if family is mixjax.DiagonalGaussian:
        full = full * np.eye(d)
    if family is mixjax.SphericalGaussian:
        full = np.einsum("kii->k", full)[:, None, None] / d * np.eye(d)
    tol = 3e-4 if dtype == np.float32 else 1e-10
    np.testing.assert_allclose(new.means, means, rtol=tol, atol=10 * tol)
    np.testing.assert_allclose(covariances_of(new), full, rtol=tol, atol=30 * tol)


def test_an_empty_component_keeps_its_parameters(family, dtype, rng):
    components = random_components(family, rng, 3, 2, dtype)
    x = jnp.asarray(rng.normal(size=(10, 2)), dtype)
    resp = jnp.asarray(np.tile([0.5, 0.5, 0.0], (10, 1)), dtype)
    statistics = call("statistics", components, x, resp)
    new = call("from_statistics", components, statistics, jnp.zeros(2, dtype))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(new))
    centers = [c.centers for c in (components, new)]
    np.testing.assert_allclose(centers[0][2], centers[1][2], rtol=1e-6)


@pytest.mark.parametrize("family", GAUSSIANS)
@pytest.mark.parametrize("distance", [1.0, 1e4])
def test_evaluate_is_log_prob_and_statistics(family, float64, rng, distance):
    """Near one another and so far apart that the fast product would lose digits."""
    components = random_components(family, rng, 3, 4)
    components = type(components)(components.means * distance, *list(vars(components).values())[1:])
    x = jnp.asarray(components.means[rng.integers(3, size=40)] + rng.normal(size=(40, 4)))
    resp = jnp.asarray(rng.dirichlet(np.ones(3), 40))
    log_prob, statistics = evaluated(components, x, resp)
    np.testing.assert_allclose(log_prob, call("log_prob", components, x), rtol=1e-9, atol=1e-6)
    both = statistics, call("statistics", components, x, resp)
    for a, b in zip(*map(jax.tree.leaves, both), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-7 * distance)


@pytest.mark.parametrize("family", GAUSSIANS)
def test_far_apart_components_keep_their_digits_in_float32(family, rng):
    """Means 300 sigma apart: the quadratic form alone would be wrong by whole nats."""
    means = 300 * rng.normal(size=(3, 4))
    labels = rng.integers(3, size=60)
    x = (means[labels] + rng.normal(size=(60, 4))).astype("float32")
    reference = family.standard(3, 4, np.float32)
    components = family(jnp.asarray(means, "float32"), *list(vars(reference).values())[1:])
    own = np.asarray(components.log_prob_and_statistics(jnp.asarray(x))[0])[np.arange(60), labels]
    z = x.astype("float64") - means.astype("float32").astype("float64")[labels]
    expected = -0.5 * (z**2).sum(1) - 2 * np.log(2 * np.pi)
    np.testing.assert_allclose(own, expected, atol=2e-3)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("n", [1, 2, 100, 5000])
def test_laplace_m_step_is_the_weighted_median(dtype, rng, n, ties):
    k, d = 3, 2
    x = rng.normal(size=(n, d)).astype(dtype)
    x = np.round(x) if ties else x
    resp = rng.dirichlet(np.ones(k), n).astype(dtype)
    weights = rng.uniform(0.1, 1, n).astype(dtype)
    weights[n // 2 + 1 :: 3] = 0
    start = random_components(mixjax.Laplace, rng, k, d, dtype)
    new = jax.device_get(laplace_m_step(start, x, weights, resp))
    r = resp.astype("float64") * weights[:, None]
    for i in range(k):
        for j in range(d):
            median = weighted_median(x[:, j], r[:, i])
            deviation = (r[:, i] * abs(x[:, j] - median)).sum() / r[:, i].sum()
            # Of two middle rows either is a median: what they leave is what counts.
            left = (r[:, i] * abs(x[:, j] - float(new.locations[i, j]))).sum() / r[:, i].sum()
            np.testing.assert_allclose(left, deviation, rtol=1e-5)
            if deviation > 0:
                np.testing.assert_allclose(new.scales[i, j], deviation, rtol=1e-5)
            assert new.locations[i, j] in x[:, j]


def test_laplace_sums_never_lower_the_likelihood(float64, rng):
    x = jnp.asarray(np.concatenate([rng.laplace(size=(200, 3)), rng.normal(5, 2, (100, 3))]))
    resp = jnp.asarray(rng.dirichlet(np.ones(2), 300))
    laplace = random_components(mixjax.Laplace, rng, 2, 3)
    before = -np.inf
    for _ in range(300):
        likelihood = float(jnp.sum(resp * call("log_prob", laplace, x)))
        assert likelihood >= before - 1e-9
        before = likelihood
        statistics = call("statistics", laplace, x, resp)
        laplace = call("from_statistics", laplace, statistics, jnp.zeros(3))
    exact = mixjax.m_step(mixjax.Laplace, x, resp, reg_covar=0.0).components
    optimum = float(jnp.sum(resp * exact.log_prob(x)))
    assert likelihood <= optimum + 1e-9
    assert likelihood >= optimum - 0.5  # of 300 rows: the steps grow short near a median


def test_mean_laplace_is_the_published_update(dtype, rng):
    x = rng.normal(size=(50, 2)).astype(dtype)
    resp = rng.dirichlet(np.ones(3), 50).astype(dtype)
    mixture = mixjax.m_step(mixjax.MeanLaplace, jnp.asarray(x), jnp.asarray(resp), reg_covar=0.0)
    mean = (resp.T @ x) / resp.sum(0)[:, None]
    deviation = np.einsum("nk,nkd->kd", resp, abs(x[:, None] - mean)) / resp.sum(0)[:, None]
    np.testing.assert_allclose(mixture.components.locations, mean, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(mixture.components.scales, deviation, rtol=1e-4)


def test_mean_laplace_from_sums_is_exact_relative_to_its_own_means(float64, rng):
    x = jnp.asarray(rng.normal(size=(50, 2)))
    resp = jnp.asarray(rng.dirichlet(np.ones(3), 50))
    exact = mixjax.m_step(mixjax.MeanLaplace, x, resp, reg_covar=0.0).components
    again = exact.from_statistics(exact.statistics(x, resp), jnp.zeros(2))
    np.testing.assert_allclose(again.locations, exact.locations, rtol=1e-9)
    np.testing.assert_allclose(again.scales, exact.scales, rtol=1e-9)


@pytest.mark.parametrize(
    ("family", "expected"),
    [
        (mixjax.Gaussian, 3 * 4 + 3 * 10),
        (mixjax.TiedGaussian, 3 * 4 + 10),
        (mixjax.DiagonalGaussian, 24),
        (mixjax.SphericalGaussian, 15),
        (mixjax.Laplace, 24),
    ],
)
def test_number_of_parameters(family, expected, rng):
    components = random_components(family, rng, 3, 4, "float32")
    assert components.n_parameters == expected
    assert mixjax.Mixture(jnp.zeros(3), components).n_parameters == expected + 2


def test_constructors_agree(float64, rng):
    means, full = rng.normal(size=(3, 4)), covariances(rng, 3, 4)
    pairs = [
        (mixjax.Gaussian.from_covariances(means, full),
         mixjax.Gaussian.from_precisions(means, np.linalg.inv(full))),
        (mixjax.TiedGaussian.from_covariance(means, full[0]),
         mixjax.TiedGaussian.from_precision(means, np.linalg.inv(full[0]))),
        (mixjax.DiagonalGaussian.from_variances(means, means**2),
         mixjax.DiagonalGaussian.from_precisions(means, 1 / means**2)),
        (mixjax.SphericalGaussian.from_variances(means, means[:, 0] ** 2),
         mixjax.SphericalGaussian.from_precisions(means, 1 / means[:, 0] ** 2)),
    ]  # fmt: skip
    for a, b in pairs:
        np.testing.assert_allclose(a.covariances, b.covariances, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(pairs[0][0].covariances, full, rtol=1e-9)
    np.testing.assert_allclose(pairs[0][0].precisions, np.linalg.inv(full), rtol=1e-7, atol=1e-9)
