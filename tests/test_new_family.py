"""A family that is one class, and nothing else: every door of the package opens to it."""

import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from damage import same

import mixjax
from mixjax.families import known
from mixjax.families.outline import ELLIPSE
from mixjax.selection.candidates import default_families

KEY = jax.random.key(0)


@pytest.fixture
def nowhere_known(monkeypatch):
    """What is defined in a test is forgotten after it."""
    monkeypatch.setattr(known, "_BY_NAME", dict(known._BY_NAME))


@pytest.fixture
def unit_gaussian(nowhere_known):
    @mixjax.pytree
    class UnitGaussian(mixjax.Family):
        """Gaussian components whose covariance is the identity."""

        middles: jax.Array
        independent_columns = True
        tried_up_to = math.inf
        outline = ELLIPSE
        shape = property(lambda self: self.middles.shape[-2:])
        n_parameters = property(lambda self: self.middles.size)
        centers = property(lambda self: self.middles)
        variances = property(lambda self: jnp.ones_like(self.middles))

        def log_prob(self, x):
            return jnp.sum(self.coordinate_log_prob(x), axis=2)

        def coordinate_log_prob(self, x):
            away = x[:, None] - self.middles[None]
            return -0.5 * (away**2 + math.log(2 * math.pi))

        def statistics(self, x, resp):
            return mixjax.Moments(jnp.sum(resp, axis=0), resp.T @ x, ())

        def from_statistics(self, stats, reg_covar):
            kept = (stats.count > 0)[:, None]
            means = stats.first / jnp.where(kept, stats.count[:, None], 1)
            return UnitGaussian(jnp.where(kept, means, self.middles))

        @classmethod
        def standard(cls, n_components, n_features, dtype):
            return cls(jnp.zeros((n_components, n_features), dtype))

        def marginal(self, columns):
            return UnitGaussian(self.middles[:, columns])

        def sample(self, key, labels):
            rows = self.middles[labels]
            return rows + jax.random.normal(key, rows.shape, rows.dtype)

        def unconstrain(self):
            return self.middles

        @classmethod
        def constrain(cls, leaves):
            return cls(leaves)

    return UnitGaussian


@pytest.fixture
def x():
    rng = np.random.default_rng(0)
    return (rng.normal(size=(300, 3)) + 9 * rng.integers(2, size=(300, 1))).astype("float32")


@pytest.fixture
def detector(unit_gaussian, x):
    return mixjax.detect.fit(KEY, x, families=unit_gaussian, n_components=[1, 2])


def test_it_is_tried_unasked_as_far_as_it_says(unit_gaussian):
    assert unit_gaussian in default_families(9999)
    unit_gaussian.tried_up_to = 3
    assert unit_gaussian in default_families(3)
    assert unit_gaussian not in default_families(4)


def test_it_is_selected(unit_gaussian, x):
    selection = mixjax.select(KEY, x, families=unit_gaussian, criterion=mixjax.bic)
    assert selection.candidates[selection.best].n_components == 2
    centers = np.sort(np.asarray(selection.fit.mixture.components.centers), axis=0)
    np.testing.assert_allclose(centers, [[0] * 3, [9] * 3], atol=0.3)


def test_its_word_is_that_of_the_command(detector, x, tmp_path):
    from typer.testing import CliRunner

    from mixjax.cli import app

    np.save(tmp_path / "x.npy", x)
    out = tmp_path / "figures.json"
    options = ["--family", "unit-gaussian", "--components", "2", "--output", str(out)]
    done = CliRunner(env={"COLUMNS": "200"}).invoke(
        app, ["detect", str(tmp_path / "x.npy"), *options]
    )
    assert done.exit_code == 0, done.output
    found = json.loads(out.read_text())["members"]
    assert found == [{"family": "unit-gaussian", "components": 2, "appearance": ""}]
    options[1] = "gauss"
    done = CliRunner(env={"COLUMNS": "200"}).invoke(
        app, ["detect", str(tmp_path / "x.npy"), *options]
    )
    assert done.exit_code == 2
    assert "unit-gaussian" in done.output


def test_its_word_is_that_of_the_estimators(unit_gaussian, x):
    pytest.importorskip("sklearn")
    from mixjax.sklearn import DAGMMDetector, MixtureDetector

    estimator = MixtureDetector(2, covariance_type="unit-gaussian", random_state=0).fit(x)
    mixtures = estimator.detector_.members[0].mixtures
    assert isinstance(mixtures.components, unit_gaussian)
    for kind in (MixtureDetector, DAGMMDetector):
        with pytest.raises(ValueError, match=r"covariance_type must be.*unit-gaussian.*'round'"):
            kind(covariance_type="round").fit(x)


def test_it_is_saved_and_comes_back_where_its_class_is_defined(unit_gaussian, detector, tmp_path):
    path = tmp_path / "detector.npz"
    mixjax.save(path, detector)
    assert same(mixjax.load(path), detector)
    broken = unit_gaussian(jnp.full((1, 2), jnp.nan))
    with pytest.raises(ValueError, match="middles"):
        mixjax.save(path, broken)
    known._BY_NAME.pop("UnitGaussian")
    with pytest.raises(ValueError, match=r"no family has the name 'UnitGaussian': define its"):
        mixjax.load(path)


def test_parameters_that_it_cannot_have_are_refused(nowhere_known, tmp_path):
    @mixjax.pytree
    class Exponential(mixjax.Family):
        rates: jax.Array
        shape = property(lambda self: self.rates.shape[-2:])
        log_prob = statistics = from_statistics = sample = n_parameters = None

        @classmethod
        def standard(cls, n_components, n_features, dtype):
            return cls(jnp.ones((n_components, n_features), dtype))

        def unconstrain(self):
            return jnp.log(self.rates)

        @classmethod
        def constrain(cls, leaves):
            return cls(jnp.exp(leaves))

    for lanes in ((), (4,)):
        good = Exponential(jnp.ones((*lanes, 2, 3)))
        mixjax.save(tmp_path / "e.npz", good)
        assert same(mixjax.load(tmp_path / "e.npz"), good)
        for bad in (-1.0, 0.0, jnp.inf):
            with pytest.raises(ValueError, match=r"rates|Exponential.constrain never gives"):
                mixjax.save(tmp_path / "e.npz", Exponential(good.rates.at[..., 1, 2].set(bad)))


def test_it_is_drawn(unit_gaussian):
    plot = pytest.importorskip("mixjax.plot", exc_type=ImportError)
    from matplotlib.figure import Figure

    at = jnp.array([[0.0, 5.0, 1.0], [3.0, -2.0, 4.0]])
    mixture = mixjax.Mixture(jnp.log(jnp.array([0.5, 0.5])), unit_gaussian(at))
    ax = plot.ellipses(mixture, columns=(2, 0), deviations=[1.5], ax=Figure().subplots())
    for patch, middle in zip(ax.patches, at[:, jnp.array([2, 0])], strict=True):
        away = np.linalg.norm(patch.get_xy() - np.asarray(middle), axis=1)
        np.testing.assert_allclose(away, 1.5, rtol=1e-6)


def test_it_is_in_the_explorer(detector, x, tmp_path):
    pytest.importorskip("plotly")
    from mixjax.explorer.contents import contents

    found = contents(detector, x, None, None, None, 100, 10)["mixture"]
    assert found["family"] == "UnitGaussian"
    np.testing.assert_array_equal(found["outline"], ELLIPSE.line)
    np.testing.assert_array_equal(found["covariances"], np.broadcast_to(np.eye(3), (2, 3, 3)))
    mixjax.explorer.write(tmp_path / "page.html", detector, x)
    assert "UnitGaussian" in (tmp_path / "page.html").read_text()


def test_numpyro_has_its_density(unit_gaussian):
    numpyro = pytest.importorskip("mixjax.numpyro", exc_type=ImportError)
    mixture = mixjax.Mixture(jnp.log(jnp.array([0.3, 0.7])), unit_gaussian(jnp.eye(2)))
    x = jnp.array([[0.5, 1.0], [2.0, -1.0], [0.0, 0.0]])
    with jax.numpy_rank_promotion("allow"):
        theirs = numpyro.to_distribution(mixture).log_prob(x)
    np.testing.assert_allclose(theirs, mixjax.log_prob(mixture, x), rtol=1e-6)


def test_a_family_of_mixjax_keeps_its_name_and_its_word(nowhere_known):
    mine = type("Gaussian", (mixjax.Laplace,), {})
    other = type("Round", (mixjax.Laplace,), {"word": "spherical"})
    assert known.by_name()["Gaussian"] is mixjax.Gaussian
    assert known.by_word()["gaussian"] is mixjax.Gaussian
    assert known.by_word()["spherical"] is mixjax.SphericalGaussian
    assert known.by_name()["Round"] is other
    again = type("Round", (mixjax.Laplace,), {})
    assert known.by_name()["Round"] is again
    assert mine.word == "gaussian"
    assert (mixjax.Laplace.word, mixjax.MeanLaplace.word) == ("laplace", "mean-laplace")
    assert again.tried_up_to == 0  # what its base says is not of it
