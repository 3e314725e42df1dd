"""Columns of categories, and families over groups of columns."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pandas as pd
import polars as pl
import pytest

import mixjax
from mixjax import Observed, dagmm

pytestmark = pytest.mark.usefixtures("float64")

KEY = jax.random.key(0)
MIXED = mixjax.product({mixjax.Gaussian: [0, 1], mixjax.Categorical: [2, 3]})
TURNED = mixjax.product({mixjax.Categorical: [3, 2], mixjax.SphericalGaussian: [1],
                         mixjax.Laplace: [0]})  # fmt: skip
PRODUCTS = {"in order": MIXED, "turned": TURNED}
by_product = pytest.mark.parametrize("family", PRODUCTS.values(), ids=PRODUCTS)


def table(rng, n=300):
    """Two groups: two columns of numbers, one of four levels and one of three; and the group."""
    group = rng.integers(2, size=n)
    numbers = rng.normal(size=(n, 2)) + 3 * group[:, None]
    first = np.where(group == 1, rng.integers(0, 2, n), rng.integers(1, 4, n))
    return np.column_stack([numbers, first, rng.integers(0, 3, n)]), group


def agreement(mixture, rows, group):
    found = np.asarray(mixjax.responsibilities(mixture, rows)).argmax(axis=1)
    return max((found == group).mean(), (found != group).mean())


# --- Categories ---


def test_probabilities_are_shares_and_a_row_seen_before(rng):
    x = table(rng)[0][:, 2:]
    components = mixjax.m_step(mixjax.Categorical, x, np.ones((300, 1))).components
    assert components.levels == (4, 3)
    assert components.n_parameters == 3 + 2
    for column, n in enumerate((4, 3)):
        counts = np.bincount(x[:, column].astype(int), minlength=n)
        found = np.exp(components.log_probs[0, column])
        np.testing.assert_allclose(found[:n], (counts + 1 / n) / 301, rtol=1e-12)
        np.testing.assert_array_equal(found[n:], 0)


def test_a_level_that_was_not_seen_is_improbable_not_impossible(rng):
    x = rng.integers(0, 2, (50, 1)).astype(float)
    family = mixjax.Categorical.of(3)
    mixture = mixjax.fit(KEY, x, 1, family=family).mixture
    energy = mixjax.energy(mixture, np.array([[2.0]]))
    assert energy.item() == pytest.approx(np.log(51 * 3), rel=1e-9)


def test_the_density_is_the_product_over_columns(rng):
    x = table(rng)[0][:, 2:]
    mixture = mixjax.fit(KEY, x, 2, family=mixjax.Categorical).mixture
    log_probs = np.asarray(mixture.components.log_probs)
    codes = x.astype(int)
    parts = log_probs[:, 0, codes[:, 0]] + log_probs[:, 1, codes[:, 1]]
    expected = np.logaddexp.reduce(parts + np.asarray(mixture.log_weights)[:, None])
    np.testing.assert_allclose(mixjax.log_prob(mixture, x), expected, rtol=1e-10)
    total = sum(
        np.exp(mixjax.log_prob(mixture, np.array([[float(i), float(j)]])).item())
        for i in range(4) for j in range(3)
    )  # fmt: skip
    assert total == pytest.approx(1)


def test_samples_have_the_probabilities(rng):
    x = table(rng)[0][:, 2:]
    mixture = mixjax.fit(KEY, x, 2, family=mixjax.Categorical).mixture
    rows, labels = map(np.asarray, mixjax.sample(KEY, mixture, 20_000))
    for k in range(2):
        shares = np.bincount(rows[labels == k, 0].astype(int), minlength=4) / (labels == k).sum()
        np.testing.assert_allclose(shares, np.exp(mixture.components.log_probs[k, 0]), atol=0.02)


def test_gradients_fit_it_as_well(rng):
    """But for the prior, which the energy does not hold."""
    x = table(rng)[0][:, 2:]
    begin = mixjax.fit(KEY, x, 2, family=mixjax.Categorical, tol=1e-9, max_iter=500)
    solver = mixjax.Gradient(optax.adam(1e-2))
    fit = mixjax.fit_from(begin.mixture, x, solver=solver, max_iter=200, tol=0.0)
    assert fit.energy <= begin.energy + 1e-9
    assert fit.energy == pytest.approx(begin.energy.item(), abs=0.01)


# --- Products ---


@by_product
def test_the_parts_are_fitted_together(rng, family):
    x, group = table(rng)
    fit = mixjax.check(mixjax.fit(KEY, x, 2, family=family))
    assert agreement(fit.mixture, x, group) > 0.95
    parts = fit.mixture.components.parts
    each = sum(part.log_prob(x[:, list(g)]) for part, g in
               zip(parts, type(fit.mixture.components).groups, strict=True))  # fmt: skip
    np.testing.assert_allclose(fit.mixture.components.log_prob(x), each, rtol=1e-12)
    again = mixjax.fit_from(fit.mixture, x, tol=0.0, max_iter=1)
    assert again.energy <= fit.energy + 1e-4


@by_product
def test_the_m_step_is_that_of_the_parts(rng, family):
    x, group = table(rng)
    resp = np.where(group[:, None] == [0, 1], 0.8, 0.2)
    whole = mixjax.m_step(family, x, resp).components
    for part, own, columns in zip(whole.parts, family.families, family.groups, strict=True):
        if own is mixjax.Laplace:
            continue  # within a product its M-step is that of sums, not of exact medians
        alone = mixjax.m_step(own, x[:, list(columns)], resp).components
        for a, b in zip(jax.tree.leaves(part), jax.tree.leaves(alone), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


@by_product
def test_holes_in_any_column(rng, family):
    x, group = table(rng)
    holes = rng.random(x.shape) < 0.2
    holes[np.arange(300), rng.integers(4, size=300)] = False
    rows = Observed(np.where(holes, np.nan, x))
    fit = mixjax.check(mixjax.fit(KEY, rows, 2, family=family))
    assert agreement(fit.mixture, rows, group) > 0.9
    one = x.copy()
    one[:, [1, 2]] = np.nan
    left = mixjax.marginal(fit.mixture, [0, 3])
    np.testing.assert_allclose(
        mixjax.energy(fit.mixture, Observed(one)), mixjax.energy(left, x[:, [0, 3]]), rtol=1e-9
    )


def test_without_holes_observed_rows_are_plain_ones(rng):
    x, _ = table(rng)
    plain, seen = (mixjax.fit(KEY, rows, 2, family=MIXED) for rows in (x, Observed(x)))
    assert seen.energy == pytest.approx(plain.energy.item(), rel=1e-9)


@by_product
def test_units_of_the_numbers_do_not_matter(rng, family):
    x, _ = table(rng)
    scale, shift = np.array([1e-4, 1e3, 1, 1]), np.array([5, 1e5, 0, 0])
    fits = [mixjax.fit(KEY, rows, 2, family=family) for rows in (x, x * scale + shift)]
    change = fits[1].energy - fits[0].energy
    assert change == pytest.approx(np.log(scale).sum(), abs=1e-5)


@by_product
def test_surprises_and_samples_are_in_the_order_of_the_columns(rng, family):
    x, _ = table(rng)
    mixture = mixjax.fit(KEY, x, 2, family=family).mixture
    rest = mixjax.marginal(mixture, [1, 2, 3])
    expected = mixjax.energy(mixture, x) - mixjax.energy(rest, x[:, 1:])
    np.testing.assert_allclose(mixjax.surprisal(mixture, x)[:, 0], expected, rtol=1e-6, atol=1e-9)
    rows = np.asarray(mixjax.sample(KEY, mixture, 5000)[0])
    np.testing.assert_allclose(rows[:, :2].mean(axis=0), x[:, :2].mean(axis=0), atol=0.2)
    assert set(rows[:, 2]) == {0, 1, 2, 3}
    assert set(rows[:, 3]) == {0, 1, 2}


def test_under_jit_and_vmap_levels_are_given(rng):
    tables = np.stack([table(rng)[0] for _ in range(2)])
    family = mixjax.product({mixjax.Gaussian: [0, 1], mixjax.Categorical.of(4, 3): [2, 3]})

    def fit(x):
        return mixjax.fit(KEY, x, 2, family=family)

    together = jax.jit(jax.vmap(fit))(tables)
    alone = [mixjax.fit(KEY, x, 2, family=MIXED) for x in tables]
    np.testing.assert_allclose(together.energy, [one.energy for one in alone], rtol=1e-8)
    many = mixjax.fit_batch(KEY, tables, 2, family=MIXED)
    np.testing.assert_allclose(many.energy, [one.energy for one in alone], rtol=1e-5)
    with pytest.raises(TypeError, match=r"mixjax\.Categorical\.of\(3, 2\)"):
        jax.jit(lambda x: mixjax.fit(KEY, x, 2, family=MIXED))(tables[0])


@by_product
def test_it_is_saved(rng, tmp_path, family):
    fit = mixjax.fit(KEY, table(rng)[0], 2, family=family)
    mixjax.save(tmp_path / "fit.npz", fit)
    again = mixjax.load(tmp_path / "fit.npz")
    assert jax.tree.structure(again) == jax.tree.structure(fit)
    for a, b in zip(*map(jax.tree.leaves, (again, fit)), strict=True):
        np.testing.assert_array_equal(a, b)


def test_labels_and_frozen_weights(rng):
    x, group = table(rng)
    labels = np.where(rng.random(300) < 0.3, group, -1)
    fit = mixjax.fit(KEY, x, 2, family=MIXED, labels=labels)
    found = np.asarray(mixjax.responsibilities(fit.mixture, x)).argmax(axis=1)
    assert (found == group).mean() > 0.95
    held = mixjax.fit_from(fit.mixture, x, solver=mixjax.EM(frozen=("weights",)))
    np.testing.assert_array_equal(held.mixture.log_weights, fit.mixture.log_weights)


# --- Bad input ---


def test_what_is_wrong_is_named(rng):
    x, _ = table(rng)
    codes = x[:, 2:]
    mixture = mixjax.fit(KEY, codes, 2, family=mixjax.Categorical).mixture
    cases = [
        (lambda: mixjax.energy(mixture, np.array([[1.0, 0.0], [7.0, 0.0]])), ValueError,
         "from 0 to 3, got 7.0 in row 1, column 0"),
        (lambda: mixjax.fit(KEY, codes + 0.5, 2, family=mixjax.Categorical), ValueError,
         "whole numbers from 0, got"),
        (lambda: mixjax.fit(KEY, -codes, 2, family=mixjax.Categorical), ValueError,
         "whole numbers from 0, got -"),
        (lambda: mixjax.fit(KEY, x[:, :3], 2, family=MIXED), ValueError,
         "the groups have 4 columns together, x has 3"),
        (lambda: mixjax.product({mixjax.Gaussian: [0, 1], mixjax.Categorical: [1]}), ValueError,
         "1 is named twice"),
        (lambda: mixjax.product({mixjax.Gaussian: [0, 2]}), ValueError,
         r"the columns named are \[0, 2\]"),
        (lambda: mixjax.product({mixjax.Gaussian: [0], mixjax.Laplace: []}), ValueError,
         "Laplace has no columns"),
        (lambda: mixjax.product({int: [0]}), TypeError, "family"),
        (lambda: mixjax.product({}), ValueError, "at least one family"),
        (lambda: mixjax.Categorical.of(0), ValueError, "levels must be whole numbers"),
        (lambda: mixjax.fit(KEY, Observed(x, np.ones(4)), 2, family=MIXED), TypeError,
         "GaussianAndCategorical takes no noise"),
    ]  # fmt: skip
    for call, error, words in cases:
        with pytest.raises(error, match=words):
            call()


def test_compiled_a_value_that_is_no_level_has_infinite_energy(rng):
    codes = table(rng)[0][:, 2:]
    mixture = mixjax.fit(KEY, codes, 2, family=mixjax.Categorical).mixture
    rows = jnp.array([[7.0, 0.0], [0.5, 0.0], [jnp.nan, 0.0], [0.0, 0.0]])
    energies = jax.jit(lambda x: mixjax.energy(mixture, x))(rows)
    assert np.isinf(energies[:2]).all()
    assert np.isnan(energies[2])
    assert np.isfinite(energies[3])


@by_product
def test_what_does_not_take_categories_says_so(rng, family):
    with pytest.raises(TypeError, match=r"DAGMM is for families of numbers, got .*Categorical"):
        dagmm.DAGMM(KEY, 4, family=family)


@by_product
def test_missing_categories_become_the_most_probable_ones(rng, family):
    """Means by Bayes' rule, and draws that have the probabilities."""
    x, _ = table(rng, 400)
    x[:, 3] = np.where(x[:, 2] >= 2, 2, rng.integers(0, 2, 400))
    mixture = mixjax.fit(KEY, x, 2, family=family).mixture
    rows = x[:50].copy()
    rows[:, 2] = np.nan
    rows[::2, 0] = np.nan
    filled = np.asarray(mixjax.impute(mixture, rows))
    part, column = next(
        (part, g.index(2))
        for part, g in zip(mixture.components.parts, mixture.components.groups, strict=True)
        if 2 in g
    )
    resp = np.asarray(mixjax.responsibilities(mixture, Observed(rows)))
    shares = resp @ np.exp(part.log_probs[:, column, : part.levels[column]])
    np.testing.assert_array_equal(filled[:, 2], shares.argmax(axis=1))
    np.testing.assert_allclose(filled[1::2, 0], x[1:50:2, 0])
    draws = np.asarray(mixjax.impute(mixture, rows, key=KEY, n=400))
    found = np.stack([(draws[:, :, 2] == level).mean(axis=0) for level in range(4)], axis=1)
    np.testing.assert_allclose(found, shares, atol=5 * 0.5 / 20)
    np.testing.assert_allclose(draws[:, 1::2, 3], np.broadcast_to(x[1:50:2, 3], (400, 25)))


FRAMES = {"pandas": pd.DataFrame, "polars": pl.DataFrame, "mapping": dict}


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
def test_words_of_a_frame_name_the_levels(frame, rng, tmp_path):
    size, code = rng.normal(size=60), rng.integers(0, 3, 60)
    color = np.array(["blue", "green", "red"])[rng.integers(0, 3, 60)].tolist()
    named = frame({"size": size, "color": color, "code": code})
    family = mixjax.product({mixjax.Gaussian: [0], mixjax.Categorical: [1, 2]})
    mixture = mixjax.fit(KEY, named, 2, family=family).mixture
    part = mixture.components.parts[1]
    assert part.words == (("blue", "green", "red"), ())
    assert part.levels == (3, 3)
    places = [("blue", "green", "red").index(word) for word in color]
    numbers = np.column_stack([size, places, code])
    np.testing.assert_allclose(mixjax.energy(mixture, named), mixjax.energy(mixture, numbers))
    again = mixjax.fit(KEY, numbers, 2, family=family).mixture
    np.testing.assert_allclose(mixjax.energy(again, numbers), mixjax.energy(mixture, numbers))
    # Its words go with it: into a file, into other columns, into another fit.
    mixjax.save(tmp_path / "mixture.npz", mixture)
    loaded = mixjax.load(tmp_path / "mixture.npz")
    np.testing.assert_array_equal(mixjax.energy(loaded, named), mixjax.energy(mixture, named))
    assert mixjax.marginal(mixture, [1]).components.parts[0].words == (("blue", "green", "red"),)
    assert mixjax.fit_from(mixture, named).mixture.components.parts[1].words == part.words
    holes = frame({"size": size[:2], "color": ["red", None], "code": code[:2]})
    energy = mixjax.energy(mixture, Observed(holes))
    codes = np.array([[size[0], 2, code[0]], [size[1], np.nan, code[1]]])
    np.testing.assert_allclose(energy, mixjax.energy(mixture, Observed(codes)))
    assert mixjax.impute(mixture, Observed(holes))[0, 1] == 2
    with pytest.raises(ValueError, match=r"never seen, in row 1, column 1: the words are blue, gr"):
        mixjax.energy(
            mixture, frame({"size": size[:2], "color": ["red", "violet"], "code": code[:2]})
        )
    turned = mixjax.product({mixjax.Gaussian: [0, 1], mixjax.Categorical: [2]})
    with pytest.raises(
        TypeError, match="'color' of x holds words, but GaussianAndCategorical takes"
    ):
        mixjax.fit(KEY, named, 2, family=turned)
