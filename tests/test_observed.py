"""Rows of which not everything is known: holes, errors, and both."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

import mixjax
from mixjax import Observed

pytestmark = pytest.mark.usefixtures("float64")

FAMILIES = [
    mixjax.Gaussian, mixjax.TiedGaussian, mixjax.DiagonalGaussian, mixjax.SphericalGaussian,
    mixjax.Laplace, mixjax.MeanLaplace,
]  # fmt: skip
GAUSSIANS = FAMILIES[:4]
FULL = FAMILIES[:2]
EXACTLY = {"solver": mixjax.EM(reg_covar=0.0), "tol": 1e-12, "max_iter": 5000}

by_family = pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.__name__)
by_gaussian = pytest.mark.parametrize("family", GAUSSIANS, ids=lambda f: f.__name__)


def table(rng, n=200, d=3):
    """Two correlated groups."""
    mix = rng.normal(size=(d, d))
    return np.concatenate([rng.normal(size=(n // 2, d)), rng.normal(size=(n // 2, d)) @ mix + 6])


def with_holes(rng, x, share=0.2):
    """The rows with that share of their values missing; each row keeps at least one."""
    holes = rng.random(x.shape) < share
    holes[np.arange(len(x)), rng.integers(x.shape[1], size=len(x))] = False
    return np.where(holes, np.nan, x)


def mixture_of(family, rng, k=2, d=3):
    """Some mixture, in general position."""
    x = rng.normal(size=(50, d)) @ rng.normal(size=(d, d))
    return mixjax.m_step(family, x, rng.dirichlet(np.ones(k), 50))


# --- Published values ---

NAN = np.nan
APPLE = np.array([
    [8, 59], [6, 58], [11, 56], [22, 53], [14, 50], [17, 45], [18, 43], [24, 42], [19, 39],
    [23, 38], [26, 30], [40, 27], [4, NAN], [4, NAN], [5, NAN], [6, NAN], [8, NAN], [10, NAN],
])  # fmt: skip
MISSVALS = np.array([
    [7, 26, 6, 60, 78.5], [1, 29, 15, 52, 74.3], [11, 56, 8, 20, 104.3], [11, 31, 8, 47, 87.6],
    [7, 52, 6, 33, 95.9], [11, 55, 9, 22, 109.2], [3, 71, 17, NAN, 102.7], [1, 31, 22, NAN, 72.5],
    [2, 54, 18, NAN, 93.1], [NAN, NAN, 4, NAN, 115.9], [NAN, NAN, 23, NAN, 83.8],
    [NAN, NAN, 9, NAN, 113.3], [NAN, NAN, 8, NAN, 109.4],
])  # fmt: skip
VIECHTBAUER = np.array([
    [-0.581, 0.023], [0.53, 0.052], [0.771, 0.06], [1.031, 0.115], [0.553, 0.095],
    [0.295, 0.203], [0.078, 0.2], [0.573, 0.211], [-0.176, 0.051], [-0.232, 0.04],
])  # fmt: skip
BERKEY = np.array([
    [-0.32, 0.47, 0.0077, 0.003, 0.0075], [-0.6, 0.2, 0.0008, 0.0009, 0.0057],
    [-0.12, 0.4, 0.0014, 0.0007, 0.0021], [-0.31, 0.26, 0.0015, 0.0009, 0.0029],
    [-0.39, 0.56, 0.0304, 0.0072, 0.0148],
])  # fmt: skip


def one_component(rows, n):
    """The mean, the covariance and the log-likelihood of one Gaussian for n rows."""
    fit = mixjax.check(mixjax.fit(jax.random.key(0), rows, 1, **EXACTLY))
    components = fit.mixture.components
    return components.means[0], components.covariances[0], -n * fit.energy


def test_apple_crops():
    """Little and Rubin, Statistical Analysis with Missing Data."""
    mean, covariance, log_likelihood = one_component(Observed(APPLE), 18)
    np.testing.assert_allclose(mean, [14.7222, 49.3333], atol=5e-5)
    np.testing.assert_allclose(
        np.ravel(covariance)[[0, 1, 3]], [89.5339, -90.6965, 114.694], rtol=1e-5
    )
    assert log_likelihood == pytest.approx(-101.785632, abs=1e-6)


def test_heat_of_cement():
    """Draper and Smith's table with holes; Little and Rubin, Statistical Analysis."""
    mean, _, log_likelihood = one_component(Observed(MISSVALS), 13)
    np.testing.assert_allclose(mean, [6.6552, 49.9653, 11.7692, 27.0471, 95.4231], atol=5e-5)
    assert log_likelihood == pytest.approx(-132.925250, abs=1e-6)


def test_random_effects():
    """Viechtbauer (2005), example 1: errors of known variances are random-effects meta-analysis."""
    rows = Observed(VIECHTBAUER[:, :1], VIECHTBAUER[:, 1:])
    mean, covariance, log_likelihood = one_component(rows, 10)
    assert mean[0] == pytest.approx(0.239446, abs=1e-6)
    assert covariance[0, 0] == pytest.approx(0.196670, abs=1e-6)
    assert log_likelihood == pytest.approx(-7.486073, abs=1e-6)


def test_random_effects_of_two_outcomes():
    """Berkey et al. (1998): errors with covariances."""
    noise = BERKEY[:, [2, 3, 3, 4]].reshape(5, 2, 2)
    mean, covariance, log_likelihood = one_component(Observed(BERKEY[:, :2], noise), 5)
    np.testing.assert_allclose(mean, [-0.33794, 0.34484], atol=5e-6)
    np.testing.assert_allclose(np.diag(covariance), [0.02614, 0.00700], atol=5e-6)
    correlation = covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1])
    assert correlation == pytest.approx(0.6992, abs=5e-5)
    assert log_likelihood == pytest.approx(5.84066, abs=5e-6)


# --- Densities ---


def density(mixture, row, noise):
    """The log-density of the known values of a row, by SciPy."""
    known = ~np.isnan(row)
    c = mixture.components
    parts = [
        scipy.stats.multivariate_normal(mean[known], (cov + noise)[np.ix_(known, known)]).logpdf(row[known])
        for mean, cov in zip(np.asarray(c.means), np.asarray(c.covariances), strict=True)
    ]  # fmt: skip
    return np.logaddexp.reduce(np.log(mixture.weights) + parts)


@by_gaussian
@pytest.mark.parametrize("noise", ["none", "variances", "covariances"])
@pytest.mark.parametrize("d", [3, 9])
def test_the_density_of_what_is_known(rng, family, noise, d):
    """Nine columns take another way than three."""
    if noise == "covariances" and family not in FULL:
        pytest.skip("errors have no covariances in this family")
    mixture = mixture_of(family, rng, d=d)
    x = with_holes(rng, rng.normal(size=(20, d)))
    variances = rng.uniform(0, 2, size=(20, d))
    root = rng.normal(size=(20, d, d))
    given = {"none": None, "variances": variances, "covariances": root @ root.swapaxes(1, 2)}[noise]
    of_row = {"none": np.zeros((20, d, d)), "variances": variances[:, :, None] * np.eye(d),
              "covariances": given}[noise]  # fmt: skip
    expected = [density(mixture, *both) for both in zip(x, of_row, strict=True)]
    rows = Observed(x, given)
    np.testing.assert_allclose(mixjax.log_prob(mixture, rows), expected, rtol=1e-9)
    np.testing.assert_allclose(mixjax.energy(mixture, rows), np.negative(expected), rtol=1e-9)
    program = jax.jit(lambda x, noise: mixjax.log_prob(mixture, Observed(x, noise)))
    np.testing.assert_allclose(program(x, given), expected, rtol=1e-9)


@by_family
def test_of_a_hole_the_marginal_is_left(rng, family):
    mixture = mixture_of(family, rng)
    x = rng.normal(size=(20, 3))
    holed = x.copy()
    holed[:, 1] = np.nan
    left = mixjax.marginal(mixture, [0, 2])
    for ask in (mixjax.log_prob, mixjax.responsibilities):
        np.testing.assert_allclose(
            ask(mixture, Observed(holed)), ask(left, x[:, [0, 2]]), rtol=1e-9
        )


@by_gaussian
def test_an_infinite_variance_is_a_hole(rng, family):
    mixture = mixture_of(family, rng)
    x = with_holes(rng, rng.normal(size=(20, 3)))
    noise = np.where(np.isnan(x), np.inf, 0.5)
    found = mixjax.log_prob(mixture, Observed(np.nan_to_num(x), noise))
    expected = mixjax.log_prob(mixture, Observed(x, np.full(3, 0.5)))
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_a_row_without_values_says_nothing(rng):
    mixture = mixture_of(mixjax.Gaussian, rng)
    nothing = Observed(np.full((1, 3), np.nan))
    assert mixjax.energy(mixture, nothing).item() == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(mixjax.responsibilities(mixture, nothing)[0], mixture.weights)
    x = with_holes(rng, table(rng))
    with_it = np.concatenate([x, np.full((7, 3), np.nan)])
    fits = [mixjax.fit_from(mixture, Observed(rows), max_iter=5) for rows in (x, with_it)]
    np.testing.assert_allclose(*(fit.energy for fit in fits), rtol=1e-9)
    np.testing.assert_allclose(*(fit.mixture.components.means for fit in fits), rtol=1e-9)


# --- Fits ---


@by_family
def test_with_everything_known_the_fit_is_the_plain_one(rng, family):
    x = table(rng)
    plain = mixjax.fit(jax.random.key(1), x, 2, family=family)
    zero = None if family in FAMILIES[4:] else np.zeros(3)
    for noise in (None, zero):
        found = mixjax.fit(jax.random.key(1), Observed(x, noise), 2, family=family)
        assert found.n_iter == plain.n_iter
        assert found.energy == pytest.approx(plain.energy.item(), rel=1e-9)
        for a, b in zip(*map(jax.tree.leaves, (found.mixture, plain.mixture)), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-9)


@by_family
@pytest.mark.parametrize("noise", [False, True])
def test_no_iteration_raises_the_energy(rng, family, noise):
    if noise and family not in GAUSSIANS:
        pytest.skip("the family takes no errors")
    if family is mixjax.MeanLaplace:
        pytest.skip("its M-step is not of maximum likelihood")
    x = with_holes(rng, table(rng), 0.3)
    rows = Observed(x, rng.uniform(0, 2, size=x.shape) if noise else None)
    begin = mixjax.fit(jax.random.key(0), rows, 2, family=family, max_iter=0).mixture
    # Without a ridge, which is no part of the likelihood.
    options = {"solver": mixjax.EM(reg_covar=0.0), "tol": 0.0, "max_iter": 30}
    fit, energies = mixjax.fit_history(begin, rows, **options)
    assert energies[-1] < energies[0]
    assert (np.diff(energies) < 1e-9).all()
    assert fit.energy == pytest.approx(mixjax.energy(fit.mixture, rows).mean().item(), rel=1e-9)


@by_gaussian
def test_the_gradient_vanishes_at_a_fit(rng, family):
    """What EM converges to is a maximum of the likelihood of what is known."""
    x = with_holes(rng, table(rng), 0.3)
    rows = Observed(x, rng.uniform(0, 1, size=x.shape))
    fit = mixjax.fit(jax.random.key(0), rows, 2, family=family, **EXACTLY)

    def mean_energy(leaves):
        components = family.constrain(leaves)
        return mixjax.energy(mixjax.Mixture(fit.mixture.log_weights, components), rows).mean()

    slope = jax.grad(mean_energy)(fit.mixture.components.unconstrain())
    assert max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(slope)) < 1e-4


@by_family
def test_units_do_not_matter(rng, family):
    x = with_holes(rng, table(rng))
    noise = None if family in FAMILIES[4:] else rng.uniform(0, 1, size=x.shape)
    scale = np.array([1e3, 1e3, 1e3] if family is mixjax.SphericalGaussian else [1e-3, 1.0, 1e5])
    shift = np.array([1e6, 0.0, -3.0])
    fit = mixjax.fit(jax.random.key(0), Observed(x, noise), 2, family=family)
    moved = None if noise is None else noise * scale**2
    other = mixjax.fit(jax.random.key(0), Observed(x * scale + shift, moved), 2, family=family)
    expected = fit.mixture.components.affine(scale, shift)
    np.testing.assert_allclose(other.mixture.components.centers, expected.centers, rtol=1e-5)
    known = (~np.isnan(x)).mean(axis=0)
    assert other.energy - fit.energy == pytest.approx((known * np.log(scale)).sum(), rel=1e-5)


def test_fits_under_jit_and_vmap_are_those_of_the_host(rng):
    tables = np.stack([with_holes(rng, table(rng)) for _ in range(3)])
    noise = rng.uniform(0, 1, size=tables.shape)

    def fit(x, noise):
        return mixjax.fit(jax.random.key(0), Observed(x, noise), 2)

    alone = [fit(*both) for both in zip(tables, noise, strict=True)]
    together = jax.jit(jax.vmap(fit))(tables, noise)
    np.testing.assert_allclose(together.energy, [one.energy for one in alone], rtol=1e-8)
    np.testing.assert_array_equal(together.n_iter, [one.n_iter for one in alone])


def test_weights_count_rows(rng):
    x = with_holes(rng, table(rng, 100))
    weights = rng.integers(0, 3, 100)
    begin = mixture_of(mixjax.Gaussian, rng)
    weighted = mixjax.fit_from(begin, Observed(x), weights=weights, max_iter=4)
    repeated = mixjax.fit_from(begin, Observed(np.repeat(x, weights, axis=0)), max_iter=4)
    assert weighted.energy == pytest.approx(repeated.energy.item(), rel=1e-8)


def test_gradients_reach_rows_and_noise(rng):
    mixture = mixture_of(mixjax.Gaussian, rng)
    x = with_holes(rng, rng.normal(size=(5, 3)))
    noise = rng.uniform(0.5, 1, size=x.shape)

    def total(x, noise):
        return mixjax.energy(mixture, Observed(x, noise)).sum()

    slopes = jax.grad(total, argnums=(0, 1))(jnp.asarray(x), jnp.asarray(noise))
    step = 1e-6
    for which, slope in enumerate(slopes):
        assert np.isfinite(slope).all()
        for place in ((1, 0), (2, 2), (3, 1)):
            more, less = ([x.copy(), noise.copy()] for _ in range(2))
            more[which][place] += step
            less[which][place] -= step
            expected = (total(*more) - total(*less)) / (2 * step)
            np.testing.assert_allclose(slope[place], expected, rtol=1e-5, atol=1e-8)


# --- Imputation ---


@by_family
def test_imputed_are_the_means_given_the_rest(rng, family):
    mixture = mixture_of(family, rng)
    x = rng.normal(size=(20, 3))
    holed = x.copy()
    holed[:, [0, 2]] = np.nan
    filled = mixjax.impute(mixture, holed)
    np.testing.assert_array_equal(filled[:, 1], x[:, 1])
    given = mixjax.predict(mixture, [1], x[:, [1]]).mean
    np.testing.assert_allclose(filled[:, [0, 2]], given, rtol=1e-8)


@by_gaussian
def test_draws_have_the_conditional_moments(rng, family):
    mixture = mixture_of(family, rng, k=1)
    x = np.array([[0.3, np.nan, -1.0]])
    noise = np.array([[0.0, 0.0, 0.7]])
    rows = Observed(x, noise)
    draws = np.asarray(mixjax.impute(mixture, rows, key=jax.random.key(0), n=4000))[:, 0]
    mean = np.asarray(mixture.components.means[0])
    covariance = np.asarray(mixture.components.covariances[0])
    seen = covariance[np.ix_([0, 2], [0, 2])] + np.diag([0.0, 0.7])
    gain = covariance[:, [0, 2]] @ np.linalg.inv(seen)
    expected = mean + gain @ (x[0, [0, 2]] - mean[[0, 2]])
    spread = covariance - gain @ covariance[[0, 2]]
    np.testing.assert_array_equal(draws[:, 0], 0.3)
    np.testing.assert_allclose(mixjax.impute(mixture, rows)[0], expected, rtol=1e-8)
    width = np.sqrt(np.diag(spread).clip(0))
    assert (np.abs(draws.mean(axis=0) - expected) < 5 * width / np.sqrt(4000) + 1e-9).all()
    np.testing.assert_allclose(np.cov(draws.T), spread, atol=0.1 * width.max() ** 2)


def test_intervals_of_draws_cover_what_was_removed(rng):
    mixture = mixture_of(mixjax.Gaussian, rng, k=3)
    x = np.asarray(mixjax.sample(jax.random.key(0), mixture, 600)[0])
    holed = with_holes(rng, x, 0.3)
    removed = np.isnan(holed)
    draws = np.asarray(mixjax.impute(mixture, holed, key=jax.random.key(1), n=400))
    low, high = np.quantile(draws, [0.025, 0.975], axis=0)
    assert 0.93 < ((low <= x) & (x <= high))[removed].mean() < 0.97


def test_far_from_zero_no_digit_is_lost(rng):
    """Single precision keeps seven digits; these values need ten."""
    with jax.enable_x64(False):
        x = with_holes(rng, table(rng)) + 1e9
        fit = mixjax.fit(jax.random.key(0), Observed(x), 2)
        near = mixjax.fit(jax.random.key(0), Observed(x - 1e9), 2)
        assert fit.energy == pytest.approx(near.energy.item(), rel=1e-4)
        np.testing.assert_allclose(
            mixjax.energy(near.mixture, Observed(x - 1e9)).mean(), near.energy, rtol=1e-4
        )


# --- Bad input ---


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"noise": np.full(3, -1.0)}, ValueError, "noise must be variances of at least 0"),
        ({"noise": np.where(np.arange(600).reshape(200, 3) == 7, -1.0, 1.0)}, ValueError,
         "of at least 0, got .* in row 2"),
        ({"noise": np.full((200, 3), np.nan)}, ValueError, "of at least 0, got .*nan"),
        ({"noise": np.zeros(4)}, ValueError, r"noise must have shape \(3,\), \(200, 3\) or"),
        ({"noise": np.broadcast_to([[1, 2, 0], [2, 1, 0], [0, 0, 1.0]], (200, 3, 3))}, ValueError,
         "positive semi-definite, but that of row 0 is not"),
        ({"noise": np.zeros(3), "family": mixjax.Laplace}, TypeError, "Laplace takes no noise"),
        ({"noise": np.zeros((200, 3, 3)), "family": mixjax.DiagonalGaussian}, TypeError,
         r"noise of shape \(D,\) or \(N, D\) only"),
        ({"noise": np.array(["a", "b", "c"])}, TypeError, "noise must be real numbers"),
        ({"never": True}, ValueError, "x has no value in the columns 1: leave them out"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(rng, change, error, words):
    x = table(rng)
    x[:, 1] = np.nan if change.get("never") else x[:, 1]
    family = change.get("family", mixjax.Gaussian)
    with pytest.raises(error, match=words):
        mixjax.fit(jax.random.key(0), Observed(x, change.get("noise")), 2, family=family)


def test_draws_need_a_key_and_a_number(rng):
    mixture = mixture_of(mixjax.Gaussian, rng)
    for options in ({"n": 3}, {"key": jax.random.key(0)}):
        with pytest.raises(ValueError, match="draws need both a key and n"):
            mixjax.impute(mixture, np.zeros((2, 3)), **options)
    with pytest.raises(ValueError, match="x has 2 columns, but the mixture has 3"):
        mixjax.impute(mixture, np.zeros((2, 2)))


def test_a_family_says_if_it_knows_holes(rng):
    class Own(mixjax.Gaussian):
        observed_log_prob_and_statistics = mixjax.Family.observed_log_prob_and_statistics

    with pytest.raises(TypeError, match="Own does not say what holes and errors mean"):
        mixjax.fit(jax.random.key(0), Observed(table(rng)), 2, family=Own)


# --- Many tables ---


@pytest.mark.parametrize("family", [mixjax.Gaussian, mixjax.Laplace], ids=lambda f: f.__name__)
def test_many_tables_are_fitted_as_each_alone(rng, family):
    tables = [with_holes(rng, table(rng, n)) for n in (60, 80, 50)]
    noises = [rng.uniform(0, 1, size=x.shape) if family in GAUSSIANS else None for x in tables]
    each = [Observed(*both) for both in zip(tables, noises, strict=True)]
    fits = mixjax.fit_batch(jax.random.key(0), each, 2, family=family)
    for i, rows in enumerate(each):
        alone = mixjax.fit(jax.random.fold_in(jax.random.key(0), i), rows, 2, family=family)
        assert fits[i].energy == pytest.approx(alone.energy.item(), rel=1e-6)
    whole = Observed(np.concatenate(tables), None if noises[0] is None else np.concatenate(noises))
    groups = np.repeat([0, 1, 2], [60, 80, 50])
    _, grouped = mixjax.fit_groups(jax.random.key(0), whole, groups, 2, family=family)
    np.testing.assert_allclose(grouped.energy, fits.energy, rtol=1e-9)


def test_a_stack_of_tables(rng):
    x = np.stack([with_holes(rng, table(rng, 50)) for _ in range(4)])
    fits = mixjax.fit_batch(jax.random.key(0), Observed(x, np.full(3, 0.1)), 2)
    each = [Observed(one, np.full(3, 0.1)) for one in x]
    np.testing.assert_allclose(
        fits.energy, mixjax.fit_batch(jax.random.key(0), each, 2).energy, rtol=1e-9
    )


def test_what_is_wrong_with_one_of_many_tables_is_named(rng):
    x = table(rng, 50)
    with pytest.raises(TypeError, match=r"xs\[1\] is a plain table"):
        mixjax.fit_batch(jax.random.key(0), [Observed(x), x], 2)
    with pytest.raises(ValueError, match=r"noise of xs\[1\] must have shape \(3,\), \(50, 3\)"):
        mixjax.fit_batch(jax.random.key(0), [Observed(x), Observed(x, np.ones(2))], 2)


# --- What else is asked of rows ---


@by_family
def test_the_surprise_of_known_values(rng, family):
    mixture = mixture_of(family, rng)
    x = rng.normal(size=(20, 3))
    plain = mixjax.surprisal(mixture, x)
    np.testing.assert_allclose(mixjax.surprisal(mixture, Observed(x)), plain, rtol=1e-7, atol=1e-9)
    holed = x.copy()
    holed[:, 1] = np.nan
    found = mixjax.surprisal(mixture, Observed(holed))
    np.testing.assert_allclose(found[:, 1], 0, atol=1e-12)
    left = mixjax.surprisal(mixjax.marginal(mixture, [0, 2]), x[:, [0, 2]])
    np.testing.assert_allclose(found[:, [0, 2]], left, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("noise", [np.full(3, 0.5), np.broadcast_to(0.5 * np.eye(3), (20, 3, 3))])
def test_the_surprise_of_measurements(rng, noise):
    """The energy falls by it if the value is left out."""
    mixture = mixture_of(mixjax.Gaussian, rng)
    x = rng.normal(size=(20, 3))
    found = mixjax.surprisal(mixture, Observed(x, noise))
    holed = x.copy()
    holed[:, 0] = np.nan
    energies = [mixjax.energy(mixture, Observed(rows, noise)) for rows in (x, holed)]
    np.testing.assert_allclose(found[:, 0], energies[0] - energies[1], rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("criterion", [mixjax.bic, mixjax.aic, mixjax.icl])
def test_criteria_count_rows_with_a_value(rng, criterion):
    mixture = mixture_of(mixjax.Gaussian, rng)
    x = with_holes(rng, table(rng))
    more = np.concatenate([x, np.full((9, 3), np.nan)])
    alone, both = (criterion(mixture, Observed(rows)) for rows in (x, more))
    assert both == pytest.approx(alone.item(), rel=1e-12)
    weights = np.r_[np.ones(200), np.full(9, 3.0)]
    weighted = criterion(mixture, Observed(more), weights)
    assert weighted == pytest.approx(alone.item(), rel=1e-12)


def test_what_does_not_take_them_says_so(rng):
    x = Observed(table(rng))
    with pytest.raises(TypeError, match=r"is mixjax\.Observed, which this function does not take"):
        mixjax.kmeans(jax.random.key(0), x, 2)
    fits = mixjax.fit_batch(jax.random.key(0), [x.x], 2)
    with pytest.raises(TypeError, match="ask for each table by itself"):
        mixjax.energy_batch(fits.mixture, [x])


@pytest.mark.parametrize("family", FULL, ids=lambda f: f.__name__)
@pytest.mark.parametrize("frozen", [(), ("means",)], ids=["free", "frozen"])
def test_sums_for_each_pattern_are_sums_over_rows(family, frozen, rng, monkeypatch):
    """Of two to eight columns without errors, in blocks of an even and an odd number of rows."""
    from mixjax.families import observed_gaussian

    n = 601 if frozen else 602
    x = with_holes(rng, table(rng, 602, 6))[:n]
    x[7] = np.nan
    rows, weights = Observed(x), rng.random(len(x))
    begin = mixjax.fit(jax.random.key(0), np.nan_to_num(x), 2, family=family, max_iter=1).mixture
    options = {"solver": mixjax.EM(frozen=frozen), "max_iter": 4, "tol": 0.0, "weights": weights}
    by_pattern = mixjax.fit_from(begin, rows, **options)
    asked = []
    monkeypatch.setattr(observed_gaussian, "by_pattern", lambda seen: bool(asked.append(seen)))
    jax.clear_caches()
    by_row = mixjax.fit_from(begin, rows, **options)
    assert asked
    monkeypatch.undo()
    jax.clear_caches()
    for a, b in zip(jax.tree.leaves(by_pattern), jax.tree.leaves(by_row), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-8)
    grown = jax.grad(lambda m: mixjax.energy(m, rows).mean())(begin)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(grown))


def test_what_may_be_missing_is_said_where_nan_is_refused(rng):
    x = with_holes(rng, table(rng))
    key, hint = jax.random.key(0), r"mixjax\.Observed"
    for call in (
        lambda: mixjax.select(key, x, n_components=[1]),
        lambda: mixjax.detect.fit(key, x),
        lambda: mixjax.fit_stream(key, [x], 2),
        lambda: mixjax.check(mixjax.fit(key, x, 2), x),
    ):
        with pytest.raises((ValueError, mixjax.FitError), match=hint):
            call()
    fit = mixjax.fit(key, Observed(x), 1)
    assert mixjax.check(fit, Observed(x)) is fit
    bad = x.copy()
    bad[3, 0] = np.inf
    with pytest.raises(mixjax.FitError, match="the rows 3 of x hold NaN or infinity"):
        mixjax.check(mixjax.fit(key, Observed(bad), 1), Observed(bad))
