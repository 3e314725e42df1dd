"""Trained models as files: back bit for bit, or refused with a word."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from dagmm_problems import AUTOENCODERS, model_of, quick_train, trained
from damage import damaged, edited, members_of, same, survives

import mixjax
from mixjax import dagmm
from mixjax.files import read_arrays, write_arrays


@pytest.mark.parametrize("autoencoder", AUTOENCODERS, ids=lambda a: type(a).__name__)
def test_what_is_loaded_is_what_was_saved(autoencoder, tmp_path):
    result, x = trained(autoencoder)
    dagmm.save(tmp_path / "model.npz", result)
    again = dagmm.load(tmp_path / "model.npz")
    assert jax.tree.structure(again) == jax.tree.structure(result)
    for a, b in zip(jax.tree.leaves(again), jax.tree.leaves(result), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(dagmm.score(again, x), dagmm.score(result, x))
    assert list(tmp_path.iterdir()) == [tmp_path / "model.npz"]


def test_a_file_with_the_old_name_of_a_class_is_loaded(tmp_path):
    result, x = trained(AUTOENCODERS[2])
    dagmm.save(tmp_path / "model.npz", result)
    header, arrays = read_arrays(tmp_path / "model.npz", "mixjax.dagmm", 1)
    assert header["autoencoder"]["kind"] == "VectorQuantizedAutoencoder"
    header["autoencoder"]["kind"] = "VectorQuantisedAutoencoder"
    write_arrays(tmp_path / "old.npz", header, arrays)
    again = dagmm.load(tmp_path / "old.npz")
    np.testing.assert_array_equal(dagmm.score(again, x), dagmm.score(result, x))


def test_many_seeds_travel_in_one_file(tmp_path):
    one = trained(AUTOENCODERS[0])[0]
    result = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf, leaf]), one)
    weights = jnp.stack([jnp.roll(one.mixture.log_weights, i) for i in range(3)])
    result = dataclasses.replace(
        result, mixture=dataclasses.replace(result.mixture, log_weights=weights)
    )
    dagmm.save(tmp_path / "models.npz", result)
    again = dagmm.load(tmp_path / "models.npz")
    assert again.status.shape == (3,)
    np.testing.assert_array_equal(again.mixture.log_weights, result.mixture.log_weights)


def test_it_travels_under_x64_and_with_widths_from_numpy(float64, tmp_path):
    x = trained(AUTOENCODERS[0])[1]
    kind = dagmm.Autoencoder(hidden=(np.int64(5),), latent=np.int64(2))
    result = quick_train(model_of(kind, dtype="float32"), x)
    dagmm.save(tmp_path / "model.npz", result)
    again = dagmm.load(tmp_path / "model.npz")
    np.testing.assert_array_equal(dagmm.score(again, x), dagmm.score(result, x))


def test_a_file_is_as_readable_as_any_other(tmp_path):
    dagmm.save(tmp_path / "model.npz", trained(AUTOENCODERS[0])[0])
    (tmp_path / "other").write_text("")
    assert (tmp_path / "model.npz").stat().st_mode == (tmp_path / "other").stat().st_mode
    with pytest.raises(FileNotFoundError, match="no folder"):
        dagmm.save(tmp_path / "none" / "model.npz", trained(AUTOENCODERS[0])[0])


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "model.npz"
    dagmm.save(path, trained(AUTOENCODERS[0])[0])
    return path


def rewritten(path, header=None, arrays=None):
    old_header, old_arrays = read_arrays(path, "mixjax.dagmm", 1)
    write_arrays(path, {**old_header, **(header or {})}, {**old_arrays, **(arrays or {})})


def test_there_is_no_pickle_in_it(saved):
    with np.load(saved, allow_pickle=False) as file:
        assert all(file[name].dtype != object for name in file.files)
        assert json.loads(file["header"].tobytes())["format"] == "mixjax.dagmm"


@pytest.mark.parametrize("keep", [0, 10, 0.5, -1])
def test_a_file_cut_short_is_refused(saved, keep):
    data = saved.read_bytes()
    saved.write_bytes(data[: int(keep * len(data)) if isinstance(keep, float) else keep])
    with pytest.raises(ValueError, match="not a whole"):
        dagmm.load(saved)


def test_other_files_and_versions_are_refused(saved, tmp_path):
    np.savez(tmp_path / "other.npz", a=np.ones(3))
    with pytest.raises(ValueError, match="not a whole"):
        dagmm.load(tmp_path / "other.npz")
    np.save(tmp_path / "one.npy", np.ones(3))
    with pytest.raises(ValueError, match="not a whole"):
        dagmm.load(tmp_path / "one.npy")
    with pytest.raises(FileNotFoundError):
        dagmm.load(tmp_path / "none.npz")
    rewritten(saved, {"version": 99})
    with pytest.raises(ValueError, match="version 99"):
        dagmm.load(saved)


def test_a_file_of_another_kind_is_refused(saved):
    rewritten(saved, {"format": "something.else"})
    with pytest.raises(ValueError, match=r"something\.else"):
        dagmm.load(saved)


def test_arrays_of_other_shapes_or_names_are_refused(saved):
    rewritten(saved, arrays={".mean_error": np.zeros(3, "float32")})
    with pytest.raises(ValueError, match="mean_error has shape"):
        dagmm.load(saved)
    rewritten(saved, arrays={".mean_error": np.zeros((), "float32"), ".more": np.zeros(1)})
    with pytest.raises(ValueError, match="not the expected ones"):
        dagmm.load(saved)


def test_a_header_that_tells_no_model_is_refused(saved):
    rewritten(saved, {"autoencoder": {"kind": "Unheard", "options": {}}})
    with pytest.raises(ValueError, match="describes no model"):
        dagmm.load(saved)


def test_code_of_ones_own_cannot_be_saved(tmp_path):
    class Mine(dagmm.Autoencoder):
        pass

    result = dataclasses.replace(
        trained(AUTOENCODERS[0])[0], model=model_of(Mine(hidden=(5,), latent=2))
    )
    with pytest.raises(TypeError, match="Mine"):
        dagmm.save(tmp_path / "model.npz", result)
    with pytest.raises(TypeError, match="the result of dagmm"):
        dagmm.save(tmp_path / "model.npz", mixjax)
    assert not list(tmp_path.iterdir())


def test_a_write_that_fails_leaves_the_old_file(saved):
    before = saved.read_bytes()
    with pytest.raises(ValueError, match="cannot"):
        write_arrays(saved, {}, {"a": Unwritable()})
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


class Unwritable:
    def __array__(self, dtype=None, copy=None):
        raise ValueError("cannot be written")


def test_a_positive_unlabeled_classifier_travels(tmp_path):
    result, x = trained(AUTOENCODERS[0])
    found = dagmm.positive_unlabeled(jax.random.key(1), result, x[:100], x, epochs=2)
    dagmm.save(tmp_path / "found.npz", found)
    again = dagmm.load(tmp_path / "found.npz")
    assert jax.tree.structure(again) == jax.tree.structure(found)
    for a, b in zip(jax.tree.leaves(again), jax.tree.leaves(found), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(again.normal_probability(x), found.normal_probability(x))
    with pytest.warns(DeprecationWarning, match="labeled_probability"):
        again.labelled_probability(x)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        (".mean_error", lambda a: a * np.nan),
        (".status", lambda a: a + 3),
        (".mixture.log_weights", lambda a: a + 1),
        (".mixture.components.factors", lambda a: -a),
        (".mixture.components.means", lambda a: a + np.inf),
        (".inputs.scale", lambda a: 0 * a),
        (".inputs.limit", lambda a: -a),
        (".inputs.shift", lambda a: a * np.nan),
        (".model.estimation.linear[0].weight", lambda a: a * np.nan),
    ],
)
def test_what_no_training_gives_is_refused(saved, name, change):
    value = read_arrays(saved, "mixjax.dagmm", 1)[1][name]
    rewritten(saved, arrays={name: change(value).astype(value.dtype)})
    with pytest.raises(ValueError, match=rf"model.npz: .*{name.split('.')[1]}"):
        dagmm.load(saved)


def test_damaged_files_are_refused(saved):
    result = trained(AUTOENCODERS[0])[0]
    rng, content, members = np.random.default_rng(2), saved.read_bytes(), members_of(saved)
    for _ in range(50):
        if survives(saved, damaged(rng, content, content[::-1]), dagmm.load):
            assert same(dagmm.load(saved), result)
        survives(saved, edited(rng, members), dagmm.load)


def test_positive_unlabeled_names_bad_input():
    result, x = trained(AUTOENCODERS[0])
    x = jnp.asarray(x)
    key = jax.random.key(0)
    with pytest.raises(ValueError, match="too few"):
        dagmm.positive_unlabeled(key, result, x[:5], x)
    with pytest.raises(ValueError, match="held_out"):
        dagmm.positive_unlabeled(key, result, x, x, held_out=1.0)
    with pytest.raises(ValueError, match="unlabeled has 1 rows"):
        dagmm.positive_unlabeled(key, result, x, x.at[0, 0].set(jnp.nan))
    with pytest.raises(TypeError, match="trained"):
        dagmm.positive_unlabeled(key, result.model, x, x)


def test_positive_unlabeled_judges_no_odd_row_normal():
    result, x = trained(AUTOENCODERS[0])
    x = jnp.asarray(x)
    found = dagmm.positive_unlabeled(jax.random.key(0), result, x, x + 1, epochs=2)
    odd = x[:3].at[0, 0].set(jnp.nan).at[1, 1].set(jnp.inf)
    assert jnp.isnan(found.labeled_probability(odd)).tolist() == [True, True, False]
    assert jnp.isnan(found.normal_probability(odd)).tolist() == [True, True, False]
    assert found.is_anomaly(odd)[:2].tolist() == [True, True]
