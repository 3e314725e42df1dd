"""The estimators for scikit-learn: against their peers, in its tools, and by its own checks."""

import inspect
import os
import pickle
import re
import subprocess
import sys

import jax
import jax.numpy as jnp
import joblib
import numpy as np
import pandas as pd
import pytest
from problems import clusters, random_mixture
from sklearn import mixture as peer
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import mixjax
import mixjax.sklearn
from mixjax.sklearn import (
    DAGMMDetector,
    GaussianMixture,
    LaplaceMixture,
    MixtureDetector,
    from_sklearn,
    to_sklearn,
)

COVARIANCE_TYPES = ["full", "tied", "diag", "spherical"]
STARTS = ["kmeans", "k-means++", "random", "random_from_data"]
GAUSSIAN = [
    mixjax.Gaussian,
    mixjax.TiedGaussian,
    mixjax.DiagonalGaussian,
    mixjax.SphericalGaussian,
]
MIXTURES = [GaussianMixture, LaplaceMixture]


def attributes(estimator):
    return {n for n in vars(estimator) if n.endswith("_") and not n.startswith("_")}


def begin_at(estimator, rows):
    """The estimator, told where its locations begin."""
    name = "means_init" if isinstance(estimator, GaussianMixture) else "locations_init"
    return estimator.set_params(**{name: rows})


# The start is scikit-learn's own code, whatever the covariances are.
STEPS = [(kind, "kmeans") for kind in COVARIANCE_TYPES] + [("full", start) for start in STARTS[1:]]


@pytest.mark.parametrize(("covariance_type", "init_params"), STEPS)
def test_takes_the_same_steps_as_scikit_learn(covariance_type, init_params, rng, dtype):
    x = clusters(rng, 240, 3, 3, dtype=dtype)
    options = {"covariance_type": covariance_type, "init_params": init_params, "random_state": 7}
    ours, theirs = GaussianMixture(3, **options).fit(x), peer.GaussianMixture(3, **options).fit(x)
    rtol, atol = (1e-8, 1e-8) if dtype == np.float64 else (2e-3, 2e-3)
    assert attributes(ours) == attributes(theirs)
    assert ours.converged_ == theirs.converged_
    if dtype == np.float64:
        assert ours.n_iter_ == theirs.n_iter_ == len(ours.lower_bounds_)
        np.testing.assert_allclose(ours.lower_bounds_, theirs.lower_bounds_, atol=1e-6)
    for name in ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_"):
        mine, other = getattr(ours, name), getattr(theirs, name)
        assert mine.dtype == other.dtype == dtype, name
        np.testing.assert_allclose(mine, other, rtol=rtol, atol=atol * np.abs(other).max())
    new = clusters(rng, 50, 3, 3, dtype=dtype)
    for question in ("score_samples", "predict_proba"):
        mine, other = getattr(ours, question)(new), getattr(theirs, question)(new)
        assert mine.dtype == other.dtype
        np.testing.assert_allclose(mine, other, rtol=rtol, atol=10 * atol)
    for question in ("bic", "aic", "score"):
        assert getattr(ours, question)(x) == pytest.approx(getattr(theirs, question)(x), rel=1e-3)
    assert (ours.predict(new) == ours.predict_proba(new).argmax(axis=1)).all()


def test_has_every_name_of_its_peer():
    ours, theirs = (
        inspect.signature(c).parameters for c in (GaussianMixture, peer.GaussianMixture)
    )
    assert {n: p.default for n, p in ours.items()} == {n: p.default for n, p in theirs.items()}
    public = [n for n in dir(peer.GaussianMixture) if not n.startswith("_")]
    assert all(hasattr(GaussianMixture, name) for name in public)


def test_samples_what_its_peer_does():
    x = clusters(np.random.default_rng(0), 100, 2, 2)
    draws = [
        c(2, random_state=3).fit(x).sample(40) for c in (GaussianMixture, peer.GaussianMixture)
    ]
    np.testing.assert_allclose(draws[0][0], draws[1][0], rtol=1e-6)
    np.testing.assert_array_equal(draws[0][1], draws[1][1])


@pytest.mark.parametrize("verbose", [1, 2])
@pytest.mark.filterwarnings("ignore:Best performing")
def test_says_what_its_peer_says(verbose, capsys):
    x = clusters(np.random.default_rng(1), 200, 2, 4, spread=1.0)
    said = []
    for estimator in (GaussianMixture, peer.GaussianMixture):
        estimator(4, tol=1e-5, n_init=2, random_state=0, verbose=verbose, verbose_interval=3).fit(x)
        text = capsys.readouterr().out
        said.append(re.sub(r"time lapse \d+\.\d+s", "", text))
    assert said[0] == said[1]
    assert "Iteration 3" in said[0]


@pytest.mark.parametrize("estimator", MIXTURES)
def test_warns_where_it_did_not_converge(estimator):
    x = clusters(np.random.default_rng(0), 200, 2, 4, spread=1.0)
    with pytest.warns(ConvergenceWarning, match="did not converge"):
        fitted = estimator(4, tol=0.0, max_iter=3, random_state=0).fit(x)
    assert not fitted.converged_
    assert fitted.n_iter_ == 3


@pytest.mark.parametrize("estimator", MIXTURES)
def test_a_warm_start_goes_on_where_the_first_fit_ended(estimator):
    x = clusters(np.random.default_rng(2), 300, 2, 3, spread=1.5)
    once = estimator(3, tol=0.0, max_iter=8, random_state=0)
    twice = estimator(3, tol=0.0, max_iter=4, random_state=0, warm_start=True)
    with pytest.warns(ConvergenceWarning):
        once.fit(x)
    with pytest.warns(ConvergenceWarning):
        twice.fit(x).fit(x)
    np.testing.assert_allclose(once.score_samples(x), twice.score_samples(x), rtol=1e-6)


@pytest.mark.parametrize("estimator", MIXTURES)
def test_a_weight_is_a_number_of_rows(estimator, rng):
    x = clusters(rng, 120, 2, 2)
    weights = rng.integers(0, 4, size=120)
    weights[:2] = 1
    model = begin_at(estimator(2, init_params="random_from_data", random_state=0, tol=1e-7), x[:2])
    weighted = clone(model).fit(x, sample_weight=weights)
    repeated = clone(model).fit(np.repeat(x, weights, axis=0))
    present = clone(model).fit(x[weights > 0], sample_weight=3.0 * weights[weights > 0])
    new = clusters(rng, 50, 2, 2)
    np.testing.assert_allclose(weighted.score_samples(new), present.score_samples(new), rtol=1e-9)
    np.testing.assert_allclose(weighted.score_samples(new), repeated.score_samples(new), rtol=1e-3)
    assert weighted.score(new, sample_weight=np.arange(50)) == pytest.approx(
        np.average(weighted.score_samples(new), weights=np.arange(50))
    )


@pytest.mark.parametrize("estimator", MIXTURES)
def test_rows_of_no_weight_are_labeled_too(estimator, rng):
    x = clusters(rng, 80, 2, 2, spread=8.0)
    weights = np.where(np.arange(80) < 60, 1.0, 0.0)
    model = estimator(2, random_state=0)
    labels = model.fit_predict(x, sample_weight=weights)
    np.testing.assert_array_equal(labels, model.predict(x))


@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
@pytest.mark.parametrize("given", ["weights_init", "means_init", "precisions_init"])
def test_each_part_of_a_start_may_be_given_beside_weights(given, covariance_type, rng):
    x = clusters(rng, 120, 2, 2, spread=8.0)
    known = GaussianMixture(2, covariance_type=covariance_type, random_state=0).fit(x)
    name = given.replace("init", "")
    model = GaussianMixture(
        2, covariance_type=covariance_type, random_state=0, max_iter=0,
        **{given: getattr(known, name)},
    ).fit(x, sample_weight=np.ones(120))  # fmt: skip
    np.testing.assert_allclose(getattr(model, name), getattr(known, name), rtol=1e-9)
    assert np.isfinite(model.score_samples(x)).all()


@pytest.mark.parametrize("init_params", STARTS)
def test_every_start_takes_weights(init_params, rng):
    x = clusters(rng, 200, 2, 3, spread=8.0)
    weights = np.where(np.arange(200) < 150, 1.0, 0.0)
    fits = [
        GaussianMixture(2, init_params=init_params, random_state=1).fit(rows, sample_weight=w)
        for rows, w in ((x, weights), (x[:150], weights[:150]))
    ]
    np.testing.assert_allclose(fits[0].score_samples(x), fits[1].score_samples(x), rtol=1e-9)


def test_far_from_the_origin_single_precision_keeps_the_variance(rng):
    x = (1000 + rng.normal(size=(5000, 1))).astype(np.float32)
    fitted = GaussianMixture(1, covariance_type="diag").fit(x)
    assert fitted.covariances_.item() == pytest.approx(x.astype(np.float64).var(), rel=1e-3)


def test_collapsed_components_are_told():
    x = np.repeat([[0.0, 0.0], [1.0, 1.0]], 10, axis=0)
    for covariance_type in COVARIANCE_TYPES:
        estimator = GaussianMixture(2, covariance_type=covariance_type, reg_covar=0.0)
        with pytest.raises(ValueError, match="ill-defined empirical covariance"):
            estimator.fit(x, sample_weight=np.ones(20))
        estimator.set_params(reg_covar=1e-6).fit(x, sample_weight=np.ones(20))


@pytest.mark.parametrize("estimator", MIXTURES)
def test_names_what_is_wrong(estimator):
    x = clusters(np.random.default_rng(0), 20, 2, 2)
    with pytest.raises(NotFittedError):
        estimator().predict(x)
    with pytest.raises(ValueError, match="n_components"):
        estimator(0).fit(x)
    with pytest.raises(ValueError, match="init_params"):
        estimator(init_params="best").fit(x)
    with pytest.raises(ValueError, match="n_samples >= n_components"):
        estimator(21).fit(x)
    with pytest.raises(ValueError, match="Negative"):
        estimator().fit(x, sample_weight=-np.ones(20))
    with pytest.raises(ValueError, match="should have the shape"):
        begin_at(estimator(2), x[:3]).fit(x)
    with pytest.raises(ValueError, match="infinity"):
        estimator().fit(np.where(x > 0, np.inf, x))
    with pytest.raises(ValueError, match="no value in the columns 1"):
        estimator().fit(np.where(np.arange(2) == 1, np.nan, x))
    with pytest.raises(ValueError, match="n_samples"):
        estimator().fit(x).sample(0)


@pytest.mark.parametrize("covariance_type", [*COVARIANCE_TYPES, "laplace"])
def test_nan_is_a_missing_value(covariance_type, rng, float64):
    """The fit is a fixed point of EM for what is known, and so are the questions."""
    x = clusters(rng, 200, 2, 2)
    x[rng.random(x.shape) < 0.2] = np.nan
    x[7] = np.nan
    options = {"random_state": 0, "tol": 1e-10, "max_iter": 2000}
    if covariance_type == "laplace":
        ours = LaplaceMixture(2, reg_covar=0.0, **options)
    else:
        ours = GaussianMixture(2, covariance_type=covariance_type, reg_covar=0.0, **options)
    ours.fit(x)
    mixture, rows = ours._mixture(np.float64), mixjax.Observed(x)
    again = mixjax.fit_from(mixture, rows, solver=mixjax.EM(reg_covar=0.0), max_iter=1)
    for a, b in zip(jax.tree.leaves(again.mixture), jax.tree.leaves(mixture), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(ours.score_samples(x), mixjax.log_prob(mixture, rows), rtol=1e-9)
    resp = mixjax.responsibilities(mixture, rows)
    np.testing.assert_allclose(ours.predict_proba(x), resp, rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(ours.predict(x), resp.argmax(axis=1))
    np.testing.assert_allclose(ours.bic(x), mixjax.bic(mixture, rows), rtol=1e-9)
    assert ours.__sklearn_tags__().input_tags.allow_nan


def test_a_stream_is_followed_batch_by_batch(rng, float64):
    """The steps are those of `update`; the mixture comes near that of all rows."""
    x = clusters(rng, 2000, 2, 2)
    ours, batches = GaussianMixture(2, random_state=0), np.array_split(x, 40)
    ours.partial_fit(batches[0])
    state = mixjax.Stepwise.of(ours._mixture(np.float64), reg_covar=ours.reg_covar)
    for i, batch in enumerate(batches[1:], 2):
        ours.partial_fit(batch)
        state = mixjax.update(state, batch, i**-0.6)
    np.testing.assert_allclose(ours.means_, state.mixture.components.means, rtol=1e-9)
    whole = GaussianMixture(2, random_state=0).fit(x)
    assert whole.score(x) - ours.score(x) < 0.02
    # After a fit it goes on from there, and a fit begins anew.
    before = whole.score(x)
    assert before - whole.partial_fit(batches[0]).score(x) < 0.02
    refit = ours.fit(x).means_
    np.testing.assert_array_equal(refit, GaussianMixture(2, random_state=0).fit(x).means_)
    same = pickle.loads(pickle.dumps(ours.partial_fit(batches[0])))
    same.partial_fit(batches[1], sample_weight=np.ones(50))
    np.testing.assert_array_equal(same.means_, ours.partial_fit(batches[1]).means_)
    with pytest.raises(ValueError, match="NaN"):
        ours.partial_fit(np.full((3, 2), np.nan))


def test_a_detector_takes_holes_and_words(rng):
    x = clusters(rng, 300, 2, 2).astype("float32")
    x[rng.random(x.shape) < 0.1] = np.nan
    options = {"n_components": 2, "covariance_type": "diag", "random_state": 0}
    ours = MixtureDetector(**options).fit(x)
    scores = ours.detector_.scores(mixjax.Observed(x))
    np.testing.assert_allclose(-ours.score_samples(x), scores, rtol=1e-5)
    assert (ours.explain(x)[np.isnan(x)] == 0).all()
    frame = pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "word": rng.choice(["yes", "no"], 300)})
    frame.loc[5, "word"] = None
    ours = MixtureDetector(kinds="auto", **options).fit(frame)
    assert list(ours.feature_names_in_) == ["a", "b", "word"]
    assert ours.detector_.levels == ((), (), ("no", "yes"))
    assert np.isfinite(ours.score_samples(frame)).all()
    other = frame.head(2).assign(word=["yes", "maybe"], a=0.0, b=0.0)
    first, second = ours.score_samples(other)
    assert second < first
    with pytest.raises(ValueError, match="feature names should match"):
        ours.predict(frame.rename(columns={"a": "c"}))
    with pytest.raises(ValueError, match="could not convert"):
        MixtureDetector(**options).fit(frame)


def test_laplace_mixture_is_the_fit_of_the_library(rng, float64):
    x = rng.laplace(size=(300, 2)) * [1, 3] + np.repeat([[0, 0], [9, 20]], 150, axis=0)
    ours = LaplaceMixture(2, random_state=0, tol=1e-9, reg_covar=0.0).fit(x)
    mixture = mixjax.fit(jax.random.key(0), x, 2, family=mixjax.Laplace, tol=1e-9).mixture
    np.testing.assert_allclose(ours.score_samples(x), mixjax.log_prob(mixture, x), rtol=1e-4)
    rows, labels = ours.sample(1000)
    assert (ours.predict(rows) == labels).mean() > 0.95
    assert ours.bic(x) > ours.aic(x)


@pytest.mark.parametrize("estimator", MIXTURES)
def test_works_in_scikit_learns_tools(estimator, rng, tmp_path):
    pandas = pytest.importorskip("pandas")
    x = clusters(rng, 150, 3, 3, spread=8.0)
    frame = pandas.DataFrame(x, columns=["a", "b", "c"])
    pipeline = make_pipeline(StandardScaler().set_output(transform="pandas"), estimator(3))
    search = GridSearchCV(pipeline, {f"{estimator.__name__.lower()}__n_components": [1, 3]}, cv=3)
    search.set_params(estimator__memory=None)
    search.fit(frame)
    assert search.best_estimator_[-1].n_components == 3
    assert search.best_estimator_[-1].feature_names_in_.tolist() == ["a", "b", "c"]
    labels = search.predict(frame)
    joblib.dump(search, tmp_path / "search.joblib")
    for copy in (pickle.loads(pickle.dumps(search)), joblib.load(tmp_path / "search.joblib")):
        np.testing.assert_array_equal(copy.predict(frame), labels)
    with pytest.raises(ValueError, match="feature names"):
        search.best_estimator_[-1].predict(frame.rename(columns={"a": "z"}))


def test_fits_in_processes_of_joblib():
    x = clusters(np.random.default_rng(0), 100, 2, 2)
    here = GaussianMixture(2, random_state=0).fit(x).score_samples(x)
    (there,) = joblib.Parallel(n_jobs=2, backend="loky")(
        [joblib.delayed(_scores)(GaussianMixture(2, random_state=0), x)]
    )
    np.testing.assert_allclose(here, there, rtol=1e-9)


def _scores(estimator, x):
    return estimator.fit(x).score_samples(x)


@pytest.mark.parametrize("family", GAUSSIAN, ids=lambda family: family.__name__)
def test_goes_to_scikit_learn_and_back(family, rng, dtype):
    mixture = random_mixture(family, rng, 3, 4, dtype)
    x = clusters(rng, 60, 4, 3, dtype=dtype)
    theirs = to_sklearn(mixture)
    assert type(theirs) is peer.GaussianMixture
    tight = 1e-9 if dtype == np.float64 else 1e-4
    np.testing.assert_allclose(
        theirs.score_samples(x), mixjax.log_prob(mixture, x), rtol=tight, atol=tight
    )
    np.testing.assert_allclose(
        theirs.predict_proba(x), mixjax.responsibilities(mixture, x), atol=10 * tight
    )
    name = "covariance" if family is mixjax.TiedGaussian else "covariances"
    if family in (mixjax.Gaussian, mixjax.TiedGaussian):
        known = getattr(mixture.components, name)
        np.testing.assert_allclose(theirs.covariances_, known, rtol=tight, atol=tight)
    back = from_sklearn(theirs)
    for ours, original in zip(jax.tree.leaves(back), jax.tree.leaves(mixture), strict=True):
        assert ours.dtype == original.dtype
        np.testing.assert_allclose(ours, original, rtol=10 * np.finfo(dtype).eps, atol=1e-6)


def test_only_what_scikit_learn_has_goes_there(rng):
    laplace = random_mixture(mixjax.Laplace, rng, 2, 2, "float32")
    with pytest.raises(TypeError, match="Gaussian components"):
        to_sklearn(laplace)
    fits = mixjax.fit_batch(jax.random.key(0), jnp.ones((2, 9, 1)), 1)
    with pytest.raises(ValueError, match="leading axes"):
        to_sklearn(fits.mixture)
    with pytest.raises(TypeError, match="GaussianMixture"):
        from_sklearn(peer.BayesianGaussianMixture())
    with pytest.raises(NotFittedError):
        from_sklearn(peer.GaussianMixture())


@pytest.mark.parametrize("family", GAUSSIAN, ids=lambda family: family.__name__)
def test_runs_as_onnx(family):
    skl2onnx = pytest.importorskip("skl2onnx")
    onnxruntime = pytest.importorskip("onnxruntime")
    x = clusters(np.random.default_rng(3), 80, 3, 2, dtype="float32")
    mixture = mixjax.fit(jax.random.key(0), x, 2, family=family).mixture
    written = skl2onnx.to_onnx(
        to_sklearn(mixture), x, options={"score_samples": True}, target_opset=15
    )
    session = onnxruntime.InferenceSession(written.SerializeToString())
    outputs = session.run(None, {session.get_inputs()[0].name: x})
    resp = np.asarray(mixjax.responsibilities(mixture, x))
    np.testing.assert_array_equal(outputs[0].ravel(), resp.argmax(axis=1))
    np.testing.assert_allclose(outputs[1], resp, atol=1e-4)
    np.testing.assert_allclose(outputs[2].ravel(), mixjax.log_prob(mixture, x), rtol=1e-3)


def test_the_detector_is_that_of_the_library(rng):
    x = clusters(rng, 200, 3, 2)
    ours = MixtureDetector([1, 2], covariance_type=["full", "laplace"], random_state=0).fit(x)
    strange = np.concatenate([x[:20], x[:20] + 40])
    np.testing.assert_allclose(
        ours.score_samples(strange), -ours.detector_.scores(strange.astype(np.float64)), rtol=1e-5
    )
    assert (ours.predict(strange[20:]) == -1).all()
    assert ours.explain(strange).shape == (40, 3)
    assert [type(m.mixtures.components) for m in ours.detector_.members] != []
    known = MixtureDetector(1, covariance_type="full", contamination=0.1, random_state=0)
    assert (known.fit_predict(x) == -1).sum() == 20
    with pytest.raises(ValueError, match="covariance_type"):
        MixtureDetector(covariance_type=["full", "round"]).fit(x)
    with pytest.raises(ValueError, match="contamination"):
        MixtureDetector(contamination=0.7).fit(x)


def test_dagmm_learns_from_anomalies_that_are_known(rng):
    x = clusters(rng, 300, 4, 2)
    is_anomaly = np.arange(300) >= 280
    x[is_anomaly] += 8 * rng.choice([-1, 1], size=(20, 4))
    options = {"epochs": 30, "batch_size": 100, "random_state": 0, "contamination": 20 / 300}
    ours = DAGMMDetector(**options).fit(x, is_anomaly=is_anomaly)
    assert (ours.predict(x)[is_anomaly] == -1).mean() >= 0.9
    assert (ours.predict(x) == -1).sum() == 20
    copy = pickle.loads(pickle.dumps(ours))
    np.testing.assert_array_equal(copy.score_samples(x), ours.score_samples(x))


def test_the_old_name_of_an_autoencoder_warns(rng):
    x = clusters(rng, 60, 2, 2)
    with pytest.warns(DeprecationWarning, match="'quantised' is now called 'quantized'"):
        DAGMMDetector("quantised", epochs=1, random_state=0).fit(x)


CHECKED = """
import sys, warnings
warnings.simplefilter("ignore")
from sklearn.utils.estimator_checks import check_estimator
from mixjax.sklearn import *
results = check_estimator(eval(sys.argv[1]), on_skip=None)
left = [result["check_name"] for result in results if result["status"] != "passed"]
assert len(results) > 40 and not left, left
"""


@pytest.mark.parametrize(
    "estimator",
    [
        "GaussianMixture()",
        "LaplaceMixture()",
        # One family and number: the checks are about the front door, at a hundred shapes of tables.
        "MixtureDetector(1, covariance_type='diag')",
        "DAGMMDetector(latent=2, n_components=1, epochs=2)",
    ],
)
def test_passes_scikit_learns_checks(estimator):
    # A process of its own: without this variable, set before SciPy comes, a check is skipped.
    ended = subprocess.run(
        [sys.executable, "-c", CHECKED, estimator],
        env={**os.environ, "SCIPY_ARRAY_API": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr[-3000:]


def test_says_which_extra_is_missing(tmp_path):
    (tmp_path / "sklearn.py").write_text("raise ImportError('no', name='sklearn')")
    code = "import mixjax.sklearn"
    ended = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "pip install 'mixjax[sklearn]'" in ended.stderr
