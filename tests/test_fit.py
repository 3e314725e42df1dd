import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from conftest import FAMILIES
from problems import clusters

import mixjax
from mixjax.fitting.on_host import solved, solved_from


def leaves_are_finite(tree):
    return all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(tree))


@functools.partial(jax.jit, static_argnums=0)
def fit_all(family, keys, xs):
    return jax.vmap(lambda key, x: mixjax.fit(key, x, 2, family=family))(keys, xs)


def test_vmap_is_the_loop(family, rng):
    xs = jnp.asarray(np.stack([clusters(rng, 80, 2, 2) for _ in range(5)]), "float32")
    keys = jax.random.split(jax.random.key(0), 5)
    together = fit_all(family, keys, xs)
    assert together.energy.shape == (5,)
    for i in range(5):
        alone = mixjax.fit(keys[i], xs[i], 2, family=family)
        np.testing.assert_allclose(together.energy[i], alone.energy, atol=2e-3)
        assert together.status[i] == alone.status


def test_one_bad_lane_leaves_its_neighbors_alone(family, rng):
    xs = np.stack([clusters(rng, 80, 2, 2) for _ in range(5)]).astype("float32")
    bad = xs.copy()
    bad[2, 7, 1] = np.nan
    bad[3] = np.inf
    keys = jax.random.split(jax.random.key(0), 5)
    clean, spoilt = fit_all(family, keys, jnp.asarray(xs)), fit_all(family, keys, jnp.asarray(bad))
    assert np.asarray(spoilt.status)[[2, 3]].tolist() == [mixjax.Status.NONFINITE] * 2
    for a, b in zip(jax.tree.leaves(clean), jax.tree.leaves(spoilt), strict=True):
        assert (np.asarray(a)[[0, 1, 4]] == np.asarray(b)[[0, 1, 4]]).all()
    assert leaves_are_finite(spoilt.mixture)
    with pytest.raises(mixjax.FitError, match=r"2 of 5 fits \(lanes 2, 3\)"):
        mixjax.check(spoilt)
    with pytest.raises(mixjax.FitError, match=r"rows \[2, 7\]"):
        mixjax.check(spoilt, bad)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_rows_that_are_not_finite_are_reported_and_left_out(family, bad):
    x = clusters(np.random.default_rng(3), 80, 2, 2, dtype="float32")
    x[5, 1] = bad
    weights = np.ones(80, "float32")
    fit = mixjax.fit(jax.random.key(0), x, 2, family=family, weights=weights)
    assert int(fit.status) == mixjax.Status.NONFINITE
    assert leaves_are_finite(fit.mixture)
    with pytest.raises(mixjax.FitError, match="the rows 5 of x"):
        mixjax.check(fit, x)
    weights[5] = 0
    healed = mixjax.fit(jax.random.key(0), x, 2, family=family, weights=weights)
    assert int(healed.status) == mixjax.Status.CONVERGED
    assert mixjax.check(healed, x[:5]) is healed


def awkward(dtype):
    rng = np.random.default_rng(0)
    base = rng.normal(size=(40, 3))
    line = np.arange(40.0)[:, None]
    tables = {
        "constant column": np.c_[base[:, :2], np.full(40, 7.3)],
        "all columns constant": np.full((40, 3), 1e5),
        "duplicated rows": np.repeat(base[:4], 10, axis=0),
        "collinear columns": line * np.array([[1.0, -2.0, 0.5]]),
        "one huge outlier": np.r_[base[:39], [[1e18, -1e18, 1e18]]],
        "tiny scale": 1e-15 * base,
        "huge scale": 1e15 * base,
        "mixed scales": base * np.array([1e-15, 1.0, 1e15]),
        "far and narrow": 1e4 + 1e-2 * base,
        "integers": np.round(base),
        "one column": base[:, :1],
    }
    return {name: table.astype(dtype) for name, table in tables.items()}


@pytest.mark.parametrize("name", list(awkward("float32")))
def test_awkward_tables_give_finite_parameters_and_energies(family, name):
    x = awkward("float32")[name]
    fit = mixjax.fit(jax.random.key(0), x, 3, family=family)
    assert leaves_are_finite((fit.mixture, fit.energy)), fit
    assert np.isfinite(mixjax.energy(fit.mixture, x)).all()
    assert int(fit.status) != mixjax.Status.NONFINITE
    np.testing.assert_allclose(fit.mixture.weights.sum(), 1, rtol=1e-4)


@pytest.mark.parametrize("n", [1, 5])
def test_as_many_components_as_rows(family, n):
    x = np.random.default_rng(0).normal(size=(n, 2)).astype("float32")
    fit = mixjax.fit(jax.random.key(0), x, n, family=family)
    assert leaves_are_finite((fit.mixture, fit.energy))
    assert np.isfinite(mixjax.energy(fit.mixture, x)).all()


@pytest.mark.parametrize("start", [mixjax.kmeans, mixjax.random_responsibilities])
def test_zero_weight_rows_are_absent_rows(family, float64, rng, start):
    x = clusters(rng, 80, 2, 2)
    keep = rng.permutation(80) < 50
    junk = np.where(keep[:, None], x, 1e9)
    key = jax.random.key(0)
    options = {"family": family, "start": start, "max_iter": 10}
    weighted = mixjax.fit(key, junk, 2, weights=keep.astype(float), **options)
    alone = mixjax.fit(key, x[keep], 2, **options)
    np.testing.assert_allclose(weighted.energy, alone.energy, rtol=1e-7)


def test_whole_weights_are_repeated_rows(family, float64, rng):
    x = clusters(rng, 80, 2, 2)
    times = rng.permutation(80) % 3 + 1
    begin = mixjax.fit(jax.random.key(0), x, 2, family=family, max_iter=0).mixture
    weighted = mixjax.fit_from(begin, x, weights=times, tol=0.0, max_iter=5)
    repeated = mixjax.fit_from(begin, np.repeat(x, times, 0), tol=0.0, max_iter=5)
    np.testing.assert_allclose(weighted.energy, repeated.energy, rtol=1e-8)


@pytest.mark.parametrize("family", [mixjax.Gaussian, mixjax.Laplace])
def test_restarts_keep_the_best(family, seed, rng):
    x = jnp.asarray(clusters(rng, 150, 2, 6, spread=2), "float32")
    key = jax.random.key(seed)
    options = {"family": family, "start": mixjax.random_responsibilities}
    several = mixjax.fit(key, x, 6, n_init=6, **options)
    singles = [mixjax.fit(k, x, 6, **options).energy for k in jax.random.split(key, 6)]
    np.testing.assert_allclose(several.energy, min(singles), atol=2e-3)


def test_best_leaves_out_fits_that_failed():
    components = mixjax.SphericalGaussian(jnp.zeros((3, 1, 1)), jnp.ones((3, 1)))
    mixture = mixjax.Mixture(jnp.zeros((3, 1)), components)
    status = jnp.array([mixjax.Status.NONFINITE, mixjax.Status.MAX_ITER, mixjax.Status.CONVERGED])
    fits = mixjax.Fit(mixture, jnp.array([-9.0, 1.0, 2.0]), jnp.arange(3), status)
    assert int(mixjax.best(fits).n_iter) == 1
    with pytest.raises(ValueError, match="leading axis"):
        mixjax.best(mixjax.best(fits))


def test_status_says_how_it_ended(rng):
    x = jnp.asarray(clusters(rng, 200, 2, 3), "float32")
    done = mixjax.fit(jax.random.key(0), x, 3, max_iter=500)
    assert int(done.status) == mixjax.Status.CONVERGED
    assert mixjax.check(done) is done
    stopped = mixjax.fit(jax.random.key(0), x, 3, tol=0.0, max_iter=3)
    assert (int(stopped.status), int(stopped.n_iter)) == (mixjax.Status.MAX_ITER, 3)
    with pytest.warns(UserWarning, match="raise max_iter"):
        mixjax.check(stopped)
    far = mixjax.Gaussian.from_covariances(
        jnp.array([[0.0, 0], [1e4, 0]]), jnp.tile(jnp.eye(2), (2, 1, 1))
    )
    lost = mixjax.fit_from(mixjax.Mixture(jnp.log(jnp.array([0.5, 0.5])), far), x)
    assert int(lost.status) == mixjax.Status.DEGENERATE
    assert leaves_are_finite(lost.mixture)
    with pytest.warns(UserWarning, match="no rows"):
        mixjax.check(lost)


def test_other_options_do_not_compile_again(rng):
    x = jnp.asarray(rng.normal(size=(50, 2)), "float32")
    begin = mixjax.fit(jax.random.key(0), x, 2, solver=mixjax.EM(1e-3), tol=1e-3, max_iter=5)
    mixjax.fit_from(begin.mixture, x, solver=mixjax.EM(1e-3))
    before = solved.n_compiled(), solved_from.n_compiled()
    for reg, tol, max_iter in [(1e-2, 1e-4, 7), (0.5, 0.0, 9)]:
        mixjax.fit(jax.random.key(3), x, 2, solver=mixjax.EM(reg), tol=tol, max_iter=max_iter)
        mixjax.fit_from(begin.mixture, x, solver=mixjax.EM(reg), tol=tol, max_iter=max_iter)
    assert (solved.n_compiled(), solved_from.n_compiled()) == before


@functools.partial(jax.jit, static_argnums=0)
def fit_two(family, key, x, weights, tol, max_iter):
    return mixjax.fit(key, x, 2, family=family, weights=weights, tol=tol, max_iter=max_iter)


def test_works_inside_jit_with_traced_options(family, rng):
    x = jnp.asarray(clusters(rng, 80, 2, 2), "float32")
    inside = fit_two(family, jax.random.key(0), x, jnp.ones(80), 1e-3, 20)
    outside = mixjax.fit(jax.random.key(0), x, 2, family=family, weights=np.ones(80), max_iter=20)
    np.testing.assert_allclose(inside.energy, outside.energy, rtol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_dtype_in_is_dtype_out_under_x64(family, float64):
    for dtype in ("float32", "float64"):
        x = jnp.asarray(clusters(np.random.default_rng(0), 80, 2, 2), dtype)
        fit = mixjax.fit(jax.random.key(0), x, 2, family=family)
        assert {leaf.dtype for leaf in jax.tree.leaves((fit.mixture, fit.energy))} == {x.dtype}


def test_history_repeats_the_last_energy(rng):
    x = jnp.asarray(clusters(rng, 100, 2, 2), "float32")
    begin = mixjax.fit(jax.random.key(0), x, 2, max_iter=0).mixture
    fit, energies = mixjax.fit_history(begin, x, max_iter=50)
    n = int(fit.n_iter)
    assert n < 50
    assert energies.shape == (51,)
    assert (energies[n:] == fit.energy).all()
    np.testing.assert_allclose(energies[0], mixjax.energy(begin, x).mean(), rtol=1e-5)


X = np.random.default_rng(0).normal(size=(20, 3)).astype("float32")
KEY = jax.random.key(0)
BAD_CALLS = {
    "rank": (lambda: mixjax.fit(KEY, X[0], 2), ValueError, r"x must have shape .*\(3,\).*x\[:, None\]"),
    "half": (lambda: mixjax.fit(KEY, X.astype("f2"), 2), TypeError, r"x must hold float.*float16.*astype"),
    "complex": (lambda: mixjax.fit(KEY, X.astype(complex), 2), TypeError, "complex128"),
    "text": (lambda: mixjax.fit(KEY, [["a"]], 1), TypeError, "x, column 0 must hold numbers, got 'a'"),
    "no rows": (lambda: mixjax.fit(KEY, X[:0], 1), ValueError, "at least one row"),
    "no components": (lambda: mixjax.fit(KEY, X, 0), ValueError, "n_components must be between 1 and .*20.*got 0"),
    "many components": (lambda: mixjax.fit(KEY, X, 21), ValueError, "n_components .* got 21"),
    "float components": (lambda: mixjax.fit(KEY, X, 2.0), TypeError, "n_components must be a Python int"),
    "short weights": (lambda: mixjax.fit(KEY, X, 2, weights=np.ones(3)), ValueError, r"weights .*\(20,\).*\(3,\)"),
    "negative weights": (lambda: mixjax.fit(KEY, X, 2, weights=-np.ones(20)), ValueError, "weights must not be negative.*row 0"),
    "zero weights": (lambda: mixjax.fit(KEY, X, 2, weights=np.zeros(20)), ValueError, "all be zero"),
    "family": (lambda: mixjax.fit(KEY, X, 2, family="gaussian"), TypeError, "family must be a class.*'gaussian'"),
    "family instance": (lambda: mixjax.fit(KEY, X, 2, family=mixjax.Gaussian(X, X)), TypeError, "family"),
    "old key": (lambda: mixjax.fit(jax.random.PRNGKey(0), X, 2), TypeError, "typed random key, jax.random.key"),
    "no key": (lambda: mixjax.fit(0, X, 2), TypeError, "key must be a typed random key"),
    "many keys": (lambda: mixjax.fit(jax.random.split(KEY), X, 2), ValueError, "single key"),
    "solver": (lambda: mixjax.fit(KEY, X, 2, solver="em"), TypeError, "solver must be"),
    "start": (lambda: mixjax.fit(KEY, X, 2, start="kmeans"), TypeError, "start must be such as"),
    "n_init": (lambda: mixjax.fit(KEY, X, 2, n_init=0), ValueError, "n_init"),
    "tol": (lambda: mixjax.fit(KEY, X, 2, tol=-1.0), ValueError, "tol must not be negative"),
    "nan tol": (lambda: mixjax.fit(KEY, X, 2, tol=np.nan), ValueError, "tol"),
    "max_iter": (lambda: mixjax.fit(KEY, X, 2, max_iter=-1), ValueError, "max_iter"),
    "reg_covar": (lambda: mixjax.fit(KEY, X, 2, solver=mixjax.EM(-1.0)), ValueError, "reg_covar must not be negative"),
    "reg_covar shape": (lambda: mixjax.fit(KEY, X, 2, solver=mixjax.EM(np.ones(2))), ValueError, r"reg_covar .*\(3,\)"),
    "width": (lambda: mixjax.energy(mixjax.fit(KEY, X, 2).mixture, X[:, :2]), ValueError, "2 columns.*3 features"),
    "fit_from width": (lambda: mixjax.fit_from(mixjax.fit(KEY, X, 2).mixture, X[:, :2]), ValueError, "columns"),
    "resp": (lambda: mixjax.m_step(mixjax.Gaussian, X, np.ones((3, 2))), ValueError, r"resp must have shape .*\(3, 2\)"),
    "sample": (lambda: mixjax.sample(KEY, mixjax.fit(KEY, X, 2).mixture, 0), ValueError, "n must be at least 1"),
    "start key": (lambda: mixjax.kmeans_plus_plus(1, X, 2), TypeError, "key"),
    "no mixture": (lambda: mixjax.energy(X, X), TypeError, "mixture must be a mixjax.Mixture.*got ndarray"),
    "fit for a mixture": (lambda: mixjax.covariance_penalty(mixjax.fit(KEY, X, 1)), TypeError, "got Fit"),
    "sample of a fit": (lambda: mixjax.sample(KEY, mixjax.fit(KEY, X, 1), 3), TypeError, "got Fit"),
    "fit from a fit": (lambda: mixjax.fit_from(mixjax.fit(KEY, X, 1), X), TypeError, "got Fit"),
    "one covariance for two": (lambda: mixjax.Gaussian.from_covariances(np.zeros((2, 2)), np.eye(2)), ValueError, r"\(K, D, D\) = \(2, 2, 2\)"),
    "two covariances for all": (lambda: mixjax.TiedGaussian.from_covariance(np.zeros((2, 2)), np.ones((2, 2, 2))), ValueError, r"\(D, D\)"),
    "flat means": (lambda: mixjax.DiagonalGaussian.from_variances(np.zeros(2), np.ones(2)), ValueError, "means must have shape"),
    "variance a column": (lambda: mixjax.SphericalGaussian.from_variances(np.zeros((3, 2)), np.ones((3, 2))), ValueError, r"\(K\) = \(3,\)"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_CALLS)
def test_bad_input_is_named_at_once(name):
    call, error, text = BAD_CALLS[name]
    with pytest.raises(error, match=text):
        call()


def test_negative_weights_are_caught_before_compiling_only_where_they_can_be():
    with pytest.raises(ValueError, match="shape"):
        jax.jit(lambda w: mixjax.fit(KEY, X, 2, weights=w))(jnp.ones(7))


def test_a_mixture_of_another_dtype_is_refused(float64):
    mixture = mixjax.fit(KEY, jnp.asarray(X), 2).mixture
    with pytest.raises(TypeError, match="float32 numbers and x float64"):
        mixjax.fit_from(mixture, X.astype("float64"))


def test_the_optimizer_is_part_of_the_program_not_of_the_data(rng):
    solver = mixjax.Gradient(optax.adam(1e-2), batch_size=8)
    assert jax.tree.leaves(solver) == []
    assert jax.tree.leaves(mixjax.EM(1e-3)) == [1e-3]
