"""A fit does not depend on the units of the columns, nor on how far from zero they lie."""

import dataclasses
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pandas
import pytest
from conftest import FAMILIES
from problems import clusters, random_mixture

import mixjax

KEY = jax.random.key(0)
ROWS, COLUMNS, COMPONENTS = 96, 2, 2


def table(seed):
    return clusters(np.random.default_rng(seed), ROWS, COLUMNS, COMPONENTS)


def same_but_moved(fit, one, scale, atol=1e-3):
    """Whether a fit of ``scale * x`` is the fit of x, moved."""
    assert int(fit.status) == int(one.status)
    np.testing.assert_allclose(fit.mixture.weights, one.mixture.weights, atol=atol)
    expected = float(one.energy) + COLUMNS * np.log(scale)
    np.testing.assert_allclose(float(fit.energy), expected, atol=atol)
    own = np.asarray(fit.mixture.components.standard_deviations, np.float64) / scale
    theirs = np.asarray(one.mixture.components.standard_deviations)
    np.testing.assert_allclose(own, theirs, rtol=10 * atol)


@pytest.mark.parametrize("seed", range(2))
def test_units_do_not_matter(family, seed):
    x = table(seed)
    one = mixjax.fit(KEY, x.astype("float32"), COMPONENTS, family=family)
    for scale in (1e-35, 1e-22, 1e-10, 1e19, 1e25, 1e35):
        fit = mixjax.fit(KEY, (x * scale).astype("float32"), COMPONENTS, family=family)
        same_but_moved(fit, one, scale)


def test_units_do_not_matter_in_double_precision(family, float64):
    x = table(3)
    one = mixjax.fit(KEY, x, COMPONENTS, family=family)
    for scale in (1e-160, 1e160, 1e-290, 1e290):
        same_but_moved(mixjax.fit(KEY, x * scale, COMPONENTS, family=family), one, scale, 1e-8)


def test_units_do_not_matter_to_an_m_step(family):
    x = table(4).astype("float32")
    resp = np.random.default_rng(5).dirichlet(np.ones(COMPONENTS), ROWS).astype("float32")
    one = mixjax.m_step(family, x, resp)
    for scale in (1e-30, 1e30):
        mixture = mixjax.m_step(family, x * np.float32(scale), resp)
        own = np.asarray(mixture.components.standard_deviations, np.float64) / scale
        np.testing.assert_allclose(own, one.components.standard_deviations, rtol=1e-3)
        np.testing.assert_allclose(mixture.weights, one.weights, rtol=1e-5)


def test_the_ridge_has_the_units_of_the_columns(family):
    """Rows on a line have no width but that of the ridge, a share of the variance."""
    line = (np.arange(40.0)[:, None] * np.array([[1.0, -2.0]])).astype("float32")
    one = mixjax.fit(KEY, line, 1, family=family)
    for scale in (1e-21, 1e21):
        same_but_moved(mixjax.fit(KEY, line * np.float32(scale), 1, family=family), one, scale)


@pytest.mark.parametrize("outlier", [1e20, 1e21, 3e37])
def test_one_value_near_the_largest_leaves_every_number_finite(family, outlier):
    x = table(6).astype("float32")
    x[7, 0] = outlier
    fit = mixjax.fit(KEY, x, COMPONENTS, family=family)
    assert int(fit.status) in (mixjax.Status.CONVERGED, mixjax.Status.MAX_ITER)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(fit))


def test_no_parameter_is_nan_where_a_fit_is_not_finite(family):
    given = random_mixture(family, np.random.default_rng(7), COMPONENTS, COLUMNS, "float32")
    broken = jax.tree.map(lambda leaf: jnp.full_like(leaf, jnp.nan), given)
    fit = mixjax.fit_from(broken, table(7).astype("float32"))
    assert int(fit.status) == mixjax.Status.NONFINITE
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(fit.mixture))


def forms(x):
    """The same rows as a user may have them."""
    return {
        "array": x,
        "lists": x.tolist(),
        "frame": pandas.DataFrame(x, columns=["a", "b"]),
        "fortran": np.asfortranarray(x),
    }


@pytest.mark.parametrize("offset", [1e6, 1.7e9, -1e12])
def test_the_offset_of_double_precision_does_not_matter(family, offset):
    x = table(8)
    one = mixjax.fit(KEY, x, COMPONENTS, family=family)
    for rows in forms(x + offset).values():
        same_but_moved(mixjax.fit(KEY, rows, COMPONENTS, family=family), one, 1)
    again = mixjax.fit_from(
        mixjax.fit(KEY, x + offset, COMPONENTS, family=family).mixture, x + offset, max_iter=20
    )
    assert np.isfinite(float(again.energy))


def test_the_offset_does_not_matter_to_many_tables():
    x = table(9)
    one = mixjax.fit_batch(KEY, [x, x[:60]], COMPONENTS)
    many = mixjax.fit_batch(KEY, [x + 1.7e9, x[:60]], COMPONENTS)
    np.testing.assert_allclose(many.energy, one.energy, atol=1e-4)
    stacked = mixjax.fit_batch(KEY, np.stack([x, x - 3e8]), COMPONENTS)
    np.testing.assert_allclose(stacked.energy[0], stacked.energy[1], atol=0.05)
    groups = np.repeat([0, 1], ROWS)
    _, grouped = mixjax.fit_groups(KEY, np.concatenate([x, x + 1e10]), groups, COMPONENTS)
    np.testing.assert_allclose(grouped.energy[0], grouped.energy[1], atol=0.05)


def test_the_offset_does_not_matter_to_select_and_the_starts():
    x = table(10)
    options = {"families": [mixjax.Gaussian], "n_components": [1, 2], "reg_covar": [1e-6]}
    one = mixjax.select(KEY, x, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        far = mixjax.select(KEY, x + 1.7e9, **options)
    np.testing.assert_allclose(far.scores, one.scores, rtol=1e-4)
    assert far.candidates[far.best] == one.candidates[one.best]
    assert np.abs(np.asarray(far.fit.mixture.components.means) - 1.7e9).max() < 300
    for start in (mixjax.kmeans, mixjax.kmeans_plus_plus):
        same = np.asarray(start(KEY, x + 1.7e9, 2)) == np.asarray(start(KEY, x, 2))
        assert same.all()


def test_a_start_of_ones_own_sees_the_rows_where_they_are():
    x = table(11) + 1.7e9
    seen = []

    def start(key, rows, k, weights):
        jax.debug.callback(lambda low: seen.append(float(low)), jnp.min(rows))
        return jnp.full((rows.shape[0], k), 0.5, rows.dtype)

    mixjax.fit(KEY, x, 2, start=start).energy.block_until_ready()
    jax.effects_barrier()
    assert seen
    assert abs(seen[0] - 1.7e9) < 1000


def test_check_says_where_centers_are_no_floats(family):
    x = table(12)
    mixjax.check(mixjax.fit(KEY, x, COMPONENTS, family=family, max_iter=500))
    mixjax.check(mixjax.fit(KEY, x + 1e3, COMPONENTS, family=family, max_iter=500))
    far = mixjax.fit(KEY, x + 1.7e9, COMPONENTS, family=family, max_iter=500)
    with pytest.warns(UserWarning, match="IMPRECISE.*columns 0, 1"):
        mixjax.check(far)


def test_check_says_nothing_of_a_constant_column_far_from_zero():
    x = table(13).astype("float32")
    x[:, 1] = 2024
    for k in (1, 2):
        mixjax.check(mixjax.fit(KEY, x, k, max_iter=500))


def test_the_energy_is_that_of_the_mixture_unless_check_warns():
    """Fewer rows than columns: a component is a thousandth as wide as the table."""
    rng = np.random.default_rng(14)
    x = rng.normal(size=(5, 8)).astype("float32")
    for offset in (0, 10, 1e5):
        rows = x + np.float32(offset)
        fit = mixjax.fit(KEY, rows, 1)
        found = float(mixjax.energy(fit.mixture, rows).mean())
        if offset < 1e5:
            mixjax.check(fit)
            assert abs(found - float(fit.energy)) < 0.02
        else:
            with pytest.warns(UserWarning, match="IMPRECISE"):
                mixjax.check(fit)


@pytest.mark.parametrize("shift", [-3.0, 0.7, 50.0])
def test_weights_are_normalized_where_they_are_used(family, shift):
    mixture = random_mixture(family, np.random.default_rng(15), COMPONENTS, COLUMNS, "float32")
    x = jnp.asarray(table(15), "float32")
    other = dataclasses.replace(mixture, log_weights=mixture.log_weights + shift)
    for ask in (mixjax.log_prob, mixjax.energy, mixjax.responsibilities, mixjax.surprisal):
        np.testing.assert_allclose(ask(other, x), ask(mixture, x), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(other.weights, mixture.weights, rtol=1e-5)
    fits = [mixjax.fit_from(begin, x, max_iter=3) for begin in (mixture, other)]
    np.testing.assert_allclose(fits[0].energy, fits[1].energy, rtol=1e-5)


def test_training_a_mixture_by_its_energy_learns_no_weight():
    """Without normalization the loss falls for ever, by weights of a sum above 1."""
    rng = np.random.default_rng(16)
    x = jnp.asarray(rng.normal(size=(ROWS, 1)), "float32")
    normal = mixjax.DiagonalGaussian(jnp.zeros((2, 1)), jnp.ones((2, 1)))
    gradient = jax.grad(lambda w: mixjax.energy(mixjax.Mixture(w, normal), x).mean())(jnp.zeros(2))
    np.testing.assert_allclose(gradient, 0, atol=1e-6)
    zero = mixjax.log_prob(mixjax.Mixture(jnp.zeros(2), normal), jnp.zeros((1, 1)))
    np.testing.assert_allclose(zero, -0.5 * np.log(2 * np.pi), rtol=1e-6)


def test_a_component_of_weight_zero_is_no_failure(family):
    mixture = random_mixture(family, np.random.default_rng(17), 3, COLUMNS, "float32")
    x = jnp.asarray(table(17), "float32")
    with_none = dataclasses.replace(mixture, log_weights=jnp.log(jnp.array([0.0, 0.5, 0.5])))
    fit = mixjax.fit_from(with_none, x, max_iter=20)
    assert int(fit.status) == mixjax.Status.DEGENERATE
    assert float(fit.mixture.weights[0]) < 1e-6
    alone = mixjax.Mixture(jnp.log(jnp.array([0.5, 0.5])), mixture.components.take(slice(1, 3)))
    if family is not mixjax.TiedGaussian:
        other = mixjax.fit_from(alone, x, max_iter=20)
        np.testing.assert_allclose(fit.energy, other.energy, atol=1e-3)
    np.testing.assert_allclose(
        mixjax.energy(with_none, x), mixjax.energy(alone, x), rtol=1e-4, atol=1e-4
    )


def test_negative_weights_and_responsibilities_are_refused():
    x = table(18)
    resp = np.full((ROWS, 2), 0.5)
    resp[3, 1] = -0.1
    with pytest.raises(ValueError, match="row 3"):
        mixjax.m_step(mixjax.Gaussian, x, resp)


def test_families_say_where_they_lie_and_how_sharp_they_are():
    for family in FAMILIES:
        mixture = random_mixture(family, np.random.default_rng(19), 3, 2, "float32")
        precisions = np.linalg.inv(np.asarray(mixture.components.covariances, np.float64))
        expected = np.sqrt(np.diagonal(precisions, axis1=-2, axis2=-1))
        if issubclass(family, mixjax.Laplace):
            expected = expected * np.sqrt(2)
        np.testing.assert_allclose(mixture.components.sharpness, expected, rtol=1e-4)
        assert mixture.components.centers.shape == (3, 2)


def test_single_and_double_precision_are_asked_in_double(family, float64):
    rng = np.random.default_rng(20)
    single = random_mixture(family, rng, COMPONENTS, COLUMNS, "float32")
    double = jax.tree.map(lambda leaf: jnp.asarray(leaf, "float64"), single)
    x = jnp.asarray(table(20))
    for ask in (mixjax.log_prob, mixjax.energy, mixjax.responsibilities, mixjax.surprisal):
        for mixture, rows in ((single, x), (double, x.astype("float32"))):
            answer = ask(mixture, rows)
            assert answer.dtype == np.float64
            expected = ask(double, rows.astype("float64"))
            np.testing.assert_allclose(answer, expected, rtol=1e-12, atol=1e-12)


def test_digits_that_are_lost_are_named():
    """Where no origin is kept, as in a network's inputs, a warning says what rounding hides."""
    x = table(21)
    state = mixjax.Stepwise.of(mixjax.fit(KEY, x, COMPONENTS).mixture)
    mixjax.update(state, x, 0.1)
    mixjax.update(state, np.round(x) + 2024.0, 0.1)  # whole numbers are floats
    with pytest.warns(UserWarning, match="columns 1 of x .* float32 loses"):
        mixjax.update(state, x + np.array([0.0, 1.7e9]), 0.1)
