"""Tables longer than a block: compiled sums of large arrays are those of NumPy.

jaxlib 0.10.2 returns wrong ones on a CPU where it fuses products with a sum of more than some
two million numbers (jax issue 39103), so that no block may be larger.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import FAMILIES
from scipy.special import logsumexp

import mixjax


def components(family, rng, k, d):
    """Components, and the logarithms of their densities by NumPy: (N, D) -> (N, K)."""
    means, widths = rng.normal(size=(k, d)), rng.uniform(0.5, 2, (k, d))
    mixing = rng.normal(size=(k, d, d)) / np.sqrt(d)
    covariances = mixing @ mixing.transpose(0, 2, 1) + np.eye(d)
    single = [jnp.asarray(a, "float32") for a in (means, widths, covariances)]

    def gaussian(covariances):
        precisions, log_det = np.linalg.inv(covariances), np.linalg.slogdet(covariances)[1]
        constant = log_det + d * np.log(2 * np.pi)
        return lambda x: np.stack(
            [
                -0.5 * (((x - means[i]) @ precisions[i] * (x - means[i])).sum(1) + constant[i])
                for i in range(k)
            ],
            axis=1,
        )

    if family is mixjax.Gaussian:
        return family.from_covariances(single[0], single[2]), gaussian(covariances)
    if family is mixjax.TiedGaussian:
        shared = np.repeat(covariances[:1], k, axis=0)
        return family.from_covariance(single[0], single[2][0]), gaussian(shared)
    if family is mixjax.SphericalGaussian:
        variances = np.eye(d) * widths[:, :1, None] ** 2
        return family(single[0], single[1][:, 0]), gaussian(variances)
    if family is mixjax.DiagonalGaussian:
        return family(single[0], single[1]), gaussian(np.eye(d) * widths[:, :, None] ** 2)
    return family(single[0], single[1]), lambda x: np.stack(
        [-(abs(x - means[i]) / widths[i] + np.log(2 * widths[i])).sum(1) for i in range(k)], axis=1
    )


# What the compiler fuses differs between families; the wrong sums were those of two of them.
SHAPES = [(64, 6, 5470), (4, 3, 70_000), (64, 150, 300)]
WRONG = [mixjax.TiedGaussian, mixjax.SphericalGaussian]


@pytest.mark.parametrize(
    ("family", "k", "d", "n"),
    [(family, *shape) for family in FAMILIES for shape in SHAPES[: 3 if family in WRONG else 1]],
)
def test_densities_and_gradients_are_those_of_numpy(family, k, d, n):
    rng = np.random.default_rng(0)
    own, reference = components(family, rng, k, d)
    mixture = mixjax.Mixture(jnp.full((k,), -np.log(k), "float32"), own)
    x = rng.normal(size=(n, d)).astype("float32")

    def expected(x):
        return logsumexp(reference(x.astype("float64")) - np.log(k), axis=1)

    scale = np.abs(expected(x)).max()
    assert np.abs(mixjax.log_prob(mixture, x) - expected(x)).max() < 1e-4 * scale
    resp = np.exp(reference(x.astype("float64")) - np.log(k) - expected(x)[:, None])
    fit = mixjax.fit_from(mixture, x, max_iter=1, tol=0.0)
    np.testing.assert_allclose(fit.mixture.weights, resp.mean(0), atol=1e-3)

    slope = jax.jit(jax.grad(lambda x: mixjax.energy(mixture, x).sum()))(jnp.asarray(x))
    rows, step = rng.integers(0, n, 20), 1e-5
    if family in (mixjax.Laplace, mixjax.MeanLaplace):
        return  # its kinks are no place for differences
    for column in range(min(d, 3)):
        sides = [x[rows].astype("float64") for _ in range(2)]
        sides[0][:, column] += step
        sides[1][:, column] -= step
        difference = -(expected(sides[0]) - expected(sides[1])) / (2 * step)
        np.testing.assert_allclose(slope[rows, column], difference, rtol=2e-2, atol=2e-2)
