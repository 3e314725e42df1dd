"""Tables in which rows or values repeat: what is chosen for them, and p-values."""

import warnings

import jax
import numpy as np
import pytest
from sklearn.datasets import load_iris, load_wine

import mixjax
from mixjax import detect
from mixjax.rows.repeats import copies, dithered, fold_of_rows, hidden, steps

KEY = jax.random.key(0)
RNG = np.random.default_rng
FEW = {"families": [mixjax.Gaussian, mixjax.DiagonalGaussian], "n_components": [1, 4]}


def test_copies_are_numbered_by_the_first(rng):
    x = rng.normal(size=(50, 3)).astype("float32")
    assert copies(x).tolist() == list(range(50))
    x[0] = 0.0
    x[[7, 9, 20]] = x[[3, 0, 3]]
    x[9] = -0.0
    number = copies(x)
    assert (number[7], number[20], number[9]) == (number[3], number[3], number[0])
    assert len(np.unique(number)) == 47
    whole = rng.integers(0, 3, (400, 4)).astype("float64")
    _, expected = np.unique(whole, axis=0, return_inverse=True)
    number = copies(whole)
    assert ((number[:, None] == number[None]) == (expected[:, None] == expected[None])).all()


@pytest.mark.parametrize("n_folds", [2, 5])
def test_copies_share_a_fold(n_folds, rng):
    present = rng.uniform(size=200) < 0.9
    number = copies(rng.integers(0, 4, (200, 3)).astype("float32"))
    fold = fold_of_rows(rng, present, n_folds, number)
    assert (fold[~present] == -1).all()
    for one in np.unique(number[present]):
        assert len(np.unique(fold[present & (number == one)])) == 1
    assert np.bincount(fold[present]).min() > 0.4 * present.sum() / n_folds
    # A row that fills more than a fold is fold_of_rows one by one; every fold has rows.
    number[:150] = 0
    fold = fold_of_rows(rng, np.ones(200, bool), n_folds, number)
    assert np.bincount(fold[:150]).min() > 100 / n_folds
    # Without copies, each row is fold_of_rows as it always was.
    alone = fold_of_rows(RNG(3), present, n_folds, np.arange(200))
    rows = np.flatnonzero(present)
    expected = np.full(200, -1)
    expected[rows[RNG(3).permutation(len(rows))]] = np.arange(len(rows)) % n_folds
    assert (alone == expected).all()


def test_the_step_of_rounded_columns(rng):
    x = rng.normal(size=(400, 6)) * [1, 1, 3, 1, 1, 1]
    x[:, 0] = np.round(x[:, 0], 1)
    x[:, 2] = np.round(x[:, 2])
    x[:, 3] = 7
    x[:, 4] = x[:, 4] > 1
    x[:, 5] = np.round(x[:, 5], 1)
    x[:80, 5] = x[:, 5].mean()  # what was missing, filled
    step = steps(x.astype("float32"), rng)
    np.testing.assert_allclose(step, [0.1, 0, 1, 0, 1, 0.1], atol=1e-5)
    np.testing.assert_allclose(steps(x * 1e9 + 5, rng)[[0, 2]], [1e8, 1e9])
    sums = rng.integers(0, 9, (400, 1)) * 0.1 + rng.integers(0, 9, (400, 1)) * 0.1
    assert len(np.unique(sums)) > len(np.unique(sums.round(1)))
    np.testing.assert_allclose(steps(sums, rng), 0.1)
    moved = dithered(x, step, rng) - x
    assert (abs(moved) <= step / 2 + 1e-12).all()
    np.testing.assert_allclose(moved.std(axis=0), step / 12**0.5, rtol=0.1)
    share = hidden(x, step)
    np.testing.assert_allclose(share, np.minimum(step**2 / 12 / np.maximum(x.var(axis=0), 1e-9), 1))
    for unit in (1e-200, 1e160):
        np.testing.assert_allclose(hidden(unit * x, unit * step), share, rtol=1e-6)
    long = rng.normal(size=(70_000, 1)).astype("float32")
    assert len(np.unique(long)) < len(long)  # a few values are equal by chance
    assert steps(long, rng) == 0


def test_each_row_held_out_alone(rng):
    """Where there are fewer different rows than folds, some folds are empty."""
    x = rng.integers(0, 3, (40, 2)).astype("float32")
    selection = mixjax.select(
        KEY, x, families=mixjax.Gaussian, n_components=[1], ridge=[1e-3],
        criterion=mixjax.HeldOut(n_folds=40),
    )  # fmt: skip
    assert np.isfinite(selection.scores).all()


def chosen(x, seed, criterion, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        selection = mixjax.select(
            jax.random.key(seed), x.astype("float32"), criterion=criterion,
            families=[mixjax.Gaussian, mixjax.Laplace], n_components=[1, 2, 4, 8, 16], **options,
        )  # fmt: skip
    return selection, selection.candidates[selection.best]


@pytest.mark.parametrize("criterion", [mixjax.HeldOut(), mixjax.bic], ids=["held out", "bic"])
def test_rounding_does_not_choose(criterion, seed):
    """Irises are measured to 0.1 cm: sixteen Laplace components repeated the table."""
    iris = load_iris().data
    within = RNG(seed).uniform(-0.05, 0.05, iris.shape)
    selection, rounded = chosen(iris, seed, criterion)
    _, jittered = chosen(iris + within, seed, criterion)
    assert rounded.family is jittered.family is mixjax.Gaussian
    assert rounded.n_components in (2, 4)
    assert jittered.n_components in (2, 4)
    variances = selection.fit.mixture.components.variances
    assert (variances >= 0.99 * 0.1**2 / 12).all()


def test_rounded_mixtures_and_counts(seed):
    rng = RNG(seed)
    x = rng.normal(size=(150, 4)) + 8 * rng.integers(0, 2, (150, 1))
    _, plain = chosen(x, seed, mixjax.HeldOut())
    assert plain.family is mixjax.Gaussian
    for step in (0.1, 0.5, 1.0):
        _, found = chosen(np.round(x / step) * step, seed, mixjax.HeldOut())
        assert found.family is mixjax.Gaussian
        assert plain.n_components / 2 <= found.n_components <= 2 * plain.n_components <= 8
    counts = rng.poisson(5, (150, 4))
    selection, found = chosen(counts, seed, mixjax.HeldOut())
    assert found.n_components <= 2
    assert (selection.fit.mixture.components.variances >= 0.99 / 12).all()


def test_copies_of_rows_do_not_choose(seed):
    """Every row twice: a copy held out was fitted as well, so that components upon rows win."""
    half = RNG(seed).normal(size=(150, 4))
    _, found = chosen(np.concatenate([half, half]), seed, mixjax.HeldOut())
    assert found.n_components <= 2


def test_wine_is_as_before():
    """Of its many digits few values repeat: what is hidden by rounding does not matter."""
    wine = load_wine().data
    assert (steps(wine, RNG(0)) < 0.1 * wine.std(axis=0)).all()


LAWS = {
    "few": lambda rng, n, law: law[rng.choice(15, n, p=np.arange(1, 16) / 120)],
    "whole": lambda rng, n, law: rng.integers(0, 4, (n, 3)),
    "one-hot": lambda rng, n, law: np.eye(4)[rng.choice(4, n, p=[0.5, 0.3, 0.15, 0.05])][:, :3],
    "constant": lambda rng, n, law: np.c_[np.round(rng.normal(size=(n, 2))), np.full(n, 7)],
    "half copies": lambda rng, n, law: np.where(
        rng.uniform(size=(n, 1)) < 0.5, law[rng.integers(0, 15, n)], rng.normal(size=(n, 3))
    ),
}


@pytest.mark.parametrize("law", LAWS)
def test_p_values_of_repeated_rows_are_conservative(law):
    """Fresh rows of the law of the calibration: p <= t with a frequency of t at most."""
    rates, tables = np.array([0.05, 0.1, 0.2, 0.5]), 24
    shares = []
    for seed in range(tables):
        rng = RNG(1000 + seed)
        points = rng.normal(size=(15, 3))
        x, new = (LAWS[law](rng, n, points).astype("float32") for n in (100, 2000))
        p = np.asarray(detect.fit(jax.random.key(seed), x, **FEW).p_values(new))
        shares.append((p[:, None] <= rates.astype("float32")).mean(axis=0))
    noise = np.std(shares, axis=0) / np.sqrt(tables)
    assert (np.mean(shares, axis=0) <= rates + 3 * noise).all()


def test_repeated_rows_hide_no_strange_ones():
    rng = RNG(0)
    x = rng.integers(0, 4, (100, 3)).astype("float32")
    detector = detect.fit(KEY, x, **FEW)
    odd = rng.integers(0, 4, (50, 3)).astype("float32")
    odd[:, 1] = 9
    assert detector.predict(odd).all()
