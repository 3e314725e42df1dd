"""Rows of some of which the component is known."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import mixjax
from mixjax import Observed

pytestmark = pytest.mark.usefixtures("float64")

FAMILIES = [
    mixjax.Gaussian, mixjax.TiedGaussian, mixjax.DiagonalGaussian, mixjax.SphericalGaussian,
    mixjax.Laplace, mixjax.MeanLaplace,
]  # fmt: skip
by_family = pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.__name__)
KEY = jax.random.key(0)


@pytest.fixture
def groups(rng):
    """Three groups that overlap, and which each row is from."""
    truth = rng.integers(3, size=300)
    centers = np.array([[0.0, 0.0], [2.5, 0.0], [0.0, 2.5]])
    return centers[truth] + rng.normal(size=(300, 2)), truth


def some(rng, truth, share):
    return np.where(rng.random(len(truth)) < share, truth, -1)


@by_family
def test_with_all_labels_it_is_the_m_step(groups, family):
    x, truth = groups
    fit = mixjax.fit(KEY, x, 3, family=family, labels=truth)
    expected = mixjax.m_step(family, x, np.eye(3)[truth])
    for a, b in zip(*map(jax.tree.leaves, (fit.mixture, expected)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-8)
    # The energy is that of the rows together with their labels.
    parts = np.asarray(expected.components.log_prob(x)) + np.asarray(expected.log_weights)
    joint = np.take_along_axis(parts, truth[:, None], axis=1)
    assert fit.energy == pytest.approx(-joint.mean(), rel=1e-9)


@by_family
def test_without_labels_it_is_the_plain_fit(groups, family):
    x, _ = groups
    fits = [mixjax.fit(KEY, x, 3, family=family, labels=labels)
            for labels in (None, np.full(300, -1))]  # fmt: skip
    assert fits[0].energy == pytest.approx(fits[1].energy.item(), rel=1e-9)
    assert fits[0].n_iter == fits[1].n_iter


@by_family
def test_components_have_the_numbers_of_the_labels(groups, rng, family):
    x, truth = groups
    for order in ([0, 1, 2], [2, 0, 1]):
        named = np.array(order)[truth]
        fit = mixjax.fit(KEY, x, 3, family=family, labels=some(rng, named, 0.2))
        found = np.asarray(mixjax.responsibilities(fit.mixture, x)).argmax(axis=1)
        assert (found == named).mean() > 0.7


def test_a_component_without_labels_is_found(groups, rng):
    x, truth = groups
    labels = np.where(truth == 2, -1, some(rng, truth, 0.3))
    fit = mixjax.fit(KEY, x, 3, labels=labels)
    np.testing.assert_allclose(fit.mixture.components.means[2], [0, 2.5], atol=0.6)


@by_family
def test_no_iteration_raises_the_energy(groups, rng, family):
    if family is mixjax.MeanLaplace:
        pytest.skip("its M-step is not of maximum likelihood")
    x, truth = groups
    labels = some(rng, truth, 0.2)
    options = {"solver": mixjax.EM(reg_covar=0.0), "tol": 0.0}
    begin = mixjax.fit(KEY, x, 3, family=family, labels=labels, max_iter=0).mixture
    last = np.inf
    for _ in range(6):
        fit = mixjax.fit_from(begin, x, labels=labels, max_iter=2, **options)
        assert fit.energy < last + 1e-9
        begin, last = fit.mixture, fit.energy


def test_with_holes_and_errors(groups, rng):
    x, truth = groups
    holed = np.where(rng.random(x.shape) < 0.2, np.nan, x)
    rows = Observed(holed, np.full(2, 0.1))
    fit = mixjax.fit(KEY, rows, 3, labels=some(rng, truth, 0.5))
    found = np.asarray(mixjax.responsibilities(fit.mixture, rows)).argmax(axis=1)
    assert (found == truth).mean() > 0.65
    assert mixjax.Status(int(fit.status)) is mixjax.Status.CONVERGED


def test_labels_help(groups, rng):
    """Half of the labels tell apart what overlaps."""
    x, truth = groups
    means = [mixjax.fit(KEY, x, 3, labels=labels).mixture.components.means
             for labels in (some(rng, truth, 0.5), truth)]  # fmt: skip
    assert np.abs(means[0] - means[1]).max() < 0.5


def test_other_starts_and_solvers(groups, rng):
    x, truth = groups
    labels = some(rng, truth, 0.3)

    def own(key, x, n_components, weights):
        assert x.shape[1] == 2
        return jnp.full((len(x), n_components), 1 / n_components)

    expected = mixjax.fit(KEY, x, 3, labels=labels, tol=1e-8, max_iter=500)
    for start in (mixjax.RandomResponsibilities(), own, mixjax.KMeansPlusPlus()):
        fit = mixjax.fit(KEY, x, 3, labels=labels, start=start, tol=1e-8, max_iter=500)
        assert fit.energy == pytest.approx(expected.energy.item(), abs=0.02)
    solver = mixjax.Gradient(optax.adam(5e-2))
    fit = mixjax.fit(KEY, x, 3, labels=labels, solver=solver, tol=1e-7, max_iter=500)
    assert fit.energy == pytest.approx(expected.energy.item(), abs=0.01)


def test_under_jit(groups, rng):
    x, truth = groups
    labels = some(rng, truth, 0.3)
    alone = mixjax.fit(KEY, x, 3, labels=labels)
    program = jax.jit(lambda x, labels: mixjax.fit(KEY, x, 3, labels=labels))
    assert program(x, labels).energy == pytest.approx(alone.energy.item(), rel=1e-8)


@pytest.mark.parametrize(
    ("labels", "error", "words"),
    [
        (np.full(300, 3), ValueError, "labels must be from 0 to 2, or -1 .*; got 3 in row 0"),
        (np.where(np.arange(300) == 7, -2, 0), ValueError, "got -2 in row 7"),
        (np.zeros(299, int), ValueError, r"labels must have shape \(300,\)"),
        (np.zeros(300), TypeError, "labels must be whole numbers, got float64"),
    ],
)
def test_what_is_wrong_is_named(groups, labels, error, words):
    with pytest.raises(error, match=words):
        mixjax.fit(KEY, groups[0], 3, labels=labels)
