"""Thresholds where scores are equal, infinite or NaN, and rates at which they are just reached."""

import warnings
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from mixjax import threshold
from mixjax.threshold.scores import above

N = 5000
tail_of = jax.jit(lambda s: threshold.peaks_over_threshold(s, 1e-5))


def rounded(scores, step):
    return (np.round(scores / step) * step).astype("float32")


@pytest.mark.parametrize("step", [0.01, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0])
def test_a_tail_of_rounded_scores(step, rng):
    """The exact quantile of an exponential is 11.5; without ties the estimate is 10 to 13."""
    tail = tail_of(rounded(rng.exponential(size=N), step))
    assert 11.5 / 1.5 < tail.threshold < 11.5 * 1.5
    assert abs(tail.shape) < 0.35


def test_a_tail_of_counts_and_of_two_values(rng):
    for mean in (3, 30):
        exact = stats.poisson.isf(1e-5, mean)
        assert exact / 1.3 < tail_of(rng.poisson(mean, N).astype("float32")).threshold < 1.3 * exact
    for share in (0.001, 0.05, 0.08, 0.15, 0.5, 0.95):
        s = (rng.uniform(size=N) < share).astype("float32")
        assert 1 <= tail_of(s).threshold < 2


def test_a_tail_with_many_equal_scores(rng):
    s = np.sort(rng.exponential(size=N)).astype("float32")
    start, cap = s.copy(), s.copy()
    start[-500:-200] = start[-501]
    cap[-300:] = cap[-301]
    assert 11.5 / 1.5 < tail_of(start).threshold < 11.5 * 1.5
    assert cap[-1] <= tail_of(cap).threshold < 2 * cap[-1]
    for value in (0.0, 1.0, -7.3, 1e6, 1e-30, 3e38, -3e38):
        s = np.full(N, value, "float32")
        found = tail_of(s)
        assert not above(s, found.threshold).any()
        assert abs(float(found.threshold) - value) <= 1e-5 * abs(value) + 1e-30
        assert np.isfinite(np.asarray(found.p_values(s))).all()


def test_a_tail_with_infinite_scores(rng):
    s = np.sort(rng.exponential(size=N)).astype("float32")
    some, many, low = s.copy(), s.copy(), np.full(N, -np.inf, "float32")
    some[-3:], some[:5] = np.inf, -np.inf
    many[-600:] = np.inf
    low[:300] = rng.exponential(size=300)
    assert 11.5 / 1.5 < tail_of(some).threshold < 11.5 * 1.5
    assert many[-601] <= tail_of(many).threshold < 2 * many[-601]
    assert 5 < tail_of(low).threshold < 20
    assert tail_of(np.full(N, np.inf, "float32")).threshold == np.finfo("float32").max
    p = tail_of(some).p_values(jnp.array([-jnp.inf, jnp.inf, jnp.nan]))
    np.testing.assert_allclose(p, [0.1, 0, 0], atol=1e-6)


@pytest.mark.parametrize("unit", [1e-36, 1e-30, 1e30, 2e37])
def test_a_tail_in_any_unit(unit, rng):
    s = rng.exponential(size=N)
    plain, other = tail_of(s.astype("float32")), tail_of((unit * s).astype("float32"))
    np.testing.assert_allclose(other.threshold / unit, plain.threshold, rtol=0.06)
    moved = tail_of((1e37 * s - 3e38).astype("float32"))
    np.testing.assert_allclose(moved.threshold, 1e37 * plain.threshold - 3e38, rtol=1e-2)


def test_no_more_scores_lie_above_the_threshold_than_chance_allows(rng):
    """Whatever the scores are: one of N at a risk of 1 / 20 N, a dozen at 5 / N."""
    for s in (rng.normal(size=N), rng.integers(0, 4, N), rng.integers(0, 40, N) ** 3.0):
        for risk, most in ((1e-5, 1), (1e-3, 12)):
            t = threshold.peaks_over_threshold(s.astype("float32"), risk).threshold
            assert above(s.astype("float32"), t).sum() <= most


def test_a_risk_at_the_ends(rng):
    s = rng.exponential(size=N).astype("float32")
    assert not np.isnan(threshold.peaks_over_threshold(s, 0.0).threshold)
    start = threshold.peaks_over_threshold(s, 0.1)
    np.testing.assert_allclose(start.threshold, np.sort(s)[-501], rtol=1e-6)
    limit = jax.jit(lambda s, risk: threshold.peaks_over_threshold(s, risk).threshold)
    assert limit(s, jnp.nan) == limit(s, 0.0)
    assert np.isfinite(limit(np.where(s > 5, np.nan, s), 1e-5))


def test_quantiles_with_infinite_scores():
    inf = np.inf
    for s, percent, expected in (
        ([1, 2, inf, inf], 50, inf), ([1, 2, 3, inf], 50, 2.5), ([1, 2, 3, inf], 100, inf),
        ([inf, inf, 1, 2], 100 / 3, 2), ([-inf, 1, 2], 25, -inf), ([-inf, -inf, 1], 50, -inf),
        ([-inf, inf], 50, 0), ([-3e38, 3e38], 50, 0), ([-3e38, 3e38], 100, 3e38),
        ([7.1, 7.1, 7.1], 30, 7.1), ([inf, inf], 30, inf),
    ):  # fmt: skip
        s = np.array(s, "float32")
        found = threshold.percentile(s, percent)
        np.testing.assert_allclose(found, np.float32(expected), rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(
            jax.jit(threshold.percentile)(s, percent), found, rtol=1e-6, atol=1e32
        )
    ten = np.arange(10, dtype="float32")
    for far in ([inf, inf], [inf, -inf], [-inf, -inf, -inf], [inf] * 9):
        t = threshold.mad(np.append(ten, np.array(far, "float32")), 2)
        assert np.isfinite(t)
        assert 0 < t < 60
    for far in ([inf] * 10, [-inf] * 12, [inf] * 6 + [-inf] * 6):
        assert threshold.mad(np.append(ten, np.array(far, "float32")), 2) == inf
    assert threshold.mad(np.ones(5, "float32"), inf) == 1


def test_best_f1_with_infinite_scores_and_signed_zeros():
    inf = jnp.inf
    for s, labels, f1 in (
        ([inf, inf, 1.0, -inf], [1, 1, 0, 0], 1.0), ([-inf, -inf, inf], [0, 0, 1], 1.0),
        ([0.0, -0.0, 0.0, 1.0], [1, 0, 0, 1], 2 / 3), ([-0.0, 0.0], [0, 1], 0.0),
        ([-inf, -inf], [1, 0], 0.0), ([3e38, -3e38], [1, 0], 1.0), ([-inf, 2.0], [1, 0], 0.0),
    ):  # fmt: skip
        s, labels = jnp.array(s), np.array(labels)
        best = threshold.best_f1(s, labels)
        flagged = np.asarray(best.flags(s))
        found = 2 * (flagged & (labels == 1)).sum() / (flagged.sum() + labels.sum())
        assert not np.isnan(best.threshold)
        np.testing.assert_allclose(best.f1, found, rtol=1e-6)
        np.testing.assert_allclose(found, f1 if f1 != 0 else found, rtol=1e-6)
    none = jax.jit(threshold.best_f1)(jnp.arange(4.0), jnp.zeros(4, int))
    assert (none.f1, none.recall) == (0, 0)


RATES = [0.01, 0.05, 0.07, 0.1, 0.3, 0.29, 0.57, 0.999, 1 / 3, 2 / 7, 1e-3, 0.125, 1.0]


@pytest.mark.parametrize("rate", RATES)
def test_conformal_counts_as_exact_arithmetic_does(rate):
    exact = Fraction(repr(rate)).limit_denominator(10**6)
    within = jax.jit(lambda s, rate: threshold.conformal(s, rate).threshold)
    for n in (9, 19, 99, 199, 299, 699, 999, 9_999, 20_999):
        s = jnp.arange(n, dtype="float32")
        n_above = min((exact * (n + 1)).__floor__(), n + 1)
        expected = np.inf if n_above == 0 else n - n_above if n_above <= n else -np.inf
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            rule = threshold.conformal(s, rate)
        assert rule.threshold == expected
        if n < 1000:
            assert within(s, rate) == expected
            p = np.asarray(rule.p_values(s))
            np.testing.assert_array_equal(p, (np.arange(n + 1, 1, -1) / (n + 1)).astype("float32"))
            assert ((p <= np.float32(rate)) == np.asarray(rule.flags(s))).all()


def test_the_p_values_are_rounded_once():
    """A product with a rounded 1 / (n + 1) would miss 5 % at 50 of 1,000."""
    for n in (19, 100, 149, 999):
        exact = (np.arange(1, n + 2) / (n + 1)).astype("float32")
        s = jnp.arange(n + 1, dtype="float32") - 0.5
        rule = threshold.conformal(jnp.arange(n, dtype="float32"), 0.5)
        for found in (rule.p_values(s), jax.jit(rule.p_values)(s)):
            np.testing.assert_array_equal(np.asarray(found)[::-1], exact)


@pytest.mark.parametrize("n", [1, 3, 7, 20, 150, 1000])
def test_benjamini_hochberg_decides_ties_as_exact_arithmetic_does(n, dtype):
    """p-values just at k rate / n are within it, and the next float is not."""
    traced = jax.jit(threshold.benjamini_hochberg)
    for rate in RATES[:-1]:
        exact = Fraction(repr(rate)).limit_denominator(10**6)
        for k in sorted({1, 2, 3, n // 3, n // 2, n - 1, n} & set(range(1, n + 1))):
            at = dtype.type(float(k * exact / n))
            p = np.ones(n, dtype)
            p[:k] = at
            assert np.asarray(threshold.benjamini_hochberg(p, rate)).sum() == k
            assert np.asarray(traced(p, rate)).sum() == k
            p[:k] = np.nextafter(at, dtype.type(1))
            assert np.asarray(threshold.benjamini_hochberg(p, rate)).sum() == 0


def test_what_is_no_rate_and_no_p_value_is_refused():
    s = jnp.arange(100.0)
    for bad in (float("nan"), -0.1, 1.1, float("inf")):
        for f in (threshold.conformal, threshold.benjamini_hochberg):
            with pytest.raises(ValueError, match=r"(alpha|rate) must be between 0 and 1"):
                f(s / 100, bad)
        with pytest.raises(ValueError, match="risk must be between 0 and"):
            threshold.peaks_over_threshold(s, bad)
    for bad in (1.5, -0.25, float("inf")):
        with pytest.raises(ValueError, match=r"p_values must be from 0 to 1, got .* in row 1"):
            threshold.benjamini_hochberg(jnp.array([0.5, bad]), 0.1)
    with pytest.raises(ValueError, match="p_values hold NaN"):
        threshold.benjamini_hochberg(jnp.array([0.5, jnp.nan]), 0.1)
    jitted = jax.jit(lambda s, a: threshold.conformal(s, a).threshold)
    assert jitted(s, jnp.nan) == jnp.inf


def test_nan_is_never_judged_normal():
    nan = jnp.array([jnp.nan, 0.0])
    s = jnp.arange(100.0)
    rules = [
        threshold.conformal(s, 0.05), threshold.peaks_over_threshold(s, 0.01),
        threshold.best_f1(s, s > 90),
    ]  # fmt: skip
    for rule in rules:
        assert rule.flags(nan).tolist() == [True, False]
    assert rules[0].p_values(nan)[0] == np.float32(1 / 101)
    assert rules[1].p_values(nan)[0] < 1e-6
    pu = threshold.elkan_noto(jnp.array([0.2, 0.4]))
    assert pu.is_anomaly(jnp.array([jnp.nan, 0.1, 0.15, 0.2])).tolist() == [
        True,
        True,
        False,
        False,
    ]
    high = np.where(s > 97, np.nan, s)
    t = jax.jit(lambda s: threshold.conformal(s, 0.05).threshold)(high)
    assert t == 95


def test_a_rate_that_the_rows_cannot_promise():
    s = jnp.arange(150.0)
    with pytest.warns(UserWarning, match=r"0\.005 is below 1/151 = 0\.00662.* at least 199 rows"):
        assert threshold.conformal(s, 0.005).threshold == jnp.inf
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert threshold.conformal(s[:19], 0.05).threshold == 18
        assert threshold.conformal(s, 0).threshold == jnp.inf  # asked for
        jax.jit(threshold.conformal)(s[:9], 0.01)


def test_an_estimator_judges_no_nan_normal():
    """Nor does the difference of two infinities decide."""
    from mixjax.sklearn.outliers import OutlierDetector

    class Odd(OutlierDetector):
        contamination, random_state, offset_ = 0.4, 0, -3.0
        scores = np.array([np.nan, 1.0, 3.0, 4.0, np.inf])

        def _rows(self, X):  # noqa: N803
            return X

        def _learn(self, key, x, **known):
            return np.inf

        def _scores(self, x):
            return self.scores

    x, odd = np.zeros((5, 1)), Odd()
    assert odd.predict(x).tolist() == [-1, 1, 1, -1, -1]
    assert odd.decision_function(x).tolist() == [-np.inf, 2, 0, -1, -np.inf]
    odd.offset_ = -np.inf
    assert odd.predict(x)[1:].tolist() == [1, 1, 1, 1]
    odd.scores = np.array([1, 2, 3, np.inf, np.nan])
    assert odd.fit(x).offset_ == -np.inf
    odd.contamination = 0.5
    assert odd.fit(x).offset_ == -3
