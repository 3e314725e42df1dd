"""The loss is made of the core's own pieces, and labeled anomalies push."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats
from dagmm_problems import AUTOENCODERS, D, leaves_finite, model_of

import mixjax
from mixjax import dagmm


def test_the_loss_is_the_sum_of_its_terms(rng, float64):
    """By SciPy's normal density: no det^(1/4), no shift of the log-sum-exp that is left out."""
    model = model_of(AUTOENCODERS[0], dtype="float64")
    x = rng.normal(size=(60, D))
    objective = dagmm.Objective(energy_weight=0.3, covariance_weight=0.02, reg_covar=1e-4)
    terms = dagmm.loss(model, jnp.asarray(x), objective)
    latent = model(jnp.asarray(x))
    z, resp = np.asarray(latent.z), np.asarray(latent.responsibilities)
    joint, penalty = [], 0.0
    for r in resp.T:
        mean = r @ z / r.sum()
        covariance = (z - mean).T @ (r[:, None] * (z - mean)) / r.sum() + 1e-4 * np.eye(4)
        density = scipy.stats.multivariate_normal(mean, covariance)
        joint.append(np.log(r.mean()) + density.logpdf(z))
        penalty += (1 / np.diag(covariance)).sum()
    energy = -scipy.special.logsumexp(joint, axis=0).mean()
    np.testing.assert_allclose(terms.energy, energy, rtol=1e-8)
    np.testing.assert_allclose(terms.covariance, penalty, rtol=1e-8)
    np.testing.assert_allclose(terms.reconstruction, latent.error.mean(), rtol=1e-12)
    total = latent.error.mean() + 0.3 * energy + 0.02 * penalty
    np.testing.assert_allclose(terms.total, total, rtol=1e-8)


def test_repulsion_is_bounded_falls_everywhere_and_has_a_finite_gradient(dtype):
    cost = dagmm.Repulsion(margin=5.0, width=10.0)
    energies = jnp.linspace(-300, 300, 1001, dtype=dtype)
    value = cost(energies, jnp.zeros((), dtype))
    slope = jax.vmap(jax.grad(lambda e: cost(e, jnp.zeros((), dtype))))(energies)
    assert ((value > 0) & (value < 10)).all()
    assert (jnp.diff(value) < 0).all()
    assert ((slope < 0) & (slope >= -0.5 - 1e-6)).all()
    extreme = jnp.asarray([-1e30, 1e30], dtype)
    assert leaves_finite((cost(extreme, jnp.zeros((), dtype)),))


def test_the_published_inverse_is_finite_and_pushes_only_positive_energies(dtype):
    cost = dagmm.InverseEnergy(floor=0.1)
    energies = jnp.asarray([-50.0, 0.0, 0.05, 0.5, 4.0], dtype)
    np.testing.assert_allclose(cost(energies, None), [10, 10, 10, 2, 0.25], rtol=1e-5)
    slope = jax.vmap(jax.grad(lambda e: cost(e, None)))(energies)
    np.testing.assert_allclose(slope, [0, 0, 0, -4, -1 / 16], rtol=1e-4)


def test_repelled_rows_take_no_part_in_the_mixture_or_the_reconstruction(rng):
    model = model_of(AUTOENCODERS[0])
    x = jnp.asarray(rng.normal(size=(80, D)), "float32")
    labels = jnp.arange(80) >= 60
    other = x.at[60:].multiply(3.0)
    one, two = (dagmm.loss(model, rows, labels=labels) for rows in (x, other))
    alone = dagmm.loss(model, x[:60])
    for field in ("reconstruction", "energy", "covariance"):
        np.testing.assert_allclose(getattr(one, field), getattr(two, field), rtol=1e-5)
        np.testing.assert_allclose(getattr(one, field), getattr(alone, field), rtol=1e-4)
    assert one.anomalies != two.anomalies
    published = dagmm.Objective(anomalies=dagmm.InverseEnergy())
    one, two = (dagmm.loss(model, rows, published, labels=labels) for rows in (x, other))
    assert one.reconstruction != two.reconstruction


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"x": jnp.ones((3, D + 1))}, ValueError, "columns"),
        ({"x": jnp.ones((3, D), "float16")}, TypeError, "float"),
        ({"labels": jnp.ones(4)}, ValueError, "one for each row"),
        ({"labels": jnp.arange(3)}, ValueError, "labels must be 1"),
        ({"objective": 0.1}, TypeError, "objective"),
    ],
)
def test_bad_input_is_named(change, error, says):
    with pytest.raises(error, match=says):
        dagmm.loss(**{"model": model_of(AUTOENCODERS[0]), "x": jnp.ones((3, D)), **change})


@pytest.mark.parametrize("rule", [dagmm.Repulsion(), dagmm.InverseEnergy()])
@pytest.mark.parametrize("share", [0, 1])
def test_a_batch_of_one_kind_alone_is_finite(rule, share, rng):
    model = model_of(AUTOENCODERS[0])
    x = jnp.asarray(rng.normal(size=(80, D)), "float32")
    objective = dagmm.Objective(anomalies=rule)

    def total(model, labels):
        terms = dagmm.loss(model, x, objective, labels=labels)
        return terms.total, terms

    gradient, terms = jax.grad(total, has_aux=True)(model, jnp.full(80, share))
    assert leaves_finite((gradient, terms))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_negative_energies_are_pushed_by_repulsion_and_not_by_the_inverse(seed):
    """Anomalies among the normal rows, whose energies are negative, as in narrow latents."""
    rng = np.random.default_rng(seed)
    z = np.concatenate([4e-3 * rng.normal(size=(200, 2)), 4e-3 * rng.normal(size=(40, 2)) + 0.01])
    x = jnp.asarray(z, "float32")
    mixture = mixjax.m_step(mixjax.Gaussian, x, jnp.ones((240, 1)))
    energies = mixjax.energy(mixture, x)[200:]
    typical = mixjax.energy(mixture, x)[:200].mean()
    published = jax.vmap(jax.grad(lambda e: dagmm.InverseEnergy()(e, typical)))(energies)
    sound = jax.vmap(jax.grad(lambda e: dagmm.Repulsion()(e, typical)))(energies)
    assert (energies < 0).all()
    assert (published == 0).all()  # nothing pushes them away
    assert (sound < 0).all()
