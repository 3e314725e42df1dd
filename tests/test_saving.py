"""Files come back bit for bit, and nothing else is read."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import saved_things

import mixjax
from mixjax.files import read_arrays, write_arrays

KEY = jax.random.key(0)


def same(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for one, other in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert type(one) is type(other)
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(0).normal(size=(80, 3)).astype("float32")


@pytest.fixture(scope="module")
def detector(x):
    return mixjax.detect.fit(
        KEY, x, families=[mixjax.Gaussian, mixjax.Laplace], n_components=[1, 2],
        columns=[2, 0], feature_names=["a", "b", "π"],
    )  # fmt: skip


@pytest.mark.parametrize("lanes", [False, True])
def test_fits_of_every_family(tmp_path, x, family, lanes):
    fit = mixjax.fit(KEY, x, 2, family=family, max_iter=3)
    if lanes:
        fit = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), fit)
    mixjax.save(tmp_path / "fit.npz", fit)
    same(mixjax.load(tmp_path / "fit.npz"), fit)
    assert [path.name for path in tmp_path.iterdir()] == ["fit.npz"]


def test_the_rest(tmp_path, x, detector):
    mixture = mixjax.fit(KEY, x, 2).mixture
    trees = [
        detector,
        mixture,
        mixjax.Average(jnp.zeros(1), (mixture,)),
        mixjax.Stepwise.of(mixture),
        mixjax.threshold.peaks_over_threshold(x.ravel(), 1e-3),
        (mixture, detector.rule),
    ]
    for tree in trees:
        mixjax.save(tmp_path / "tree.npz", tree)
        same(mixjax.load(tmp_path / "tree.npz"), tree)
    again = mixjax.load(tmp_path / "tree.npz")[1]
    assert again.flags(3.0) == detector.rule.flags(3.0)


def test_a_detector_judges_as_before(tmp_path, x, detector):
    mixjax.save(tmp_path / "d.npz", detector)
    again = mixjax.load(tmp_path / "d.npz")
    np.testing.assert_array_equal(again.scores(x), detector.scores(x))
    np.testing.assert_array_equal(again.explain(x), detector.explain(x))
    assert again.feature_names == ("a", "b", "π")


def test_what_cannot_be_saved_is_named(tmp_path, x):
    mixture = mixjax.fit(KEY, x, 1, family=mixjax.Laplace).mixture
    other = mixjax.pytree(type("Laplace", (mixjax.Laplace,), {}))
    own = dataclasses.replace(mixture, components=other(**vars(mixture.components)))
    with pytest.raises(TypeError, match="another family is called Laplace"):
        mixjax.save(tmp_path / "m.npz", own)
    for other in ("words", {"a": 1}, None, 3.0):
        with pytest.raises(TypeError, match="save writes mixtures, fits and detectors"):
            mixjax.save(tmp_path / "m.npz", other)
    with pytest.raises(FileNotFoundError, match="no folder"):
        mixjax.save(tmp_path / "nowhere" / "m.npz", mixture)
    assert list(tmp_path.iterdir()) == []


def test_every_cut_is_noticed(tmp_path, detector):
    whole, cut = tmp_path / "whole.npz", tmp_path / "cut.npz"
    mixjax.save(whole, detector)
    content = whole.read_bytes()
    for share in (0, 0.1, 0.5, 0.9, 0.999):
        cut.write_bytes(content[: int(share * len(content))])
        with pytest.raises(ValueError, match=r"cut.npz is not a whole mixjax file"):
            mixjax.load(cut)
    flipped = bytearray(content)
    flipped[len(content) // 3] ^= 0xFF
    cut.write_bytes(flipped)
    with pytest.raises(ValueError, match=r"cut.npz"):
        mixjax.load(cut)


def test_other_versions_and_shapes(tmp_path, detector):
    path = tmp_path / "d.npz"
    mixjax.save(path, detector)
    header, arrays = read_arrays(path, "mixjax", 1)
    write_arrays(path, header | {"version": 2}, arrays)
    with pytest.raises(ValueError, match="version 2 of mixjax, but this mixjax reads version 1"):
        mixjax.load(path)
    write_arrays(path, header | {"format": "mixjax.dagmm"}, arrays)
    with pytest.raises(ValueError, match=r"is a 'mixjax.dagmm' file"):
        mixjax.load(path)

    def changed(name, value):
        text = json.loads(json.dumps(header))
        told = text["tree"]["fields"]
        for part in name.strip(".").split("."):
            told = told[int(part)] if part.isdigit() else told[part]
            told = told.get("fields", told) if isinstance(told, dict) else told
        told["shape"], told["dtype"] = list(value.shape), value.dtype.name
        write_arrays(path, text, arrays | {name: value})

    for name in (".center", ".typical", ".members.0.mixtures.log_weights"):
        changed(name, np.zeros((7,), arrays[name].dtype))
        with pytest.raises(ValueError, match="do not fit together"):
            mixjax.load(path)
    write_arrays(path, header, {k: v for k, v in arrays.items() if k != ".typical"})
    with pytest.raises(ValueError, match="do not fit together"):
        mixjax.load(path)
    write_arrays(path, header, arrays | {".more": np.zeros(1)})
    with pytest.raises(ValueError, match="not listed in the header"):
        mixjax.load(path)


def test_double_precision(tmp_path):
    with jax.enable_x64(True):
        mixture = mixjax.fit(KEY, np.random.default_rng(0).normal(size=(30, 2)), 1).mixture
        mixjax.save(tmp_path / "m.npz", mixture)
        same(mixjax.load(tmp_path / "m.npz"), mixture)
    with pytest.raises(ValueError, match="set jax_enable_x64"):
        mixjax.load(tmp_path / "m.npz")


def test_fields_by_the_names_of_earlier_files(tmp_path):
    path, detector = tmp_path / "d.npz", saved_things.detector()
    mixjax.save(path, detector)
    header, arrays = read_arrays(path, "mixjax", 1)
    text = json.dumps(header)
    assert '"ridge"' in text
    write_arrays(path, json.loads(text.replace('"ridge"', '"reg_covar"')), arrays)
    assert mixjax.load(path).candidates == detector.candidates
