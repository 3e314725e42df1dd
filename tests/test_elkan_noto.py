import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mixjax


@pytest.mark.parametrize("c", [0.05, 0.3, 0.9])
def test_elkan_noto_finds_the_labeled_share_and_decides_by_it(c, seed):
    """Two normal densities whose posterior is known: a calibrated classifier needs no fitting."""
    rng = np.random.default_rng(seed)
    normal, strange = rng.normal(size=20_000), rng.normal(loc=6.0, size=20_000)
    x = np.concatenate([normal, strange])
    p_normal = 1 / (1 + np.exp(-(18 - 6 * x)))
    predictions = c * p_normal
    rule = mixjax.threshold.elkan_noto(jnp.asarray(predictions[:5_000], "float32"))
    np.testing.assert_allclose(rule.c, c, rtol=0.01)
    decided = np.asarray(jnp.asarray(predictions, "float32") < rule.threshold)
    bayes = p_normal < 0.5
    assert (decided == bayes).mean() > 0.999
    recovered = rule.normal_probability(jnp.asarray(predictions, "float32"))
    np.testing.assert_allclose(recovered, p_normal, atol=0.02)
    assert (recovered <= 1).all()


def test_elkan_noto_works_under_jit_and_vmap():
    p = jnp.asarray([[0.2, 0.4], [0.5, 0.7]])
    rules = jax.jit(jax.vmap(mixjax.threshold.elkan_noto))(p)
    np.testing.assert_allclose(rules.threshold, [0.15, 0.3], rtol=1e-6)


@pytest.mark.parametrize("bad", [[], [0.0, 0.0], [[0.5]], [1.5], [-0.1], [float("nan")], [1]])
def test_what_are_no_probabilities_is_refused(bad):
    with pytest.raises(ValueError, match="labeled_predictions"):
        mixjax.threshold.elkan_noto(jnp.asarray(bad))
