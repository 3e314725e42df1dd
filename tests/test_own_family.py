"""A family from outside the package, through every front door."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from problems import central_difference

import mixjax


@mixjax.pytree
class Poisson(mixjax.Family):
    """Independent counts; written as the documentation of `Family` says."""

    log_rates: jax.Array

    @property
    def shape(self):
        return self.log_rates.shape[-2:]

    def log_prob(self, x):
        factorial = jnp.sum(jax.scipy.special.gammaln(x + 1), axis=1)[:, None]
        return x @ self.log_rates.T - jnp.sum(jnp.exp(self.log_rates), axis=1)[None] - factorial

    def statistics(self, x, resp):
        return mixjax.Moments(jnp.sum(resp, axis=0), resp.T @ x, ())

    def from_statistics(self, stats, reg_covar):
        kept = (stats.count > 0)[:, None]
        rates = stats.first / jnp.where(kept, stats.count[:, None], 1)
        return Poisson(jnp.where(kept, jnp.log(jnp.maximum(rates, 1e-6)), self.log_rates))

    @classmethod
    def standard(cls, n_components, n_features, dtype):
        return cls(jnp.zeros((n_components, n_features), dtype))

    def sample(self, key, labels):
        return jax.random.poisson(key, jnp.exp(self.log_rates[labels])).astype(self.dtype)

    def unconstrain(self):
        return self.log_rates

    @classmethod
    def constrain(cls, leaves):
        return cls(leaves)

    @property
    def n_parameters(self):
        return self.log_rates.size


def counts(seed, n=2000):
    rng = np.random.default_rng(seed)
    rates = np.array([[1.0, 20.0], [15.0, 3.0]])
    return rng.poisson(rates[rng.integers(2, size=n)]).astype("float32"), rates


def test_it_is_fitted_by_em(seed):
    x, rates = counts(seed)
    fit = mixjax.fit(jax.random.key(seed), x, 2, family=Poisson, tol=1e-6)
    assert int(fit.status) == mixjax.Status.CONVERGED
    found = np.exp(np.asarray(fit.mixture.components.log_rates))
    found = found[np.argsort(found[:, 0])]
    np.testing.assert_allclose(found, rates, rtol=0.1)
    np.testing.assert_allclose(fit.energy, mixjax.energy(fit.mixture, x).mean(), rtol=1e-4)


def test_it_is_fitted_in_blocks_and_by_vmap():
    x, rates = counts(0, n=30_000)
    fit = mixjax.fit(jax.random.key(0), x, 2, family=Poisson)
    found = np.sort(np.exp(np.asarray(fit.mixture.components.log_rates))[:, 0])
    np.testing.assert_allclose(found, [1, 15], rtol=0.05)
    keys = jax.random.split(jax.random.key(1), 3)
    fits = jax.vmap(lambda key: mixjax.fit(key, x[:500], 2, family=Poisson))(keys)
    assert fits.energy.shape == (3,)


def test_it_is_fitted_by_gradient_and_differentiable(float64):
    import optax

    x, _ = counts(0, n=300)
    x = x.astype("float64")
    em = mixjax.fit(jax.random.key(0), x, 2, family=Poisson, tol=1e-8, max_iter=300)
    begin = mixjax.fit(jax.random.key(0), x, 2, family=Poisson, max_iter=0).mixture
    solver = mixjax.Gradient(optax.adam(3e-2))
    fit = mixjax.fit_from(begin, x, solver=solver, tol=0.0, max_iter=300)
    assert fit.energy <= em.energy + 1e-3
    resp = np.random.default_rng(0).dirichlet(np.ones(2), 300)
    direction = np.random.default_rng(1).normal(size=resp.shape)

    def loss(resp):
        mixture = mixjax.m_step(Poisson, jnp.asarray(x), jnp.asarray(resp))
        return mixjax.energy(mixture, jnp.asarray(x)).mean()

    exact = jnp.sum(jax.grad(loss)(jnp.asarray(resp)) * direction)
    np.testing.assert_allclose(exact, central_difference(loss, resp, direction), rtol=1e-5)


def test_it_can_be_sampled_and_asked():
    x, _ = counts(0)
    mixture = mixjax.fit(jax.random.key(0), x, 2, family=Poisson).mixture
    rows, labels = mixjax.sample(jax.random.key(1), mixture, 5000)
    np.testing.assert_allclose(rows.mean(0), x.mean(0), rtol=0.1)
    assert set(np.asarray(labels)) == {0, 1}
    np.testing.assert_allclose(mixjax.responsibilities(mixture, x).sum(1), 1, rtol=1e-5)
    assert mixture.n_parameters == 5


def test_members_under_their_old_names_work_and_warn():
    x, rates = counts(0)
    with pytest.warns(DeprecationWarning, match="Old.* is now called") as warned:

        @mixjax.pytree
        class Old(Poisson):
            order_statistics = False

            @classmethod
            def reference(cls, n_components, n_features, dtype):
                return cls(jnp.full((n_components, n_features), 1.0, dtype))

            def evaluate(self, x):
                return super().evaluate(x)

            def maximise(self, rows, responsibilities, reg_covar):
                return super().maximise(rows, responsibilities, reg_covar)

            def own_statistics(self, count, reg_covar=None):
                return mixjax.Moments(count, count[:, None] * jnp.exp(self.log_rates), ())

            def from_statistics(self, stats, reg_covar):
                return Old(super().from_statistics(stats, reg_covar).log_rates)

    texts = {str(warning.message) for warning in warned}
    assert len(texts) == 5
    assert "Old.maximise is now called m_step; the old name is gone in mixjax 0.2" in texts
    assert {warning.filename for warning in warned} == {__file__}
    with pytest.warns(DeprecationWarning, match="evaluate is now called|maximise is now called"):
        fit = mixjax.fit(jax.random.key(0), x, 2, family=Old)
    found = np.sort(np.exp(np.asarray(fit.mixture.components.log_rates))[:, 0])
    np.testing.assert_allclose(found, [1, 15], rtol=0.1)
    assert (Old.standard(2, 3, "float32").log_rates == 1).all()
    assert Old.needs_sorted_rows is False
    assert not Old.m_step_is_sums()
    assert Old.defines("expected_statistics")
    with pytest.warns(DeprecationWarning, match="reference is now called standard"):
        assert mixjax.Gaussian.reference(2, 3, "float32").shape == (2, 3)
