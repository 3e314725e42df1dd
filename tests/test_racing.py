"""Candidates that are clearly worse are tried no further, and this does not change the choice."""

import jax
import numpy as np
import pytest

import mixjax
from mixjax.selection import racing
from mixjax.selection.candidates import Candidate, Sizes
from mixjax.selection.racing import Comparison, climb

NUMBERS = [1, 2, 4, 8, 16, 32, 64]


def curve(rng, best, n_rows=400):
    """Energies of held-out rows for K = 1, 2, 4, ... 64, lowest on average at ``best``."""
    k = np.log2(NUMBERS)
    rows = rng.normal(size=n_rows)
    return rows + 0.3 * np.abs(k - np.log2(best))[:, None] + 0.1 * rng.normal(size=(7, n_rows))


def tried_of(*curves):
    """For each family, the numbers of components that were tried."""
    families = [mixjax.Gaussian, mixjax.Laplace][: len(curves)]
    candidates = [Candidate(family, k, 1e-3) for family in families for k in NUMBERS]
    table, calls = np.concatenate(curves), []

    def fit(some):
        calls.extend(some)
        return table[some]

    energies = climb(candidates, fit, lambda energies: energies.mean(axis=1))
    tried = ~np.isnan(energies[:, 0])
    assert sorted(calls) == np.flatnonzero(tried).tolist()  # each once
    np.testing.assert_array_equal(energies[tried], table[tried])
    return [
        [c.n_components for c, one in zip(candidates, tried, strict=True) if one and c.family is f]
        for f in families
    ]


def test_more_components_are_tried_until_they_are_no_better(rng):
    for best, last in ((1, 8), (2, 8), (4, 16), (8, 32), (16, 64), (64, 64)):
        assert tried_of(curve(rng, best)) == [[k for k in NUMBERS if k <= last]]
    # One number that is no better is not enough.
    bumpy = curve(rng, 64)
    bumpy[3] += 9
    assert tried_of(bumpy) == [NUMBERS]
    # Each family is looked at alone.
    assert tried_of(curve(rng, 64), curve(rng, 8) + 9) == [NUMBERS, NUMBERS[:6]]


def test_failed_candidates_do_not_end_a_family(rng):
    assert tried_of(np.full((7, 50), np.inf)) == [NUMBERS]
    partly = curve(rng, 64)
    partly[:4] = np.inf
    assert tried_of(partly) == [NUMBERS]


def test_a_comparison_is_by_the_rows_that_both_have(rng):
    energies, share = rng.normal(size=(4, 60)), rng.uniform(size=60) * (rng.uniform(size=60) < 0.9)
    share /= share.sum()
    energies[3] = np.inf
    whole = Comparison.by_rows(energies, share)
    means = energies[:3] @ share
    assert whole.best == np.argmin(means)
    np.testing.assert_allclose(whole.difference[:3], means - means.min(), atol=1e-12)
    away = energies[:3] - energies[whole.best] - whole.difference[:3, None]
    np.testing.assert_allclose(whole.errors[:3], np.sqrt((away**2 * share**2).sum(axis=1)))
    assert np.isinf(whole.difference[3])
    assert whole.clearly_worse[3]
    assert not whole.clearly_worse[whole.best]
    # A row that one candidate lacks does not count for it; one of weight zero for nobody.
    other = next(i for i in range(3) if i != whole.best)
    part = energies.copy()
    part[other, 30:] = np.nan
    by_part = Comparison.by_rows(part, share)
    expected = (energies[other, :30] - energies[whole.best, :30]) @ share[:30] / share[:30].sum()
    np.testing.assert_allclose(by_part.difference[other], expected)
    part[:, share == 0] = np.inf
    np.testing.assert_allclose(Comparison.by_rows(part, share).difference, by_part.difference)


def test_sizes_of_programs():
    def candidates(numbers):
        return [Candidate(mixjax.Gaussian, k, r) for k in numbers for r in (1e-3, 1e-2)]

    for grid, n_fits, growing, expected in (
        ([1, 2, 64], 5, True, {1: 16, 2: 16, 64: 64}),
        ([1, 2, 64], 5, False, {1: 64, 64: 64}),  # too few to be worth a program
        ([1, 2, 4, 8, 64], 5, False, {1: 16, 8: 16, 64: 64}),
        ([1, 2, 3], 50, False, {1: 3, 3: 3}),
        ([1, 16], 1, True, {1: 16, 16: 16}),
    ):
        sizes = Sizes(candidates(grid), n_fits, growing)
        for k, size in expected.items():
            assert sizes(Candidate(mixjax.Gaussian, k, 1e-3)) == size
        assert sizes.largest == max(grid)
    larger = sizes.grown([Candidate(mixjax.Gaussian, 32, 1e-3)])
    assert (larger.largest, sizes.largest) == (32, 16)


@pytest.mark.parametrize("n_init", [1, 2])
def test_the_race_chooses_as_all_fits_would(n_init, monkeypatch):
    options = {
        "families": [mixjax.SphericalGaussian, mixjax.DiagonalGaussian], "ridge": [1e-3, 1e-1],
        "n_init": n_init,
    }  # fmt: skip
    for seed in (0, 1, 2):
        rng = np.random.default_rng(seed)
        x = 6 * rng.normal(size=(4, 2))[rng.integers(0, 4, 400)] + rng.normal(size=(400, 2))
        x, key = x.astype("float32"), jax.random.key(seed)
        raced = mixjax.select(key, x, **options)
        with monkeypatch.context() as patch:
            patch.setattr(racing, "CLEAR", np.inf)
            patch.setattr(racing, "FIRST", 64)
            every = mixjax.select(key, x, **options)
        assert raced.candidates[raced.best] == every.candidates[every.best]
        assert len(raced.candidates) < len(every.candidates) == 28
        np.testing.assert_allclose(raced.scores.min(), every.scores.min(), rtol=1e-6)
        place = [every.candidates.index(c) for c in raced.candidates]
        errors = np.hypot(raced.standard_errors, every.standard_errors[place])
        away = np.abs(raced.scores - every.scores[place])
        assert (away <= 4 * errors + 1e-6 * np.abs(every.scores[place])).all()
        averages = (np.asarray(one.average.energy(x)) for one in (raced, every))
        np.testing.assert_allclose(*averages, atol=0.02)
