"""Holes and categories where mixtures are compared and anomalies detected."""

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.stats
from sklearn.metrics import roc_auc_score

import mixjax
from mixjax import Observed, detect
from mixjax.families.observing import observing
from mixjax.mixture.expected import expected_energy
from mixjax.rows.observed import packed
from mixjax.rows.words import coded_rows

KEY = jax.random.key(0)
NAN = np.nan
MIXED = mixjax.product({mixjax.Gaussian: [0, 1], mixjax.Categorical: [2, 3]})
FEW = {"families": [mixjax.DiagonalGaussian, mixjax.Laplace], "n_components": [1, 2]}


def table(rng, n=400):
    """Two groups: two columns of numbers, one of four levels and one of three."""
    group = rng.integers(2, size=n)
    numbers = rng.normal(size=(n, 2)) + 4 * group[:, None]
    first = np.where(group == 1, rng.integers(0, 2, n), rng.integers(1, 4, n))
    return np.column_stack([numbers, first, rng.integers(0, 3, n)]).astype("float32")


def with_holes(rng, x, share=0.2):
    return np.where(rng.random(x.shape) < share, np.nan, x).astype(x.dtype)


def of_packed(mixture, x):
    """The mixture and rows with holes as programs take them."""
    inner = mixture.components
    around = observing(inner.kind, 0).around(inner)
    return mixjax.Mixture(mixture.log_weights, around), jnp.asarray(packed(x, None, False))


# --- What a hole may be ---

ENTROPIES = {
    mixjax.DiagonalGaussian: lambda c, d: scipy.stats.norm(0, c.scales[0, d]).entropy(),
    mixjax.SphericalGaussian: lambda c, d: scipy.stats.norm(0, c.scales[0]).entropy(),
    mixjax.Laplace: lambda c, d: scipy.stats.laplace(0, c.scales[0, d]).entropy(),
    mixjax.Categorical: lambda c, d: scipy.stats.entropy(np.exp(c.log_probs[0, d])),
}


@pytest.mark.parametrize("family", ENTROPIES, ids=lambda family: family.__name__)
def test_entropies_of_independent_columns_are_those_of_scipy(family, rng, float64):
    x = table(rng).astype(float)
    x = x[:, 2:] if family is mixjax.Categorical else x[:, :2]
    mixture = mixjax.m_step(family, x, np.ones((400, 1)))
    mixture, rows = of_packed(mixture, np.array([[NAN, x[0, 1]], [NAN, NAN], x[1]]))
    found = mixture.components.missing_entropy(rows)[:, 0]
    each = [ENTROPIES[family](mixture.components.components, d) for d in range(2)]
    np.testing.assert_allclose(found, [each[0], sum(each), 0], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("family", [mixjax.Gaussian, mixjax.TiedGaussian])
@pytest.mark.parametrize("d", [3, 10], ids=["entries", "matrices"])
def test_entropies_of_full_covariances_are_those_of_the_conditionals(family, d, rng, float64):
    x = rng.normal(size=(60, d)) @ rng.normal(size=(d, d))
    mixture = mixjax.m_step(family, x, rng.dirichlet(np.ones(2), 60))
    row = x[0].copy()
    row[[0, 2]] = NAN
    wide, rows = of_packed(mixture, row[None])
    found = np.broadcast_to(wide.components.missing_entropy(rows), (1, 2))[0]
    rest = np.delete(np.arange(d), [0, 2])
    conditional = mixture.components.conditional(np.array([0, 2]), rest, jnp.asarray(x[0, rest]))
    covariances = conditional.covariances
    expected = [scipy.stats.multivariate_normal(np.zeros(2), c).entropy() for c in covariances]
    np.testing.assert_allclose(found, expected, rtol=1e-8)


def test_a_row_with_holes_has_the_mean_energy_of_the_rows_it_may_be(rng, float64):
    """One Gaussian and categories: exactly, here against draws."""
    x = table(rng).astype(float)
    mixture = mixjax.m_step(mixjax.Gaussian, x[:, :2], np.ones((400, 1)))
    rows = np.array([[1.0, NAN], [NAN, NAN], [2.0, 3.0]])
    found = expected_energy(*of_packed(mixture, rows))
    draws = mixjax.impute(mixture, Observed(rows), key=KEY, n=20_000).reshape(-1, 2)
    means = np.asarray(mixjax.energy(mixture, draws)).reshape(-1, 3).mean(axis=0)
    np.testing.assert_allclose(found, means, atol=0.03)
    np.testing.assert_allclose(found[2], mixjax.energy(mixture, rows[2:])[0], rtol=1e-12)


def test_components_that_lie_apart_have_their_own_entropies(float64):
    """What is known says which component a row is of, so only that one matters."""
    means, scales = jnp.array([[-50.0, 0.0], [50.0, 0.0]]), jnp.array([[1.0, 1.0], [1.0, 9.0]])
    mixture = mixjax.Mixture(jnp.log(jnp.full(2, 0.5)), mixjax.DiagonalGaussian(means, scales))
    rows = np.array([[-50.0, NAN], [50.0, NAN]])
    found = np.asarray(expected_energy(*of_packed(mixture, rows)))
    assert found[1] - found[0] == pytest.approx(np.log(9))


# --- select ---


def test_rows_without_holes_are_compared_as_plain_ones(rng, float64):
    x = table(rng).astype(float)[:, :2]
    options = {**FEW, "criterion": mixjax.bic, "tol": 1e-8, "ridge": [1e-6]}
    plain = mixjax.select(KEY, x, **options)
    same = mixjax.select(KEY, Observed(x), **options)
    np.testing.assert_allclose(same.scores, plain.scores, rtol=1e-6)
    assert same.candidates == plain.candidates


def test_holes_do_not_change_the_choice(rng):
    """Two groups of the families' kind; a row without a value is no row."""
    x = table(rng, 600)
    x = with_holes(rng, x[:, :2])
    x[3] = NAN
    options = {"families": mixjax.SphericalGaussian, "n_components": [1, 2, 4], "ridge": [1e-3]}
    for criterion in (mixjax.HeldOut(), mixjax.bic):
        found = mixjax.select(KEY, Observed(x), criterion=criterion, **options)
        assert found.candidates[found.best].n_components == 2
    assert found.scores[found.best] == pytest.approx(
        mixjax.bic(found.fit.mixture, Observed(x)).item(), rel=1e-3
    )
    without = mixjax.select(KEY, Observed(np.delete(x, 3, axis=0)), criterion=mixjax.bic, **options)
    np.testing.assert_allclose(without.scores, found.scores, rtol=1e-3)


def test_measured_errors_are_taken(rng):
    """The errors are as wide as the groups are apart; without them there are two groups."""
    x = np.repeat([0.0, 6.0], 200)[:, None] + 0.3 * rng.normal(size=(400, 1))
    rows = Observed(x + rng.normal(size=x.shape), noise=np.ones(1))
    found = mixjax.select(
        KEY, rows, families=mixjax.DiagonalGaussian, n_components=[1, 2, 4], ridge=[1e-3],
        criterion=mixjax.bic, tol=1e-6, max_iter=1000,
    )  # fmt: skip
    assert found.candidates[found.best].n_components == 2
    # The variance of 200 values of variance 1.09 has a standard error of 0.11.
    assert found.fit.mixture.components.variances.max() < 0.09 + 4 * 0.11
    with pytest.raises(TypeError, match="no noise"):
        mixjax.select(KEY, rows, families=mixjax.Laplace, n_components=[1])


@pytest.mark.parametrize("share", [0, 0.2], ids=["complete", "holes"])
def test_kinds_are_found(rng, share):
    x = table(rng)
    rows = Observed(with_holes(rng, x, share)) if share else x
    found = mixjax.select(KEY, rows, kinds="auto", ridge=[1e-3], criterion=mixjax.bic, **FEW)
    best = found.candidates[found.best]
    assert best.family.groups == ((0, 1), (2, 3))
    assert best.n_components == 2
    numbers, categories = found.fit.mixture.components.parts
    assert type(numbers) is mixjax.DiagonalGaussian
    assert categories.levels == (4, 3)
    again = mixjax.fit(KEY, rows, 2, family=best.family)
    np.testing.assert_allclose(again.energy, found.fit.energy, rtol=1e-3)
    assert "DiagonalGaussianAndCategorical" in str(found)


def test_all_columns_may_be_categories(rng):
    found = mixjax.select(KEY, table(rng)[:, 2:], kinds="auto", n_components=[1], ridge=[1e-3])
    assert [candidate.family for candidate in found.candidates] == [mixjax.Categorical]


def test_families_must_agree_which_columns_hold_categories(rng):
    x = table(rng)
    with pytest.raises(ValueError, match=r"cannot be compared: Gaussian .* \[\], .* in \[2, 3\]"):
        mixjax.select(KEY, x, families=[mixjax.Gaussian, MIXED], n_components=[1])
    with pytest.raises(ValueError, match='kinds must be "auto"'):
        mixjax.select(KEY, x, kinds="other")
    with pytest.raises(ValueError, match="from 0 to 3"):
        mixjax.select(KEY, x, kinds=[4])
    with pytest.raises(ValueError, match="no value in the columns 1"):
        mixjax.select(KEY, Observed(np.where(np.arange(4) == 1, NAN, x)), **FEW)
    with pytest.raises(ValueError, match=r"whole numbers from 0, got .* column 0"):
        mixjax.select(KEY, x, kinds=[0], n_components=[1])


# --- detect ---


def test_complete_rows_are_judged_alike(rng):
    """Packed or plain, and to rounding with the scores of the plain fit."""
    x = table(rng)[:, :2]
    plain, same = (detect.fit(KEY, rows, **FEW) for rows in (x, Observed(x)))
    np.testing.assert_allclose(plain.scores(Observed(x)), plain.scores(x), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(same.scores(x), plain.scores(x), rtol=0.02, atol=0.02)
    np.testing.assert_allclose(plain.explain(Observed(x)), plain.explain(x), atol=2e-3)


def test_it_keeps_its_rate_with_holes():
    """Fresh rows with as many holes; over several tables."""
    rates, n, m, alpha = [], 200, 1000, 0.1
    for seed in range(5):
        rng = np.random.default_rng(seed)
        rows = with_holes(rng, table(rng, n + m))
        detector = detect.fit(
            jax.random.key(seed), Observed(rows[:n]), kinds="auto", alpha=alpha, **FEW
        )
        rates.append(float(detector.predict(Observed(rows[n:])).mean()))
    noise = np.sqrt(alpha * (1 - alpha) * (1 / n + 1 / m) / len(rates))
    assert abs(np.mean(rates) - alpha) < 4 * noise


def test_what_is_strange_is_found_through_holes_and_explained(rng):
    x, odd = table(rng, 800), table(rng, 200)
    odd[:, 2] = np.where(odd[:, 0] > 2, 3, 0)  # common numbers, and a level of the other group
    rows = Observed(with_holes(rng, x[:400]))
    detector = detect.fit(KEY, rows, kinds="auto", **FEW)
    new = Observed(with_holes(rng, np.concatenate([x[400:], odd]), 0.1))
    scores = detector.scores(new)
    assert np.isfinite(scores).all()
    assert roc_auc_score(np.repeat([0, 1], [400, 200]), scores) > 0.85
    why, known = np.asarray(detector.explain(new)), ~np.isnan(new.x)
    assert (why[~known] == 0).all()
    seen = known[400:].all(axis=1) & np.asarray(detector.predict(new))[400:]
    assert (why[400:][seen].argmax(axis=1) != 3).mean() > 0.9
    # A row of which nothing is known is not strange, and without Observed NaN is.
    nothing = np.full((1, 4), NAN)
    assert not detector.predict(Observed(nothing))[0]
    assert detector.predict(nothing)[0]


def test_a_level_that_was_never_seen_is_strange_not_impossible(rng):
    x = table(rng)
    x[:, 2] *= 10
    detector = detect.fit(KEY, x, kinds="auto", **FEW)
    assert detector.levels == ((), (), (0, 10, 20, 30), (0, 1, 2))
    usual, unseen = x[0].copy(), x[0].copy()
    unseen[2] = 5
    scores = detector.scores(np.stack([usual, unseen]))
    assert np.isfinite(scores).all()
    assert scores[1] > scores[0] + 1
    assert detector.explain(unseen[None])[0].argmax() == 2
    # Also where rows are traced.
    np.testing.assert_allclose(jax.jit(detector.scores)(x[:9]), detector.scores(x[:9]), rtol=1e-4)


FRAMES = {"pandas": pd.DataFrame, "polars": lambda columns: pl.DataFrame(columns, strict=False)}


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
def test_words_in_frames_are_categories(frame, rng, tmp_path):
    x = table(rng)
    words = np.array(["north", "east", "south", "west"])[x[:, 2].astype(int)].astype(object)
    words[7] = None
    columns = {"size": x[:, 0].tolist(), "way": words.tolist(), "age": x[:, 1].tolist()}
    detector = detect.fit(KEY, Observed(frame(columns)), kinds="auto", **FEW)
    assert detector.levels == ((), ("east", "north", "south", "west"), ())
    mixjax.save(tmp_path / "detector.npz", detector)
    again = mixjax.load(tmp_path / "detector.npz")
    other = frame({"way": ["west", "up", None], "age": [0.0, 0.0, 0.0], "size": [0.0, 0.0, 0.0]})
    scores = again.scores(Observed(other))
    np.testing.assert_array_equal(scores, detector.scores(Observed(other)))
    assert np.isfinite(scores).all()
    assert scores[1] > scores[2]
    # By numbers: of the levels in their order.
    codes = np.array([[0, 3, 0], [0, 4, 0], [0, NAN, 0]], "float32")
    np.testing.assert_allclose(detector.scores(Observed(codes)), scores, rtol=1e-5)


@pytest.mark.parametrize("frame", [*FRAMES.values(), dict], ids=[*FRAMES, "mapping"])
def test_words_have_numbers(frame):
    rows, names, words = coded_rows(frame({"a": [1, 2, 3], "b": ["x", None, "w"]}))
    np.testing.assert_array_equal(rows, [[1, 1], [2, NAN], [3, 0]])
    assert (names, words) == (("a", "b"), {"b": ("w", "x")})
    known = coded_rows(frame({"b": ["x", "y", None], "a": [1, 2, 3]}), {"b": ("x",)})
    np.testing.assert_array_equal(known[0], [[0, 1], [1, 2], [NAN, 3]])


def test_bad_tables_are_named(rng):
    x = table(rng)
    with pytest.raises(TypeError, match="rows without noise"):
        detect.fit(KEY, Observed(x, noise=np.ones(4)), **FEW)
    detector = detect.fit(KEY, x[:, :2], **FEW)
    with pytest.raises(TypeError, match="rows without noise"):
        detector.scores(Observed(x[:, :2], noise=np.ones(2)))
    with pytest.raises(ValueError, match="no value in the columns x1"):
        detect.fit(KEY, Observed(np.where(np.arange(4) == 1, NAN, x)), **FEW)
    infinite = Observed(np.where(np.arange(400)[:, None] == 7, np.inf, x))
    for call in (mixjax.select, detect.fit):
        with pytest.raises(ValueError, match=r"1 rows with infinity \(the first is row 7\)"):
            call(KEY, infinite, **FEW)
    with pytest.raises(ValueError, match="column 9"):
        detect.fit(KEY, x, kinds=[9], **FEW)
    with pytest.raises(ValueError, match="numbers of its 2 levels, from 0, got 2"):
        detect.fit(KEY, x, kinds={3: ("a", "b")}, **FEW)
    with pytest.raises(ValueError, match='kinds must be "auto"'):
        detect.fit(KEY, x, kinds="all", **FEW)
    with pytest.raises(ValueError, match="pass these as kinds"):
        detect.fit(KEY, x, families=MIXED, n_components=[1])
    frame = pd.DataFrame({"a": [1.0] * 12, "b": [[1], [2, 3]] * 6})
    with pytest.raises(TypeError, match=r"column 'b' must hold numbers, got \[1\] in row 0"):
        detect.fit(KEY, frame, kinds="auto", **FEW)
