"""Training: what it minimizes falls, it ends with a status, goes on from a file, and repeats."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from dagmm_problems import (
    AUTOENCODERS,
    BATCH,
    D,
    N,
    leaves_finite,
    model_of,
    quick_train,
    rows,
    scaled_latents,
    trained,
)  # fmt: skip

import mixjax
from mixjax import dagmm
from mixjax.dagmm.epoch import epoch
from mixjax.dagmm.model import SMALLEST_NORM

KDD = Path(__file__).parents[2] / "shared" / "data" / "kdd_cup.npz"
FAST = optax.adam(1e-2)
MODEL = model_of(AUTOENCODERS[0])


@pytest.fixture(params=AUTOENCODERS, ids=lambda a: type(a).__name__)
def autoencoder(request):
    return request.param


def same(a, b):
    return all(
        bool((x == y).all()) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    )


def test_the_loss_falls_and_every_parameter_moves(autoencoder):
    """It would not with a detached loss."""
    model = model_of(autoencoder)
    result = quick_train(model, trained(autoencoder)[1], epochs=20, optimizer=FAST)
    assert result.history.total.shape == (20,)
    assert result.history.total[-1] < result.history.total[0]
    for before, after in zip(jax.tree.leaves(model), jax.tree.leaves(result.model), strict=True):
        assert (before != after).any()
    assert int(result.status) == dagmm.Status.COMPLETED


def test_the_mixture_is_of_all_rows_and_the_energy_scipys(autoencoder):
    """Pooled over the training set, not of the last batch, nor an average of batches."""
    _, x = trained(autoencoder)
    result = quick_train(model_of(autoencoder), x)
    latent = scaled_latents(result, x)
    expected = mixjax.m_step(mixjax.Gaussian, latent.z, latent.responsibilities)
    np.testing.assert_allclose(result.mixture.weights, latent.responsibilities.mean(0), rtol=1e-4)
    np.testing.assert_allclose(
        result.mixture.components.means, expected.components.means, rtol=1e-3, atol=1e-4
    )
    strange = x.copy()
    strange[:5] += 1e3 * x.std(0)
    energies = dagmm.score(result, strange)
    np.testing.assert_allclose(
        energies,
        mixjax.energy(result.mixture, scaled_latents(result, strange).z),
        rtol=1e-4,
        atol=1e-4,
    )
    np.testing.assert_array_equal(energies, dagmm.score(result, strange))


def test_energies_have_no_ceiling():
    """A log-sum-exp without its shift ends at 27.6."""
    result, x = trained(AUTOENCODERS[0])
    narrow = mixjax.Mixture(
        result.mixture.log_weights,
        result.mixture.components.affine(jnp.full(4, 1e-3), jnp.zeros(4)),
    )
    far = type(result)(**{**vars(result), "mixture": narrow})
    assert dagmm.score(far, x).max() > 1e3


def test_the_reconstruction_weight_adds_the_error_relative_to_its_mean(autoencoder):
    result, x = trained(autoencoder)
    error = scaled_latents(result, x).error
    np.testing.assert_allclose(result.mean_error, error.mean(), rtol=1e-4)
    added = dagmm.score(result, x, reconstruction_weight=3.0) - dagmm.score(result, x)
    np.testing.assert_allclose(added, 3 * error / error.mean(), rtol=1e-2, atol=1e-3)


def test_units_and_offsets_of_columns_do_not_matter():
    x = rows(np.random.default_rng(0), dtype="float32")
    result = quick_train(MODEL, x)
    scale, shift = 2.0 ** np.arange(D), 4.0 * np.arange(D)
    moved = (x * scale + shift).astype("float32")
    again = quick_train(MODEL, moved)
    np.testing.assert_allclose(
        dagmm.score(again, moved), dagmm.score(result, x), rtol=2e-2, atol=2e-2
    )


def test_the_published_penalty_makes_wider_components():
    x = rows(np.random.default_rng(1))
    assert dagmm.Objective().covariance_weight == 1e-4
    spread = [
        quick_train(
            MODEL, x, epochs=30, optimizer=FAST,
            objective=dagmm.Objective(energy_weight=0.1, covariance_weight=weight),
        ).mixture.components.variances.min()
        for weight in (1e-4, 0.05)
    ]  # fmt: skip
    assert spread[1] > 1.5 * spread[0]


def test_the_same_key_gives_the_same_and_another_key_another():
    result, x = trained(AUTOENCODERS[0])
    assert same(quick_train(MODEL, x, refit=dagmm.Refit()), result)
    assert not same(quick_train(MODEL, x, key=jax.random.key(9)).model, result.model)


def test_many_seeds_at_once_are_one_at_a_time():
    x = trained(AUTOENCODERS[0])[1]
    keys = jax.random.split(jax.random.key(4), 3)
    models = jax.vmap(lambda key: model_of(AUTOENCODERS[0], key))(keys)
    together = quick_train(models, x, key=keys)
    assert together.status.shape == (3,)
    scores = jax.vmap(dagmm.score, in_axes=(0, None))(together, jnp.asarray(x))
    for i, key in enumerate(keys):
        alone = quick_train(model_of(AUTOENCODERS[0], key), x, key=key)
        np.testing.assert_allclose(together.history.total[i], alone.history.total, rtol=1e-3)
        lane = jax.tree.map(lambda leaf, i=i: leaf[i], together)
        np.testing.assert_allclose(scores[i], dagmm.score(lane, x), rtol=1e-3, atol=1e-3)
    with pytest.raises(ValueError, match="leading"):
        quick_train(MODEL, x, key=keys)


def test_other_weights_do_not_compile_again():
    x = trained(AUTOENCODERS[0])[1]
    before = epoch.n_compiled()
    quick_train(MODEL, x, objective=dagmm.Objective(energy_weight=0.05, covariance_weight=1e-3))
    other = epoch.n_compiled()
    quick_train(MODEL, x, objective=dagmm.Objective(energy_weight=0.07, covariance_weight=1e-2))
    assert epoch.n_compiled() == other <= before + 1


def test_float64_stays_float64(float64):
    x = rows(np.random.default_rng(0), dtype="float64")
    result = quick_train(model_of(AUTOENCODERS[0], dtype="float64"), x)
    assert dagmm.score(result, x).dtype == np.float64
    assert {leaf.dtype.name for leaf in jax.tree.leaves(result.model)} == {"float64"}


def test_a_diverging_run_ends_with_a_status_and_the_last_good_parameters():
    x = trained(AUTOENCODERS[0])[1]
    with pytest.warns(UserWarning, match="DIVERGED"):
        result = quick_train(MODEL, x, optimizer=optax.sgd(1e30), epochs=3)
    assert int(result.status) == dagmm.Status.DIVERGED
    assert leaves_finite((result.model, result.mixture))
    assert jnp.isfinite(dagmm.score(result, x)).all()
    assert same(result.model, MODEL)  # the first step of all was the bad one


def test_one_diverging_seed_leaves_the_others_alone():
    x = trained(AUTOENCODERS[0])[1]
    keys = jax.random.split(jax.random.key(4), 3)
    models = jax.vmap(lambda key: model_of(AUTOENCODERS[0], key))(keys)
    spoiled = jax.tree.map(lambda leaf: leaf.at[1].multiply(1e30), models)
    sound = quick_train(models, x, key=keys)
    with pytest.warns(UserWarning, match="DIVERGED"):
        result = quick_train(spoiled, x, key=keys)
    assert result.status.tolist() == [0, dagmm.Status.DIVERGED, 0]
    for i in (0, 2):
        assert same(*(jax.tree.map(lambda leaf, i=i: leaf[i], t.model) for t in (result, sound)))


def test_labels_help_where_the_published_inverse_does_not(seed):
    """Anomalies that lie between two halves of the normal rows, where only labels find them."""
    rng = np.random.default_rng(seed)
    normal = rng.normal(size=(360, D))
    normal[:, 0] = np.sign(normal[:, 0]) * (2 + np.abs(normal[:, 0]))
    strange = rng.normal(size=(40, D)) * np.array([0.3] + [1] * (D - 1))
    x = np.concatenate([normal, strange]).astype("float32")
    labels = np.arange(400) >= 360

    model = model_of(dagmm.Autoencoder(hidden=(20,), latent=2))

    def separation(**options):
        options = {"epochs": 60, "optimizer": FAST, "refit": dagmm.Refit(), **options}
        result = quick_train(model, x, **options)
        energies = np.asarray(dagmm.score(result, x))
        return (energies[:360, None] < energies[None, 360:]).mean()  # the ROC AUC

    sound = separation(labels=labels)
    published = separation(
        labels=labels, objective=dagmm.Objective(anomalies=dagmm.InverseEnergy())
    )
    assert sound > 0.95
    assert sound > max(published, separation()) + 0.05


@pytest.mark.parametrize(
    ("autoencoder", "latent", "k"),
    [(AUTOENCODERS[0], 16, 8), (AUTOENCODERS[1], 1, 8), (AUTOENCODERS[2], 16, 1)],
    ids=lambda value: type(value).__name__ if isinstance(value, dagmm.Autoencoder) else str(value),
)
def test_nothing_becomes_nan(autoencoder, latent, k):
    """A sample of the grid in benchmarks/dagmm.py: constant and heavy-tailed columns, 50 steps."""
    rng = np.random.default_rng(0)
    if KDD.exists():
        with np.load(KDD) as file:
            x = file["kdd"][rng.permutation(400_000)[:5_000], :-1].astype("float32")
    else:
        x = np.exp(3 * rng.normal(size=(5_000, 118))).astype("float32")
    x[:, ::3] = 1.0
    kind = type(autoencoder)(hidden=(20,), latent=latent)
    keys = jax.random.split(jax.random.key(0), 4)
    models = jax.vmap(
        lambda key: dagmm.DAGMM(key, x.shape[1], autoencoder=kind, n_components=k)
    )(keys)  # fmt: skip
    result = quick_train(models, x, key=keys, epochs=1, optimizer=FAST)
    assert result.status.tolist() == [0] * 4
    assert leaves_finite(result)
    assert jnp.isfinite(jax.vmap(dagmm.score, in_axes=(0, None))(result, jnp.asarray(x))).all()


SCRIPT = """
import sys; sys.path.insert(0, {tests!r})
import numpy as np, jax, optax
from dagmm_problems import *
x = rows(np.random.default_rng(5))
result = quick_train(model_of(AUTOENCODERS[2]), x, epochs={epochs}, optimizer=optax.adam(1e-2),
                     checkpoint={path!r}, checkpoint_every=5)
print(dagmm.Status(int(result.status)).name, len(result.history.total))
"""


def resumed(path, epochs):
    x = rows(np.random.default_rng(5))
    return quick_train(
        model_of(AUTOENCODERS[2]), x, epochs=epochs, optimizer=FAST, checkpoint=path,
        checkpoint_every=5,
    )  # fmt: skip


def test_after_a_divergence_a_lower_rate_goes_on_from_the_checkpoint(tmp_path):
    x = trained(AUTOENCODERS[0])[1]
    path = tmp_path / "run.npz"
    quick_train(MODEL, x, checkpoint=path, optimizer=FAST)
    with pytest.warns(UserWarning, match="DIVERGED"):
        quick_train(MODEL, x, checkpoint=path, optimizer=optax.adam(1e30), epochs=6)
    result = quick_train(MODEL, x, checkpoint=path, optimizer=FAST, epochs=4)
    assert same(result, quick_train(MODEL, x, optimizer=FAST, epochs=4))
    with pytest.raises(ValueError, match="holds 4 epochs"):
        quick_train(MODEL, x, checkpoint=path, optimizer=FAST, epochs=3)
    with pytest.raises(ValueError, match="another training"):
        quick_train(MODEL, x, checkpoint=path, optimizer=optax.sgd(1e-3), epochs=4)


def test_line_searches_work_too():
    x = trained(AUTOENCODERS[0])[1]
    result = quick_train(MODEL, x, optimizer=optax.lbfgs(), batch_size=N)
    assert result.history.total[-1] < result.history.total[0]


def test_the_relative_error_of_a_row_near_the_mean_is_bounded():
    """Its denominator is at least that of a row a hundredth of a deviation away."""
    result, x = trained(AUTOENCODERS[0])
    steps = np.array([0.0, 1e-6, 1e-3, 5e-3], "float32")[:, None]
    near = (x.mean(0) + steps * x.std(0)).astype("float32")
    relative = np.asarray(scaled_latents(result, near).z)[:, -2]
    errors = np.sqrt(np.asarray(scaled_latents(result, near).error))
    np.testing.assert_allclose(relative, errors / (SMALLEST_NORM * np.sqrt(D)), rtol=1e-5)
    np.testing.assert_allclose(relative[1:3], relative[0], rtol=0.05)  # and does not jump
    gradient = jax.grad(lambda rows: dagmm.score(result, rows).sum())(jnp.asarray(near))
    assert leaves_finite((gradient,))


def test_the_refit_has_no_more_components_than_normal_rows_afford():
    labels = np.arange(N) >= 120
    result = quick_train(MODEL, X, labels=labels, refit=dagmm.Refit())
    assert result.mixture.n_components == 120 // 50


def test_rows_that_are_not_finite_have_no_score():
    result, x = trained(AUTOENCODERS[0])
    odd = x[:4].copy()
    odd[1, 0], odd[2, 1] = np.nan, np.inf
    assert np.isnan(dagmm.score(result, odd)).tolist() == [False, True, True, False]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_stopped_process_goes_on_as_if_it_had_not_been_stopped(how, tmp_path):
    """A real process, killed or interrupted while it trains."""
    path = tmp_path / "run.npz"
    code = SCRIPT.format(tests=str(Path(__file__).parent), epochs=100_000, path=str(path))
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=dict(os.environ)
    )
    try:
        deadline = time.monotonic() + 240
        while not path.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        assert path.exists(), "no checkpoint was written"
        process.send_signal(how)
        said, _ = process.communicate(timeout=120)
    finally:
        process.kill()
    with np.load(path, allow_pickle=False) as file:
        done = sum(name.startswith("[1]") for name in file.files) // len(dagmm.Terms._fields)
    if how == signal.SIGINT:
        assert said.split() == ["INTERRUPTED", str(done)]
    assert done >= 5
    epochs = done + 7
    gone_on, straight = resumed(path, epochs), resumed(tmp_path / "other.npz", epochs)
    assert len(gone_on.history.total) == epochs
    assert same(gone_on, straight)


def test_a_checkpoint_of_another_training_is_refused(tmp_path):
    path = tmp_path / "run.npz"
    x = trained(AUTOENCODERS[0])[1]
    first = quick_train(MODEL, x, checkpoint=path)
    assert same(quick_train(MODEL, x, checkpoint=path), first)
    for change in ({"key": jax.random.key(8)}, {"x": x[::-1]}, {"batch_size": 50}):
        with pytest.raises(ValueError, match="another training"):
            quick_train(**{"model": MODEL, "x": x, **change, "checkpoint": path})
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ValueError, match="not a whole"):
        quick_train(MODEL, x, checkpoint=path)


X = rows(np.random.default_rng(0))


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"labels": np.zeros(N - 1)}, ValueError, "one for each row"),
        ({"labels": np.full(N, 2)}, ValueError, "labels must be 1"),
        ({"labels": np.full(N, np.nan)}, ValueError, "labels must be 1"),
        ({"labels": np.ones(N)}, ValueError, "no normal rows"),
        ({"batch_size": N + 1}, ValueError, "batch_size 401 is larger than the data"),
        ({"batch_size": 0}, ValueError, "batch_size"),
        ({"epochs": 0}, ValueError, "epochs"),
        ({"checkpoint_every": 0}, ValueError, "checkpoint_every"),
        ({"x": X[:, :-1]}, ValueError, "5 columns, but the model was made for 6"),
        ({"x": np.where(np.arange(N)[:, None] == 3, np.nan, X)}, ValueError, "row 3"),
        ({"x": X.astype("f2")}, TypeError, "float"),
        ({"optimizer": "adam"}, TypeError, "optimizer"),
        ({"objective": 0.1}, TypeError, "objective"),
        ({"inputs": 5.0}, TypeError, "inputs"),
        ({"inputs": dagmm.Inputs.unchanged(3)}, ValueError, "inputs have shape"),
        ({"refit": 16}, TypeError, "refit"),
        ({"refit": dagmm.Refit(n_components=0)}, ValueError, "n_components"),
        ({"refit": dagmm.Refit(ridge=-1.0)}, ValueError, "negative"),
        ({"objective": dagmm.Objective(anomalies=None)}, TypeError, "anomalies"),
        ({"checkpoint": "no-such-folder/run.npz"}, FileNotFoundError, "no folder"),
        ({"key": jax.random.PRNGKey(0)}, TypeError, "typed random key"),
        ({"model": AUTOENCODERS[0]}, TypeError, "model"),
        ({"key": 0}, TypeError, "key"),
    ],
)
def test_bad_input_is_named(change, error, says):
    with pytest.raises(error, match=says):
        quick_train(**{"model": MODEL, "x": X, "batch_size": BATCH, **change})


def test_bad_input_to_score_is_named():
    result, x = trained(AUTOENCODERS[0])
    with pytest.raises(ValueError, match="columns"):
        dagmm.score(result, x[:, :2])
    with pytest.raises(TypeError, match="trained"):
        dagmm.score(MODEL, x)
    seeds = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), result)
    with pytest.raises(ValueError, match="2 seeds"):
        dagmm.score(seeds, x)


def test_the_bar_shows_epochs_and_loss(capsys):
    quick_train(MODEL, trained(AUTOENCODERS[0])[1], progress=True)
    assert "epoch 2 of 2" in capsys.readouterr().err


def test_without_the_extra_the_import_says_which():
    code = "import sys; sys.modules['equinox'] = None; import mixjax; import mixjax.dagmm"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100)
    assert "pip install 'mixjax[dagmm]'" in done.stderr
