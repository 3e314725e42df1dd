"""Threads work under the settings of the thread that started them."""

from concurrent.futures import ThreadPoolExecutor

import jax
import numpy as np

import mixjax
from mixjax.workers import SETTINGS, as_here

CHANGED = {
    "jax_enable_x64": True,
    "jax_default_device": jax.devices()[0],
    "jax_default_matmul_precision": "highest",
    "jax_numpy_dtype_promotion": "standard",
    "jax_numpy_rank_promotion": "warn",
    "jax_debug_nans": True,
    "jax_debug_infs": True,
    "jax_disable_jit": True,
}


def settings():
    return {name: getattr(jax.config, name) for name in SETTINGS}


def test_every_setting_goes_with_the_work_and_none_stays():
    assert set(CHANGED) == set(SETTINGS)
    here = settings()
    with ThreadPoolExecutor(1) as thread:
        for name, value in CHANGED.items():
            with SETTINGS[name](value):
                there = settings()
                found = thread.submit(as_here(settings)).result()
            assert there[name] != here[name]
            assert found == there
            assert thread.submit(settings).result() == here


def rules_of(work):
    """The rule of ranks under which a start is traced, on whatever thread."""
    found = set()

    class Seen(mixjax.SphericalGaussian):
        def log_prob(self, x):
            found.add(str(jax.config.jax_numpy_rank_promotion))
            return super().log_prob(x)

        def log_prob_and_statistics(self, x):
            found.add(str(jax.config.jax_numpy_rank_promotion))
            return super().log_prob_and_statistics(x)

    mixjax.pytree(Seen)
    work(Seen)
    return found


def test_fits_on_threads_follow_the_rules_of_their_caller():
    xs = np.random.default_rng(0).normal(size=(3, 40, 2)).astype("float32")
    key = jax.random.key(0)
    for rule in ("allow", "raise"):
        with jax.numpy_rank_promotion(rule):
            batch = rules_of(lambda family: mixjax.fit_batch(key, xs, 1, family=family))
            grid = rules_of(lambda f: mixjax.select(key, xs[0], n_components=[1], families=[f]))
        assert batch == grid == {rule}
