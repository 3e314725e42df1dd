"""The networks: the latent row, the three autoencoders, and where gradients go."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.stats
from dagmm_problems import AUTOENCODERS, KEY, D, leaves_finite, model_of

import mixjax
from mixjax import dagmm
from mixjax.dagmm.model import latent_rows


@pytest.fixture(params=AUTOENCODERS, ids=lambda a: type(a).__name__)
def autoencoder(request):
    return request.param


def test_the_latent_row_is_code_relative_error_and_cosine(rng, float64):
    x, back, code = rng.normal(size=(9, D)), rng.normal(size=(9, D)), rng.normal(size=(9, 2))
    z = latent_rows(jnp.asarray(x), jnp.asarray(code), jnp.asarray(back))
    size, size_back = np.linalg.norm(x, axis=1), np.linalg.norm(back, axis=1)
    np.testing.assert_allclose(z[:, :2], code)
    np.testing.assert_allclose(z[:, 2], np.linalg.norm(x - back, axis=1) / size)
    np.testing.assert_allclose(z[:, 3], (x * back).sum(1) / size / size_back)


def test_a_row_of_zeros_or_a_perfect_reconstruction_is_safe(dtype):
    zero, one = jnp.zeros((1, D), dtype), jnp.ones((1, D), dtype)
    for x, back in ((zero, one), (zero, zero), (one, one), (one, zero), (1e-30 * one, one)):
        z = latent_rows(x, x[:, :2], back)
        gradient = jax.grad(lambda x, b: latent_rows(x, x[:, :2], b).sum(), (0, 1))(x, back)
        assert leaves_finite((z, gradient))
        assert (jnp.abs(z[:, 3]) <= 1 + 1e-6).all()


def test_the_model_is_random_only_with_a_key(autoencoder, rng):
    model = model_of(autoencoder)
    x = jnp.asarray(rng.normal(size=(20, D)), "float32")
    for a, b in zip(model(x), model(x), strict=True):
        np.testing.assert_array_equal(a, b)
    one, two = model(x, jax.random.key(1)), model(x, jax.random.key(2))
    assert (one.responsibilities != two.responsibilities).any()
    np.testing.assert_allclose(model(x).responsibilities.sum(1), 1, rtol=1e-5)


@pytest.mark.parametrize("family", [mixjax.Gaussian, mixjax.MeanLaplace])
def test_every_parameter_gets_a_gradient_from_the_whole_loss(autoencoder, family, rng):
    """And every entry of it: nothing is detached."""
    model = model_of(autoencoder, family=family)
    x = jnp.asarray(rng.normal(size=(200, D)), "float32")
    if isinstance(autoencoder, dagmm.VectorQuantizedAutoencoder):
        coder = autoencoder.revived(model.coder, x, KEY)
        coder = autoencoder.revived(coder, x, jax.random.key(1))
        model = jax.tree.unflatten(
            jax.tree.structure(model), jax.tree.leaves((coder, model.estimation))
        )
    labels = jnp.arange(200) < 20

    def total(model):
        return dagmm.loss(model, x, key=jax.random.key(3), labels=labels).total

    for place, gradient in jax.tree_util.tree_leaves_with_path(jax.grad(total)(model)):
        assert jnp.isfinite(gradient).all(), jax.tree_util.keystr(place)
        name = jax.tree_util.keystr(place)
        if name.endswith("codes"):  # a code that no row chose has none
            assert (gradient != 0).any(), name
        else:
            assert (gradient != 0).all(), name


def test_the_gradient_of_the_loss_agrees_with_finite_differences(rng, float64):
    model = model_of(AUTOENCODERS[0], dtype="float64")
    x = jnp.asarray(rng.normal(size=(50, D)))
    flat, back = jax.flatten_util.ravel_pytree(model)
    direction = jnp.asarray(rng.normal(size=flat.shape))

    @jax.jit
    def total(flat):
        return dagmm.loss(back(flat), x).total

    step = 1e-6
    numeric = (total(flat + step * direction) - total(flat - step * direction)) / (2 * step)
    np.testing.assert_allclose(jax.grad(total)(flat) @ direction, numeric, rtol=1e-5)


def test_the_variational_loss_is_the_negative_elbo(rng, float64):
    """Up to a constant, in units of twice the noise variance; the divergence by quadrature."""
    autoencoder = dagmm.VariationalAutoencoder(hidden=(5,), latent=1, noise=0.3)
    params = autoencoder.init(KEY, D, "float64")
    x = jnp.asarray(rng.normal(size=(3, D)))
    encoded = autoencoder(params, x)
    heads = np.asarray(params.encoder(x))
    for i, (mean, log_variance) in enumerate(heads):
        q = scipy.stats.norm(mean, np.exp(0.5 * log_variance))
        p = scipy.stats.norm()
        divergence, _ = scipy.integrate.quad(
            lambda c, q=q, p=p: q.pdf(c) * (q.logpdf(c) - p.logpdf(c)), mean - 12, mean + 12
        )
        likelihood = scipy.stats.norm(encoded.reconstruction[i], 0.3).logpdf(x[i]).sum()
        constant = -D * np.log(0.3 * np.sqrt(2 * np.pi))
        elbo = likelihood - constant - divergence
        np.testing.assert_allclose(encoded.loss[i], -elbo * 2 * 0.3**2, rtol=1e-6)


def test_drawn_codes_have_the_mean_and_variance_of_the_heads(rng):
    autoencoder = dagmm.VariationalAutoencoder(hidden=(5,), latent=2)
    params = autoencoder.init(KEY, D)
    x = jnp.tile(jnp.asarray(rng.normal(size=(1, D)), "float32"), (20_000, 1))
    mean, log_variance = jnp.split(params.encoder(x[:1])[0], 2)
    code = autoencoder(params, x, jax.random.key(1)).code
    np.testing.assert_allclose(code.mean(0), mean, atol=0.05)
    np.testing.assert_allclose(code.var(0), jnp.exp(log_variance), rtol=0.05)


def test_codes_are_the_nearest_and_gradients_go_straight_through(rng, float64):
    autoencoder = AUTOENCODERS[2]
    params = autoencoder.init(KEY, D, "float64")
    x = jnp.asarray(rng.normal(size=(50, D)))
    encoded = np.asarray(params.coder.encoder(x))
    codes = np.asarray(params.codes)
    nearest = codes[((encoded[:, None] - codes) ** 2).sum(2).argmin(1)]
    np.testing.assert_allclose(autoencoder(params, x).code, nearest, atol=1e-12)

    def reconstruction(params):
        return jnp.sum((autoencoder(params, x).reconstruction - x) ** 2)

    def unrounded(coder):  # as if the code had come from the encoder as it is
        code = coder.encoder(x) + jnp.asarray(nearest - encoded)
        return jnp.sum((coder.decoder(code) - x) ** 2)

    through = jax.grad(reconstruction)(params)
    direct = jax.grad(unrounded)(params.coder)
    for a, b in zip(jax.tree.leaves(through.coder), jax.tree.leaves(direct), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
    assert (through.codes == 0).all()  # the book learns from its own term alone


def test_dead_codes_are_moved_onto_rows_and_live_ones_stay(rng):
    autoencoder = dagmm.VectorQuantizedAutoencoder(hidden=(5,), latent=2, n_codes=8)
    params = autoencoder.init(KEY, D)
    x = jnp.asarray(rng.normal(size=(300, D)), "float32")
    far = params.codes.at[4:].add(1e3)
    params = type(params)(params.coder, far)
    used = np.unique(np.asarray(autoencoder(params, x).code).round(3), axis=0)
    again = autoencoder.revived(params, x, jax.random.key(1))
    assert len(used) <= 4
    assert jnp.abs(again.codes).max() < 100
    alive = np.unique(np.asarray(autoencoder(again, x).code).round(3), axis=0)
    assert len(alive) > len(used)
    for code in used:  # those that rows had chosen are where they were
        assert np.abs(np.asarray(again.codes) - code).max(1).min() < 1e-2


def test_networks_of_different_kinds_have_different_structures():
    structures = [jax.tree.structure(model_of(a)) for a in AUTOENCODERS]
    structures.append(jax.tree.structure(model_of(AUTOENCODERS[0], family=mixjax.MeanLaplace)))
    assert len(set(structures)) == 4
    assert all(a != b for i, a in enumerate(structures) for b in structures[:i])


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: dagmm.Autoencoder(latent=0), ValueError, "latent"),
        (lambda: dagmm.Autoencoder(hidden=(3.5,)), ValueError, "hidden"),
        (lambda: dagmm.VariationalAutoencoder(noise=0.0), ValueError, "noise"),
        (lambda: dagmm.VectorQuantizedAutoencoder(n_codes=0), ValueError, "n_codes"),
        (lambda: dagmm.VectorQuantizedAutoencoder(commitment=-1), ValueError, "commitment"),
        (lambda: dagmm.DAGMM(KEY, 0), ValueError, "n_features"),
        (lambda: dagmm.DAGMM(KEY, 3, n_components=0), ValueError, "n_components"),
        (lambda: dagmm.DAGMM(KEY, 3, estimation=(0,)), ValueError, "estimation"),
        (lambda: dagmm.DAGMM(KEY, 3, dropout=1.0), ValueError, "dropout"),
        (lambda: dagmm.DAGMM(KEY, 3, family="full"), TypeError, "family"),
        (lambda: dagmm.DAGMM(0, 3), TypeError, "key"),
        (lambda: dagmm.DAGMM(KEY, 3, autoencoder=dagmm.Autoencoder), TypeError, "autoencoder"),
    ],
)
def test_what_no_model_can_be_made_of(make, error, says):
    with pytest.raises(error, match=says):
        make()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("VectorQuantisedAutoencoder", dagmm.VectorQuantizedAutoencoder),
        ("PositiveUnlabelled", dagmm.PositiveUnlabeled),
        ("positive_unlabelled", dagmm.positive_unlabeled),
    ],
)
def test_old_names_warn(old, new):
    with pytest.warns(DeprecationWarning, match=rf"dagmm.{old} is now called .*{new.__name__}"):
        assert getattr(dagmm, old) is new
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        dagmm.nothing  # noqa: B018
