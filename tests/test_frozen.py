"""Parameters that stay as they are."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import mixjax

pytestmark = pytest.mark.usefixtures("float64")

FAMILIES = {
    mixjax.Gaussian: ("means", "factors"),
    mixjax.TiedGaussian: ("means", "factor"),
    mixjax.DiagonalGaussian: ("means", "scales"),
    mixjax.SphericalGaussian: ("means", "scales"),
    mixjax.Laplace: ("locations", "scales"),
}
CASES = [(family, name) for family, names in FAMILIES.items() for name in (*names, "weights")]
by_case = pytest.mark.parametrize(
    ("family", "name"), CASES, ids=[f"{f.__name__}-{name}" for f, name in CASES]
)


@pytest.fixture
def problem(rng):
    """Rows, and a mixture that does not suit them."""
    x = np.concatenate([rng.normal(size=(100, 2)), rng.normal(4, 2, size=(50, 2))]) + 7
    resp = np.where(x[:, :1] + x[:, 1:] > 15, [0.2, 0.8], [0.7, 0.3])
    return x, mixjax.m_step(mixjax.Gaussian, x, resp)


def started(family, x, begin):
    return mixjax.m_step(family, x, mixjax.responsibilities(begin, x))


def parameter(mixture, name):
    return mixture.log_weights if name == "weights" else getattr(mixture.components, name)


@by_case
@pytest.mark.parametrize("rows", ["plain", "holes"])
def test_em_holds_it_exactly_and_finds_the_best_of_the_others(problem, rng, family, name, rows):
    x, begin = problem
    begin = started(family, x, begin)
    if rows == "holes":
        holes = rng.random(x.shape) < 0.2
        holes[np.arange(150), rng.integers(2, size=150)] = False
        x = mixjax.Observed(np.where(holes, np.nan, x))
    solver = mixjax.EM(reg_covar=0.0, frozen=(name,))
    options = {"tol": 1e-13, "max_iter": 3000, "solver": solver}
    fit, energies = mixjax.fit_history(begin, x, **options)
    np.testing.assert_array_equal(parameter(fit.mixture, name), parameter(begin, name))
    assert (np.diff(energies) < 1e-9).all()
    assert energies[0] - energies[-1] > 1e-3
    if family is mixjax.Laplace:
        return  # its energy has corners where it is lowest
    free = [other for other in (*FAMILIES[family], "weights") if other != name]

    def energy_of(leaves):
        own = family.constrain(leaves[1])
        whole = mixjax.Mixture(jax.nn.log_softmax(leaves[0]), own)
        # What is frozen has no gradient.
        kept = begin.log_weights if name == "weights" else whole.log_weights
        if name != "weights":
            own = own.held(begin.components, (name,))
        return mixjax.energy(mixjax.Mixture(kept, own), x).mean()

    leaves = fit.mixture.log_weights, fit.mixture.components.unconstrain()
    slopes = jax.tree.leaves(jax.grad(energy_of)(leaves))
    assert len(free) == 2
    assert max(float(jnp.abs(slope).max()) for slope in slopes) < 1e-4


@by_case
def test_gradient_holds_it_exactly(problem, family, name):
    x, begin = problem
    begin = started(family, x, begin)
    solver = mixjax.Gradient(optax.adam(1e-2), frozen=(name,))
    fit = mixjax.fit_from(begin, x, solver=solver, max_iter=20, tol=0.0)
    np.testing.assert_array_equal(parameter(fit.mixture, name), parameter(begin, name))
    assert fit.energy < mixjax.energy(begin, x).mean()


def test_the_spread_is_about_the_frozen_mean():
    x = np.array([[1.0], [2.0], [3.0]])
    begin = mixjax.Mixture(jnp.zeros(1), mixjax.Gaussian(jnp.zeros((1, 1)), jnp.ones((1, 1, 1))))
    solver = mixjax.EM(reg_covar=0.0, frozen=("means",))
    fit = mixjax.fit_from(begin, x, solver=solver)
    assert fit.mixture.components.covariances.item() == pytest.approx(14 / 3)


def test_several_at_once_and_under_jit(problem):
    x, begin = problem
    solver = mixjax.EM(frozen=("factors", "weights"))
    fit = jax.jit(lambda x: mixjax.fit_from(begin, x, solver=solver))(x)
    np.testing.assert_array_equal(fit.mixture.components.factors, begin.components.factors)
    np.testing.assert_array_equal(fit.mixture.log_weights, begin.log_weights)
    assert not np.array_equal(fit.mixture.components.means, begin.components.means)


@pytest.mark.parametrize(
    ("frozen", "error", "words"),
    [
        (("mean",), ValueError, "frozen names 'mean', but the parameters of Gaussian are "
         "'weights', 'means', 'factors'"),
        ("means", TypeError, r"frozen must be a tuple of names, such as \('means',\)"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(problem, frozen, error, words):
    x, begin = problem
    with pytest.raises(error, match=words):
        mixjax.fit_from(begin, x, solver=mixjax.EM(frozen=frozen))
    with pytest.raises(ValueError, match=r"use mixjax\.fit_from"):
        mixjax.fit(jax.random.key(0), x, 2, solver=mixjax.EM(frozen=("means",)))
