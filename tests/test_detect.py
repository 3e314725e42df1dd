"""A detector finds what is strange, keeps its rate, and says why."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

import mixjax
from mixjax import detect

KEY = jax.random.key(0)
FEW = {"families": [mixjax.Gaussian, mixjax.DiagonalGaussian], "n_components": [1, 4]}


def correlated(rng, n, d=3):
    x = rng.normal(size=(n, d))
    x[:, 1] = x[:, 0] + 0.2 * x[:, 1]
    return x.astype("float32")


def test_it_finds_strange_rows_and_says_which_column(seed):
    rng = np.random.default_rng(seed)
    x = correlated(rng, 900)
    strange = correlated(rng, 50)
    strange[:, 1] = strange[:, 0] - 2 * np.sign(strange[:, 0])  # common values, an odd pair
    detector = detect.fit(KEY, x[:450], **FEW)
    scores = detector.scores(np.concatenate([x[450:], strange]))
    assert roc_auc_score(np.repeat([0, 1], [450, 50]), scores) > 0.97
    why = np.asarray(detector.explain(strange))
    flagged = np.asarray(detector.predict(strange))
    assert flagged.mean() > 0.8
    assert (why[flagged][:, :2].min(axis=1) > why[flagged][:, 2]).mean() > 0.95
    assert (detector.scores(1e30 * strange) > scores.max()).all()
    assert (np.diff(detector.scores(np.outer([5, 10, 1e3, 1e6], [1, 1, 1]).astype("f4"))) > 0).all()


@pytest.mark.parametrize("alpha", [0.05, 0.2])
def test_it_keeps_its_rate_of_false_alarms(alpha):
    """Over several tables: rows that set the threshold are judged by fits without them."""
    rates, n, m = [], 200, 2000
    for seed in range(6):
        rng = np.random.default_rng(seed)
        x = correlated(rng, n + m)
        detector = detect.fit(jax.random.key(seed), x[:n], alpha=alpha, **FEW)
        rates.append(float(detector.predict(x[n:]).mean()))
        p = np.asarray(detector.p_values(x[n:]))
        assert ((p <= alpha) == np.asarray(detector.predict(x[n:]))).mean() > 0.999
    noise = np.sqrt(alpha * (1 - alpha) * (1 / n + 1 / m) / len(rates))
    assert abs(np.mean(rates) - alpha) < 4 * noise


def test_copies_and_whole_numbers_do_not_spoil_the_rate():
    """A third of the rows is one row; columns of few values, and one that is constant."""
    rng = np.random.default_rng(3)
    x = np.round(2 * correlated(rng, 2400)).astype("float32")
    x[rng.uniform(size=2400) < 0.3] = 1.0
    x = np.concatenate([x, np.full((2400, 1), 7, "float32")], axis=1)
    detector = detect.fit(KEY, x[:400], **FEW)
    assert detector.predict(x[400:]).mean() < 0.05 + 4 * np.sqrt(0.05 / 400)
    odd = x[400:420].copy()
    odd[:, 3] = 8
    assert detector.predict(odd).all()
    assert (np.argmax(detector.explain(odd), axis=1) == 3).all()


def test_strange_rows_among_those_fitted(seed):
    rng = np.random.default_rng(seed)
    x = correlated(rng, 500)
    x[:40] = rng.uniform(-6, 6, (40, 3))
    is_strange = np.arange(500) < 40
    plain = detect.fit(KEY, x, **FEW)
    robust = detect.fit(KEY, x, contamination=0.08, **FEW)
    areas = [roc_auc_score(is_strange, d.scores(x)) for d in (plain, robust)]
    assert areas[1] > 0.93
    assert areas[1] > areas[0] - 0.01
    flagged = np.asarray(robust.predict(x))
    assert abs(flagged.mean() - 0.08) < 0.025
    assert flagged[is_strange].mean() > 0.6


def test_it_is_a_pytree_and_its_methods_are_pure(rng):
    x = correlated(rng, 200)
    detector = detect.fit(KEY, x, columns=[2, 0], **FEW)
    assert detector.columns == (2, 0)
    new = jnp.asarray(correlated(rng, 64))
    for method in ("scores", "p_values", "predict", "explain"):
        plain = getattr(detector, method)(new)
        compiled = jax.jit(lambda d, x, method=method: getattr(d, method)(x))(detector, new)
        np.testing.assert_allclose(plain, compiled, rtol=1e-4, atol=1e-4)
    moved = new.at[:, 1].add(100)  # a column that is not used
    np.testing.assert_array_equal(detector.scores(moved), detector.scores(new))
    slope = jax.grad(lambda x: detector.scores(x).sum())(new)
    assert np.isfinite(slope).all()
    again = detect.fit(KEY, x, columns=[2, 0], **FEW)
    np.testing.assert_array_equal(again.scores(new), detector.scores(new))


def test_units_do_not_matter(rng):
    x = correlated(rng, 300)
    scale, shift = np.array([1e-3, 1, 1e3]), np.array([5.0, 1e3, -1e4])
    other = x.astype("float64") * scale + shift
    # In double precision: rounded to single in other units, they would not be the same rows.
    ours, theirs = detect.fit(KEY, x, **FEW), detect.fit(KEY, other, **FEW)
    a, b = np.asarray(ours.scores(x)), np.asarray(theirs.scores(other))
    assert np.corrcoef(a, b)[0, 1] > 0.99999


def test_large_offsets_in_double_precision(rng):
    """Seconds since 1970 have no digits left in single precision."""
    x = correlated(rng, 300).astype("float64")
    offset = np.array([1.7e9, 0, -3e8])
    plain, far = detect.fit(KEY, x, **FEW), detect.fit(KEY, x + offset, **FEW)
    np.testing.assert_allclose(far.scores(x + offset), plain.scores(x), atol=0.02)


def test_wide_tables_and_short_ones(rng):
    wide = rng.normal(size=(60, 600)).astype("float32")
    detector = detect.fit(KEY, wide, n_components=[1], ridge=[1e-2])
    names = {type(member.mixtures.components).__name__ for member in detector.members}
    assert names == {"DiagonalGaussian", "SphericalGaussian", "Laplace"}
    assert detector.predict(wide[:2] + 5).all()
    with pytest.warns(UserWarning, match=r"0\.05 is below 1/13"):
        short = detect.fit(KEY, wide[:12, :2], **FEW | {"n_components": "auto"})
    assert not short.predict(wide[:, :2] + 100).any()
    assert np.isfinite(short.scores(wide[:, :2])).all()


def test_a_rate_that_the_rows_cannot_promise(rng):
    x = correlated(rng, 150)
    options = {"families": mixjax.Gaussian, "n_components": [1]}
    with pytest.warns(UserWarning, match=r"alpha 0\.005 is below 1/151 = 0\.00662.* 199 rows"):
        assert np.isinf(detect.fit(KEY, x, alpha=0.005, **options).threshold)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isinf(detect.fit(KEY, x, alpha=0, **options).threshold)  # asked for
        assert np.isfinite(detect.fit(KEY, x[:149], alpha=1 / 150, **options).threshold)
        assert np.isfinite(detect.fit(KEY, x[:19], alpha=0.05, **options).threshold)
        assert np.isfinite(detect.fit(KEY, x, alpha=0.005, contamination=0.05, **options).threshold)


def test_rows_that_are_not_finite_are_never_normal(rng):
    x = correlated(rng, 150)
    detector = detect.fit(KEY, x, **FEW)
    odd = x[:4].copy()
    odd[0, 0], odd[1, 1], odd[2] = np.nan, np.inf, 1e30
    _, p, flagged = detector.judge(odd)
    assert flagged.tolist()[:3] == [True, True, True]
    np.testing.assert_allclose(p[:3], 1 / 151, rtol=1e-6)
    assert detector.flags(np.array([np.nan, -np.inf, np.inf])).tolist() == [True, False, True]


def test_bad_input_is_named(rng):
    x = correlated(rng, 100)
    with pytest.raises(ValueError, match="at least 10 rows"):
        detect.fit(KEY, x[:9])
    with pytest.raises(ValueError, match="rows with NaN or infinity"):
        detect.fit(KEY, np.where(x == x[4, 1], np.inf, x))
    with pytest.raises(ValueError, match="alpha must be a number from 0"):
        detect.fit(KEY, x, alpha=5)
    with pytest.raises(ValueError, match="alpha must be a number from 0"):
        detect.fit(KEY, x, alpha="0.1")
    with pytest.raises(ValueError, match="contamination must be a number from 0 to below"):
        detect.fit(KEY, x, contamination=0.9)
    with pytest.raises(ValueError, match="max_rows must be at least 10"):
        detect.fit(KEY, x, max_rows=3)
    with pytest.raises(ValueError, match="columns must be different numbers from 0 to 2"):
        detect.fit(KEY, x, columns=[3])
    with pytest.raises(TypeError, match="float32 or float64"):
        detect.fit(KEY, x.astype("f2"))
    with pytest.raises(ValueError, match="n_folds"):
        detect.fit(KEY, x, n_folds=1)
    detector = detect.fit(KEY, x, **FEW)
    with pytest.raises(ValueError, match="columns"):
        detector.scores(x[:, :2])


def test_a_few_rows_do_not_choose_for_all():
    """A column that hardly varies makes one row dearer than all others together."""
    from mixjax.detect.choosing import trimmed_means
    from mixjax.selection.grid import Result, held_out_energies

    fit = mixjax.fit(KEY, np.eye(3, dtype="float32"), 1)
    sharp = np.r_[np.full(98, 1.0), 1e9, 1e30].astype("float32")
    blunt = np.full(100, 2.0, "float32")

    def means():
        both = [Result(fit, each, each) for each in (sharp, blunt)]
        return trimmed_means(held_out_energies(both, np.ones(100, bool))).tolist()

    assert means() == [1, 2]
    sharp[:6] = np.inf  # beyond the share that has no say
    assert means() == [np.inf, 2]


def test_one_part_of_the_rows_does_not_make_a_row_strange(rng):
    from mixjax.detect.committee import Calibration, Member

    x = correlated(rng, 200)
    fit = mixjax.fit(KEY, x, 2).mixture
    far = mixjax.fit(KEY, x + 100, 2).mixture
    mixtures = jax.tree.map(lambda a, b: jnp.stack([a, a, b]), fit, far)
    energy = mixjax.energy(fit, x)
    member = Member(mixtures, Calibration.of(energy))
    # Rounding may count one row more or less among those as strange.
    found, expected = member.neg_log_tail(x), member.calibration.neg_log_tail(energy)
    np.testing.assert_allclose(np.exp(-found), np.exp(-expected), atol=1.01 / 201)


def test_long_tables_bear_more_components():
    from mixjax.detect.choosing import grown
    from mixjax.selection.candidates import Candidate

    laplace = Candidate(mixjax.Laplace, 8, 1e-3)
    assert grown(laplace, 8, 2048, (16384, 118)).n_components == 64
    assert grown(laplace, 8, 2048, (4096, 118)).n_components == 16
    assert grown(laplace, 8, 2048, (2048, 118)) == laplace
    assert grown(laplace, 16, 2048, (16384, 118)) == laplace  # 16 were tried, and worse
    full = Candidate(mixjax.Gaussian, 8, 1e-3)
    assert grown(full, 8, 2048, (16384, 118)) == full  # too dear
    assert grown(full, 8, 2048, (16384, 60)).n_components == 32


def test_spheres_of_another_view_are_the_same_density():
    from mixjax.detect.views import View, views_of
    from mixjax.selection.candidates import Candidate
    from mixjax.selection.grid import Result

    rng = np.random.default_rng(0)
    z = np.c_[rng.normal(size=300), rng.standard_t(2, size=300)].astype("float32")
    spheres = Candidate(mixjax.SphericalGaussian, 2, 1e-3)
    candidates = [Candidate(mixjax.Gaussian, 2, 1e-3), spheres]
    plain, far = views_of(z, candidates, (), stretched=True)
    assert plain.of(z) is z
    assert far.candidates == [spheres]
    # The heavy-tailed column is the one that is made small.
    assert far.stretch[0] == 1 < far.stretch[1]
    fit = mixjax.fit(jax.random.key(0), far.of(z), 2, family=mixjax.SphericalGaussian)
    seen = Result(fit, *[np.asarray(mixjax.energy(fit.mixture, far.of(z)))] * 2)
    (moved,) = far.in_standardized([seen])
    np.testing.assert_allclose(
        moved.energy, mixjax.energy(moved.fit.mixture, z), rtol=1e-4, atol=1e-3
    )
    assert View("", None, []).in_standardized([seen]) == [seen]
    # One column has one scale, and families that a user chose are fitted as they are.
    assert len(views_of(z[:, :1], [spheres], (), stretched=True)) == 1
    assert len(views_of(z, [spheres], (), stretched=False)) == 1


def test_heavy_tails_of_one_column_do_not_hide_the_others():
    """Strange in a column of light tails, beside columns in which normal rows reach far."""
    rng = np.random.default_rng(1)
    x = np.c_[rng.uniform(-1.7, 1.7, 400), rng.standard_t(3, size=(400, 8))]
    odd = x[200:].copy()
    odd[:, 0] = np.where(odd[:, 0] > 0, 3, -3)
    both = np.concatenate([x[200:], odd])
    is_odd = np.repeat([False, True], 200)

    def area(**options):
        found = mixjax.detect.fit(jax.random.key(0), x[:200], **options)
        scores = np.asarray(found.scores(both))
        return (scores[is_odd][:, None] > scores[~is_odd]).mean(), len(found.members)

    spheres, n_members = area(families=mixjax.SphericalGaussian)
    assert n_members == 1
    everything, n_members = area()
    assert n_members == 6
    assert everything > 0.98 > spheres + 0.1


def test_rows_beyond_the_fitted_ones_are_judged_as_new():
    x = np.random.default_rng(2).normal(size=(90, 2)).astype("float32")
    options = {"n_components": [1], "families": mixjax.Gaussian, "max_rows": 60}
    detector, scores = mixjax.detect.fit_scores(jax.random.key(0), x, **options)
    new = np.asarray(detector.scores(x))
    assert scores.shape == (90,)
    # A fitted row is judged without itself, and so is at least as strange.
    same = np.isclose(scores, new, atol=1e-5)
    assert 30 <= same.sum() < 90
    assert float((np.asarray(scores) - new).mean()) > 0
