"""What is exported is run by another process that has never heard of mixjax."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from problems import clusters, random_mixture

import mixjax

ELSEWHERE = """
import sys
import jax, numpy as np
folder = sys.argv[1]
jax.config.update("jax_enable_x64", "float64" in sys.argv[2])
rows = np.load(f"{folder}/rows.npy")
scoring = jax.export.deserialize(bytearray(open(f"{folder}/model", "rb").read()))
np.savez(f"{folder}/scores.npz", all=scoring.call(rows), some=scoring.call(rows[:7]))
assert "mixjax" not in sys.modules
"""


def scored_elsewhere(folder, model, rows):
    mixjax.export(model, folder / "model")
    np.save(folder / "rows.npy", rows)
    subprocess.run(
        [sys.executable, "-c", ELSEWHERE, str(folder), str(rows.dtype)],
        check=True, cwd=folder, capture_output=True,
    )  # fmt: skip
    with np.load(folder / "scores.npz") as scores:
        np.testing.assert_allclose(scores["some"], scores["all"][:7], rtol=1e-5)
        return scores["all"]


def test_a_mixture_of_each_family(family, tmp_path):
    rng, dtype = np.random.default_rng(0), np.dtype("float32")
    mixture = random_mixture(family, rng, 3, 4, dtype)
    mixjax.export(mixture, tmp_path / "model")
    scoring = jax.export.deserialize(bytearray((tmp_path / "model").read_bytes()))
    tight = 1e-4
    for n in (1, 300):
        rows = clusters(rng, n, 4, 3, dtype=dtype)
        known = mixjax.energy(mixture, rows)
        np.testing.assert_allclose(scoring.call(rows), known, rtol=tight, atol=tight)


def test_a_mixture_elsewhere(rng, float64, tmp_path):
    mixture = random_mixture(mixjax.Gaussian, rng, 3, 4)
    rows = clusters(rng, 300, 4, 3)
    scores = scored_elsewhere(tmp_path, mixture, rows)
    np.testing.assert_allclose(scores, mixjax.energy(mixture, rows), rtol=1e-10)


def test_a_detector(rng, tmp_path):
    x = clusters(rng, 300, 4, 3, dtype="float32")
    detector = mixjax.detect.fit(
        jax.random.key(0), x, n_components=[2], families=[mixjax.Gaussian, mixjax.Laplace]
    )
    rows = np.concatenate([clusters(rng, 100, 4, 3, dtype="float32"), x[:50] + 5])
    scores = scored_elsewhere(tmp_path, detector, rows)
    # A rounding may move a row past one of the energies it is ranked among.
    np.testing.assert_allclose(scores, detector.scores(rows), rtol=1e-3, atol=0.05)
    assert np.median(np.abs(scores - np.asarray(detector.scores(rows)))) < 1e-4


def test_without_flatbuffers_it_says_what_to_install(rng, tmp_path, monkeypatch):
    mixture = random_mixture(mixjax.Gaussian, rng, 2, 2, "float32")
    monkeypatch.setitem(sys.modules, "flatbuffers", None)
    with pytest.raises(ImportError, match=r"flatbuffers is missing.*mixjax\[export\]"):
        mixjax.export(mixture, tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_bad_input_leaves_nothing(rng, tmp_path):
    mixture = random_mixture(mixjax.Gaussian, rng, 2, 2, "float32")
    with pytest.raises(TypeError, match="model"):
        mixjax.export(np.ones(3), tmp_path / "model")
    with pytest.raises(ValueError, match="platforms"):
        mixjax.export(mixture, tmp_path / "model", platforms=("abacus",))
    with pytest.raises(FileNotFoundError):
        mixjax.export(mixture, tmp_path / "nowhere" / "model")
    several = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), mixture)
    with pytest.raises(ValueError, match="leading axes"):
        mixjax.export(several, tmp_path / "model")
    assert list(tmp_path.iterdir()) == []
