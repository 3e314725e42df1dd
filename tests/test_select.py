"""Candidates fitted by one program a family, and the choice among them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import MONOTONE
from scipy.special import logsumexp, xlogy
from sklearn.mixture import GaussianMixture

import mixjax
from mixjax.selection.candidates import Candidate
from mixjax.selection.grid import Job, Split, fit_jobs
from mixjax.selection.subject import Subject

KEY, SEED = jax.random.key(0), np.uint32(0)


def clusters(rng, n, d, k, spread=8.0):
    centers = spread * rng.normal(size=(k, d))
    return (centers[rng.integers(0, k, n)] + rng.normal(size=(n, d))).astype("float32")


@pytest.mark.parametrize("family", MONOTONE, ids=lambda family: family.__name__)
def test_components_without_a_weight_are_as_if_not_there(family, rng):
    """A candidate in a program for five components is the fit with as many as it has."""
    x = jnp.asarray(clusters(rng, 200, 3, 3))
    weights = (rng.uniform(size=200) < 0.8).astype("float32")
    split = Split.of(SEED, np.asarray(x), weights, 5)
    jobs = [Job(Candidate(family, k, 1e-3), split) for k in (1, 3)]
    for job, tried in zip(jobs, fit_jobs(Subject(x), jobs, lambda _: 5, 1e-5, 100), strict=True):
        k = job.candidate.n_components
        assert tried.fit.mixture.n_components == k
        np.testing.assert_allclose(np.exp(tried.fit.mixture.log_weights).sum(), 1, rtol=1e-5)
        mixture = jax.tree.map(jnp.asarray, tried.fit.mixture)
        np.testing.assert_allclose(tried.energy, mixjax.energy(mixture, x), rtol=1e-4, atol=1e-4)
        reg = 1e-3 * np.var(np.asarray(x)[weights > 0], axis=0)
        again = mixjax.fit_from(
            mixture, x, weights=weights, solver=mixjax.EM(reg), tol=1e-5, max_iter=5
        )
        assert abs(again.energy - tried.fit.energy) < 2e-3
        # Rows without weight have no say: their values change nothing.
        other = jnp.where(weights[:, None] > 0, x, 1e3)
        (same,) = fit_jobs(Subject(other), [job], lambda _: 5, 1e-5, 100)
        np.testing.assert_allclose(same.fit.energy, tried.fit.energy, rtol=1e-5)


def test_lanes_side_by_side_are_lanes_alone(rng, monkeypatch):
    """On an accelerator they are: under vmap, filled up with copies."""
    x = jnp.asarray(clusters(rng, 120, 2, 2))
    split = Split.of(SEED, np.asarray(x), np.ones(120), 4)
    jobs = [
        Job(Candidate(mixjax.TiedGaussian, k, r), split) for k in (1, 2, 4) for r in (1e-3, 0.1)
    ]
    alone = fit_jobs(Subject(x), jobs, lambda _: 4, 1e-4, 50)
    monkeypatch.setattr("mixjax.selection.grid.ABREAST", {"cpu": 4})
    together = fit_jobs(Subject(x), jobs, lambda _: 4, 1e-4, 50)
    for a, b in zip(alone, together, strict=True):
        np.testing.assert_allclose(a.energy, b.energy, rtol=2e-4, atol=1e-3)


def test_it_finds_what_made_the_rows(seed):
    rng = np.random.default_rng(seed)
    x = clusters(rng, 600, 2, 4, spread=20)
    for criterion in (mixjax.bic, mixjax.icl, mixjax.HeldOut()):
        selection = mixjax.select(
            KEY, x, families=[mixjax.SphericalGaussian], n_components=range(1, 7),
            ridge=[1e-6], criterion=criterion, n_init=3,
            one_standard_error=isinstance(criterion, mixjax.HeldOut),
        )  # fmt: skip
        assert selection.candidates[selection.best].n_components == 4
        assert selection.fit.mixture.n_components == 4
    sharp = rng.laplace(size=(1500, 2)).astype("float32")
    selection = mixjax.select(KEY, sharp, n_components=[1], ridge=[1e-6])
    assert selection.candidates[selection.best].family is mixjax.Laplace
    text = str(selection).splitlines()
    assert len(text) == 1 + 5
    assert text[1].startswith("Laplace")
    assert text[1].endswith("*")


def test_scores_are_the_energies_of_rows_held_out(rng):
    x = clusters(rng, 100, 2, 2)
    selection = mixjax.select(KEY, x, families=[mixjax.Gaussian], n_components=[1], ridge=[0.0])
    # One component has one optimum: folds can be fitted by hand, whichever they were.
    alone = mixjax.fit(KEY, x, 1)
    assert alone.energy < selection.scores[0] < alone.energy + 1
    average = selection.average.energy(x)
    np.testing.assert_allclose(average, mixjax.energy(selection.fit.mixture, x), rtol=1e-4)
    double = mixjax.select(
        KEY, np.concatenate([x, x[:0]]), families=[mixjax.Gaussian], n_components=[1],
        ridge=[0.0], weights=np.full(100, 2.0, "float32"),
    )  # fmt: skip
    np.testing.assert_allclose(double.scores, selection.scores, rtol=1e-5)


def test_criteria_are_those_of_scikit_learn(rng):
    x = clusters(rng, 300, 3, 2)
    peer = GaussianMixture(2, random_state=0, tol=1e-6).fit(x)
    mixture = mixjax.Mixture(
        jnp.log(jnp.asarray(peer.weights_, "float32")),
        mixjax.Gaussian.from_covariances(
            jnp.asarray(peer.means_, "float32"), jnp.asarray(peer.covariances_, "float32")
        ),
    )
    np.testing.assert_allclose(mixjax.bic(mixture, x), peer.bic(x), rtol=1e-5)
    np.testing.assert_allclose(mixjax.aic(mixture, x), peer.aic(x), rtol=1e-5)
    r = peer.predict_proba(x)
    entropy = -2 * xlogy(r, r).sum()
    np.testing.assert_allclose(mixjax.icl(mixture, x), peer.bic(x) + entropy, rtol=1e-4)
    weights = np.repeat([2.0, 0.0], 150).astype("float32")
    twice = np.concatenate([x[:150], x[:150]])
    for criterion in (mixjax.bic, mixjax.aic, mixjax.icl):
        np.testing.assert_allclose(
            criterion(mixture, x, weights), criterion(mixture, twice), rtol=1e-5
        )


def test_the_average_is_the_weighted_density(rng):
    x = clusters(rng, 80, 2, 2)
    parts = [
        mixjax.fit(KEY, x, k, family=f).mixture for k, f in ((1, MONOTONE[0]), (2, MONOTONE[4]))
    ]
    average = mixjax.Average(jnp.log(jnp.array([0.3, 0.7])), tuple(parts))
    expected = -logsumexp([mixjax.log_prob(m, x) for m in parts], axis=0, b=[[0.3], [0.7]])
    np.testing.assert_allclose(jax.jit(lambda a, x: a.energy(x))(average, x), expected, rtol=1e-5)


def test_the_grid_suits_the_table():
    from mixjax.selection.candidates import candidates_for, default_families

    def numbers(shape, family):
        grid = candidates_for(shape, shape[0], None, "auto", [1e-3])
        return [c.n_components for c in grid if c.family is family]

    assert numbers((20, 2), mixjax.Gaussian) == [1, 2, 4]
    assert numbers((5000, 6), mixjax.Gaussian)[-1] == 64
    assert numbers((5000, 100), mixjax.Gaussian)[-1] == 8
    assert mixjax.Gaussian not in default_families(300)
    assert default_families(2000) == MONOTONE[2:]


def test_the_status_is_that_of_the_mixture_alone(rng):
    """Components held at zero for others' sake are no fault; one without rows is."""
    x = clusters(rng, 100, 2, 2)

    def alone(fit, x, max_iter=100):
        again = mixjax.fit_from(
            fit.mixture, x, solver=mixjax.EM(1e-6 * x.var(axis=0)), tol=1e-3, max_iter=max_iter
        )
        return int(again.status)

    options = {"families": mixjax.Gaussian, "ridge": [1e-6]}
    for criterion in (mixjax.bic, mixjax.HeldOut()):
        selection = mixjax.select(KEY, x, n_components=[1, 2, 4], criterion=criterion, **options)
        assert (selection.status == mixjax.Status.CONVERGED).all()
        assert (selection.n_iter > 0).all()
        assert alone(mixjax.check(selection.fit), x) == selection.fit.status == 0
    brief = mixjax.select(KEY, x, n_components=[1, 4], criterion=mixjax.bic, max_iter=0, **options)
    assert (brief.status == mixjax.Status.MAX_ITER).all()
    assert (brief.n_iter == 0).all()
    with pytest.warns(UserWarning, match="MAX_ITER"):
        mixjax.check(brief.fit)
    # Two different rows: of four components two are left without any.
    two = np.repeat(np.array([[0, 0], [9, 9]], "float32"), 50, axis=0)
    split = Split.of(SEED, np.asarray(two), np.ones(100, "float32"), 4)
    wanted = [Job(Candidate(mixjax.Gaussian, 4, 1e-6), split)]
    (empty,) = fit_jobs(Subject(jnp.asarray(two)), wanted, lambda _: 4, 0.0, 100)
    fit = jax.tree.map(jnp.asarray, empty.fit)
    assert alone(fit, two) == fit.status == mixjax.Status.DEGENERATE
    with pytest.warns(UserWarning, match="DEGENERATE"):
        mixjax.check(fit)
    few = Split.of(SEED, np.asarray(x), (np.arange(100) < 2).astype("float32"), 4)
    odd = Split.of(SEED, np.asarray(x), np.ones(100, "float32"), 4)
    jobs = [Job(Candidate(mixjax.Gaussian, k, 1e-6), few) for k in (2, 4)]
    tried = fit_jobs(Subject(jnp.asarray(x)), jobs, lambda _: 4, 1e-3, 100)
    assert tried[0].fit.status != mixjax.Status.TOO_FEW_ROWS
    assert (tried[1].fit.status, tried[1].fit.n_iter) == (mixjax.Status.TOO_FEW_ROWS, 0)
    nan = jnp.asarray(x).at[0, 0].set(jnp.nan)
    (bad,) = fit_jobs(Subject(nan), [Job(jobs[1].candidate, odd)], lambda _: 4, 1e-3, 100)
    assert (bad.fit.status, bad.fit.n_iter) == (mixjax.Status.NONFINITE, 0)
    assert bad.fit.failed


def test_a_fit_that_failed_has_nothing_to_say():
    fit = mixjax.fit(KEY, np.eye(3, dtype="float32"), 1)
    energy, status = jnp.array([1.0, jnp.nan, jnp.inf, 1.0, 1.0]), jnp.array([0, 0, 1, 2, 3])
    fits = mixjax.Fit(fit.mixture, energy, jnp.zeros(5, int), status)
    assert fits.failed.tolist() == [False, True, True, True, False]


def test_a_bar_counts_fits(rng, capsys):
    x = clusters(rng, 50, 2, 2)
    mixjax.select(
        KEY, x, families=[mixjax.SphericalGaussian], n_components=[1, 2], ridge=[1e-3],
        progress=True,
    )  # fmt: skip
    assert "fit 10 of 10" in capsys.readouterr().err


def test_bad_input_is_named(rng):
    x = clusters(rng, 50, 2, 2)
    with pytest.raises(ValueError, match="1 rows with NaN or infinity"):
        mixjax.select(KEY, np.where(np.arange(100).reshape(50, 2) == 7, np.nan, x))
    with pytest.raises(ValueError, match="n_components must be between 1 and"):
        mixjax.select(KEY, x, n_components=[60])
    with pytest.raises(TypeError, match="n_components must be a Python int"):
        mixjax.select(KEY, x, n_components=[2.5])
    for families in (["full"], "full", mixjax.Gaussian.standard(1, 2, "float32")):
        with pytest.raises(TypeError, match="family must be a class"):
            mixjax.select(KEY, x, families=families)
    for nothing in ({"n_components": []}, {"families": []}):
        with pytest.raises(ValueError, match="grid is empty"):
            mixjax.select(KEY, x, **nothing)
    for front in (mixjax.select, mixjax.detect.fit):
        with pytest.raises(ValueError, match="max_iter must be at most 2147483647"):
            front(KEY, x, max_iter=2**40)
    with pytest.raises(ValueError, match="max_iter must be at most 2147483647"):
        mixjax.fit_batch(KEY, x[None], 1, max_iter=2**40)
    with pytest.raises(ValueError, match="max_iter must be at most"):
        mixjax.fit(KEY, x, 1, max_iter=float("inf"))
    with pytest.raises(ValueError, match="shares of the variance"):
        mixjax.select(KEY, x, ridge=[float("nan")])
    with pytest.raises(ValueError, match="non-negative"):
        mixjax.select(KEY, x, ridge=[-1.0])
    with pytest.raises(TypeError, match="criterion must be"):
        mixjax.select(KEY, x, criterion="bic")
    with pytest.raises(ValueError, match="n_folds must be from 2"):
        mixjax.select(KEY, x, criterion=mixjax.HeldOut(n_folds=1))
    with pytest.raises(TypeError, match="select runs on the host"):
        jax.jit(lambda x: mixjax.select(KEY, x).scores)(x)


def test_the_older_name_of_the_ridge(tmp_path):
    candidate = Candidate(mixjax.Gaussian, 2, 1e-3)
    assert candidate.reg_covar == candidate.ridge == 1e-3
    with pytest.raises(ValueError, match="ridge must hold non-negative"):
        mixjax.select(KEY, np.ones((9, 2), "float32"), reg_covar=[-1.0])
    with pytest.raises(ValueError, match="ridge must hold non-negative"):
        mixjax.detect.fit(KEY, np.ones((19, 2), "float32"), reg_covar=[-1.0])
