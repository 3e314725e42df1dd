"""Thresholds are held to what they promise, on simulated scores, within binomial noise."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import mixjax
from mixjax import threshold

DISTRIBUTIONS = {
    "normal": stats.norm(),
    "heavy": stats.t(3),
    "bounded": stats.uniform(),
    "energies": stats.chi2(8),
}


@pytest.fixture(params=DISTRIBUTIONS, ids=str)
def scores(request):
    return DISTRIBUTIONS[request.param]


def within_noise(hits, n, rate, deviations=4.5):
    return abs(hits - n * rate) <= deviations * np.sqrt(n * rate * (1 - rate)) + 1


@pytest.mark.parametrize(("alpha", "n"), [(0.01, 1000), (0.05, 19), (0.2, 1000)])
def test_conformal_keeps_its_rate_over_calibration_sets(scores, alpha, n):
    """The rate of one new row for each of many calibration sets is exactly what it should be."""
    sets = 4000
    drawn = scores.rvs((sets, n + 1), random_state=n).astype("float32")
    rules = jax.vmap(lambda c: threshold.conformal(c, alpha))(drawn[:, :n])
    alarms = int((drawn[:, n] > rules.threshold).sum())
    exact = np.floor((n + 1) * alpha + 1e-9) / (n + 1)
    assert exact <= alpha
    assert within_noise(alarms, sets, exact)
    p = np.asarray(jax.vmap(lambda rule, s: rule.p_values(s[None])[0])(rules, drawn[:, n]))
    assert ((p <= alpha * (1 + 1e-6)) == (drawn[:, n] > np.asarray(rules.threshold))).all()


def test_conformal_with_ties_stays_below_its_rate(seed):
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, 4, (4000, 100)).astype("float32")
    rules = jax.vmap(lambda c: threshold.conformal(c, 0.1))(drawn[:, :99])
    assert (drawn[:, 99] > np.asarray(rules.threshold)).mean() <= 0.1 + 0.02


def test_conformal_at_the_ends():
    calibration = jnp.arange(9.0)
    with pytest.warns(UserWarning, match=r"lowest rate that 9 .* at least 19 rows"):
        assert threshold.conformal(calibration, 0.05).threshold == jnp.inf
    assert threshold.conformal(calibration, 0.1).threshold == 8
    assert threshold.conformal(calibration, 1.0).threshold == -jnp.inf
    rule = threshold.conformal(calibration, 0.1)
    assert rule.flags(jnp.array([8.0, 8.5, jnp.nan, jnp.inf])).tolist() == [False, True, True, True]
    assert rule.p_values(jnp.array([-1.0, 8.0, 9.0])).tolist() == pytest.approx([1, 0.2, 0.1])


@pytest.mark.parametrize("rate", [0.1, 0.3])
def test_benjamini_hochberg_keeps_the_rate_of_false_discoveries(rate, seed):
    """With p-values from one conformal calibration, which depend on each other."""
    rng = np.random.default_rng(seed)
    normal, strange, sets = 160, 40, 400
    calibration = rng.normal(size=(sets, 500)).astype("float32")
    new = rng.normal(size=(sets, normal + strange)).astype("float32")
    new[:, normal:] += 3.5

    def flagged(calibration, new):
        p = threshold.conformal(calibration, 0.05).p_values(new)
        return threshold.benjamini_hochberg(p, rate)

    found = np.asarray(jax.jit(jax.vmap(flagged))(calibration, new))
    false = found[:, :normal].sum(1) / np.maximum(found.sum(1), 1)
    assert false.mean() <= rate + 4 * false.std() / np.sqrt(sets)
    assert found[:, normal:].mean() > 0.5


def test_benjamini_hochberg_is_that_of_scipy(rng):
    p = np.concatenate([rng.uniform(size=80), rng.uniform(size=20) ** 6]).astype("float32")
    for rate in (0.01, 0.1, 0.5):
        expected = stats.false_discovery_control(p, method="bh") <= rate
        assert (np.asarray(threshold.benjamini_hochberg(p, rate)) == expected).all()


@pytest.mark.parametrize("risk", [1e-3, 1e-4])
def test_peaks_over_threshold_goes_beyond_the_scores(scores, risk):
    """Over many samples the mean rate is near the risk, within a factor of a few."""
    drawn = scores.rvs((300, 2000), random_state=0).astype("float32")
    tails = jax.jit(jax.vmap(lambda s: threshold.peaks_over_threshold(s, risk)))(drawn)
    rates = scores.sf(np.asarray(tails.threshold, "float64"))
    assert risk / 3 < rates.mean() < 4 * risk
    assert np.isfinite(np.asarray(tails.threshold)).all()
    p = jax.vmap(lambda tail: tail.p_values(tail.threshold[None])[0])(tails)
    np.testing.assert_allclose(p, risk, rtol=2e-2)


def test_the_tail_has_the_shape_of_the_scores(dtype):
    for law, shape in ((stats.expon(), 0.0), (stats.genpareto(0.5), 0.5), (stats.uniform(), -1.0)):
        s = law.rvs(20_000, random_state=1).astype(dtype)
        assert abs(threshold.peaks_over_threshold(s, 1e-4).shape - shape) < 0.12


def test_a_tail_of_equal_scores_is_finite():
    s = jnp.asarray(np.repeat([1.0, 2.0], [500, 500]), "float32")
    tail = threshold.peaks_over_threshold(s, 1e-3)
    assert 2 <= tail.threshold < 3
    assert np.isfinite(np.asarray(tail.p_values(jnp.array([0.0, 2.0, 3.0])))).all()


def test_best_f1_is_the_best_there_is(rng, dtype):
    for levels in (3, 10, 1000):
        scores = rng.integers(0, levels, 60).astype(dtype)
        labels = rng.uniform(size=60) < 0.2 + 0.5 * scores / levels
        labels[0] = True
        best = jax.jit(threshold.best_f1)(scores, labels)

        def f1(t, scores=scores, labels=labels):
            flagged = scores > t
            return 2 * (flagged & labels).sum() / (flagged.sum() + labels.sum())

        reachable = [f1(t) for t in [-np.inf, *np.unique(scores)]]
        np.testing.assert_allclose(best.f1, max(reachable), rtol=1e-5)
        np.testing.assert_allclose(f1(float(best.threshold)), best.f1, rtol=1e-5)
        flagged = scores > float(best.threshold)
        np.testing.assert_allclose(best.precision, labels[flagged].mean(), rtol=1e-5)
        np.testing.assert_allclose(best.recall, flagged[labels].mean(), rtol=1e-5)


@pytest.mark.parametrize("n_deviations", [1.0, 2.0, 3.0])
def test_mad_of_normal_scores_with_some_far_ones(n_deviations):
    s = stats.norm(5, 2).rvs(50_000, random_state=0).astype("float32")
    t = threshold.mad(s, n_deviations)
    assert within_noise((s > float(t)).sum(), len(s), stats.norm.sf(n_deviations), 6)
    s[:5000] = 1e30
    assert abs(threshold.mad(s, n_deviations) - t) < 0.2 * 2 * n_deviations + 0.4


def test_percentile_is_that_of_numpy(rng, dtype):
    s = rng.normal(size=101).astype(dtype)
    for percent in (0, 12.5, 80, 100):
        np.testing.assert_allclose(threshold.percentile(s, percent), np.percentile(s, percent))


def test_bad_input_is_named():
    s = jnp.arange(50.0)
    for bad, error in (
        (s[:0], ValueError),
        (s[None], ValueError),
        (s.astype("bfloat16"), TypeError),
    ):
        for f in (
            lambda s: threshold.percentile(s, 50),
            lambda s: threshold.mad(s),
            lambda s: threshold.conformal(s, 0.1),
            lambda s: threshold.peaks_over_threshold(s, 1e-3),
            lambda s: threshold.benjamini_hochberg(s, 0.1),
        ):
            with pytest.raises(error, match=r"scores|p_values"):
                f(bad)
    with pytest.raises(ValueError, match="NaN, the first in row 1"):
        threshold.percentile(jnp.array([1.0, jnp.nan]), 50)
    with pytest.raises(ValueError, match="percent must be between 0 and 100, got 101"):
        threshold.percentile(s, 101)
    with pytest.raises(ValueError, match="alpha must be between 0 and 1"):
        threshold.conformal(s, -0.1)
    with pytest.raises(ValueError, match="5 peaks"):
        threshold.peaks_over_threshold(s, 1e-3)
    with pytest.raises(ValueError, match="risk must be between 0 and"):
        threshold.peaks_over_threshold(s, 0.6, tail=0.5)
    with pytest.raises(ValueError, match="no anomaly"):
        threshold.best_f1(s, np.zeros(50))
    with pytest.raises(ValueError, match="got 0, 2"):
        threshold.best_f1(s, np.repeat([0, 2], 25))
    with pytest.raises(ValueError, match="one for each row"):
        threshold.best_f1(s, np.ones(3))
    assert isinstance(mixjax.threshold.best_f1(s, s > 40), mixjax.threshold.BestF1)
