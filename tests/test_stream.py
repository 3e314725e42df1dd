"""Data larger than memory: passes over batches give what a fit in memory gives."""

import dataclasses
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import jax
import jax.numpy as jnp
import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from conftest import FAMILIES
from problems import clusters

import mixjax
from mixjax.rows.blocks import Table
from mixjax.rows.scaling import column_scale
from mixjax.streaming import stream, survey
from mixjax.streaming.fingerprint import Fingerprint
from mixjax.streaming.sources import batches_of, blocks_of, read_ahead

KEY = jax.random.key(3)


def bits(tree):
    return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(tree)]


def assert_close(a, b, rtol):
    for left, right in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        left, right = np.asarray(left), np.asarray(right)
        np.testing.assert_allclose(left, right, rtol=rtol, atol=rtol * np.abs(right).max())


@pytest.fixture
def small_blocks(monkeypatch):
    """A few dozen rows a block, so that small tables make several."""
    monkeypatch.setattr(stream, "BLOCK", 200)


@pytest.mark.parametrize("family", FAMILIES[:4], ids=lambda family: family.__name__)
def test_passes_give_what_memory_gives(family, float64, small_blocks):
    options = {"family": family, "tol": 0.0, "max_iter": 6}
    for seed in range(3):
        x = 1e3 + clusters(np.random.default_rng(seed), 500, 3, 3)
        streamed = mixjax.fit_stream(KEY, lambda x=x: np.array_split(x, 9), 3, **options)
        assert_close(streamed, mixjax.fit(KEY, x, 3, **options), 1e-8)
        assert streamed.energy.dtype == float64


def test_float32_keeps_its_digits_too(small_blocks):
    x = clusters(np.random.default_rng(0), 500, 3, 3, spread=8.0, dtype="float32")
    options = {"tol": 0.0, "max_iter": 6}
    streamed = mixjax.fit_stream(KEY, lambda: np.array_split(x, 9), 3, **options)
    assert_close(streamed, mixjax.fit(KEY, x, 3, **options), 1e-4)
    assert streamed.energy.dtype == "float32"


def test_a_laplace_stream_takes_the_step_from_sums(float64, small_blocks):
    x = clusters(np.random.default_rng(1), 300, 2, 2)
    energies = [
        float(mixjax.fit_stream(KEY, [x], 2, family=mixjax.Laplace, tol=0.0, max_iter=n).energy)
        for n in (0, 1, 2, 30)
    ]
    assert all(np.diff(energies) < 1e-9)
    exact = mixjax.fit(KEY, x, 2, family=mixjax.Laplace, tol=0.0, max_iter=30)
    assert abs(energies[-1] - exact.energy) < 1e-2


def test_it_stops_as_a_fit_does(float64, small_blocks):
    x = clusters(np.random.default_rng(2), 400, 2, 2)
    for tol, max_iter in ((1e-6, 100), (1e-12, 3), (1e-3, 0)):
        streamed = mixjax.fit_stream(KEY, [x], 2, tol=tol, max_iter=max_iter)
        in_memory = mixjax.fit(KEY, x, 2, tol=tol, max_iter=max_iter)
        assert int(streamed.n_iter) == int(in_memory.n_iter)
        assert int(streamed.status) == int(in_memory.status)


def test_how_the_rows_are_cut_does_not_matter(small_blocks):
    x = clusters(np.random.default_rng(3), 333, 2, 2, dtype="float32")
    whole = mixjax.fit_stream(KEY, [x], 2, max_iter=3)
    lengths = np.random.default_rng(4).integers(0, 40, 60)
    cut = np.split(x, np.minimum(np.cumsum(lengths), len(x)))
    again = mixjax.fit_stream(KEY, cut, 2, max_iter=3)
    # The scale is merged batch by batch, in float64: float32 does not see the difference.
    assert_close(again, whole, 1e-6)


def test_a_mixture_to_begin_with(float64, small_blocks):
    x = clusters(np.random.default_rng(5), 200, 2, 2)
    begin = mixjax.fit(KEY, x, 2, family=mixjax.DiagonalGaussian, max_iter=1).mixture
    streamed = mixjax.fit_stream(KEY, [x], 2, start=begin, max_iter=4, tol=0.0)
    assert_close(streamed, mixjax.fit_from(begin, x, max_iter=4, tol=0.0), 1e-9)
    with pytest.raises(ValueError, match=r"\(2, 2, float64\), the fit needs \(3, 2, float64\)"):
        mixjax.fit_stream(KEY, [x], 3, start=begin)


class Loader:
    """What a torch DataLoader over a TensorDataset looks like: re-iterable, tensors in lists."""

    class Tensor:
        def __init__(self, rows):
            self.rows, self.ndim, self.shape = rows, rows.ndim, rows.shape

        def __array__(self, dtype=None, copy=None):
            return self.rows

    def __init__(self, x):
        self.x = x

    def __iter__(self):
        for rows in np.array_split(self.x, 5):
            yield [self.Tensor(rows)]


def test_what_a_stream_may_come_from(tmp_path):
    x = clusters(np.random.default_rng(6), 120, 3, 2, dtype="float32")
    np.save(tmp_path / "x.npy", x)
    (tmp_path / "many").mkdir()
    for i, rows in enumerate(np.array_split(x, 4)):
        np.save(tmp_path / "many" / f"{i}.npy", rows)
    columns = {name: x[:, i] for i, name in enumerate("abc")}
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "x.parquet", row_group_size=50)
    mapped = np.memmap(tmp_path / "raw", "float32", "w+", shape=x.shape)
    mapped[:] = x

    def generator():
        yield x[:100]
        yield x[100:]

    def columns_by_name():
        yield {name: column[:7] for name, column in columns.items()}
        yield {name: column[7:].tolist() for name, column in columns.items()}

    sources = [
        x, mapped, mapped[:], str(tmp_path / "x.npy"), tmp_path / "many", tmp_path / "x.parquet",
        generator, Loader(x), [jnp.asarray(x)], np.array_split(x, 3),
    ]  # fmt: skip
    for source in sources:
        begin = batches_of(source)
        for _ in range(2):
            np.testing.assert_array_equal(np.concatenate(list(begin())), x)
    by_name = np.concatenate(list(batches_of(lambda: ({"a": [1.0], "b": [2.0]},))()))
    assert by_name.tolist() == [[1.0, 2.0]]
    assert [rows.shape for rows in batches_of(columns_by_name)()] == [(7, 3), (113, 3)]


def test_blocks_hold_all_rows_in_order():
    x = np.arange(46.0).reshape(23, 2)
    for length in (1, 5, 23, 40):
        blocks = list(blocks_of(lambda: np.split(x, [4, 4, 17]), length, 2, x.dtype))
        assert all(block.rows.shape == (length, 2) for block in blocks)
        np.testing.assert_array_equal(np.concatenate([b.rows[: b.n] for b in blocks]), x)


def test_reading_goes_on_while_the_caller_works():
    read = []

    def items():
        for i in range(5):
            read.append(i)
            yield i

    with read_ahead(items()) as taken:
        assert next(taken) == 0
        begin = time.monotonic()
        while len(read) < 3 and time.monotonic() - begin < 10:
            time.sleep(0.01)
        assert len(read) >= 3  # nobody has asked for them yet
        assert list(taken) == [1, 2, 3, 4]
    with pytest.raises(ZeroDivisionError), read_ahead(1 // 0 for _ in range(3)) as taken:
        list(taken)
    with read_ahead(iter(range(10**9))) as taken:
        next(taken)
    assert not [t for t in threading.enumerate() if t.name.endswith("(read)")]


def test_the_survey_finds_the_scale_and_an_even_sample(dtype):
    x = 100 + clusters(np.random.default_rng(7), 2000, 3, 2, dtype=dtype)
    x[:, 1] = 7.0
    found = survey.surveyed(batches_of(lambda: np.array_split(x, 11)), 0, 400)
    families = mixjax.DiagonalGaussian, mixjax.SphericalGaussian, mixjax.Categorical
    assert {family.scaling for family in families} == set(mixjax.Scaling)
    for family in families:
        expected = column_scale(Table.of(jnp.asarray(x), None, 1), family.scaling)
        for a, b in zip(found.scale(family)[:3], expected[:3], strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5 if dtype == "float32" else 1e-12)
    assert found.sample.shape == (400, 3)
    assert abs(found.sample[:, 0].mean() - x[:, 0].mean()) < 4 * x[:, 0].std() / 20
    other = survey.surveyed(batches_of(lambda: np.array_split(x, 3)), 0, 400)
    np.testing.assert_array_equal(found.sample, other.sample)
    few = survey.surveyed(batches_of([x[:50]]), 0, 400)
    np.testing.assert_array_equal(few.sample, x[:50])


PROGRAM = """
    import sys, time, jax, numpy as np, mixjax
    from mixjax.streaming import stream
    stream.BLOCK = 200
    x = np.load(sys.argv[1])
    def batches():
        for rows in np.array_split(x, 10):
            time.sleep(float(sys.argv[4]))
            yield rows
    fit = mixjax.fit_stream(jax.random.key(0), batches, 3, tol=0.0, max_iter=12,
                            checkpoint=sys.argv[2], checkpoint_seconds=0.0)
    np.savez(sys.argv[3], *[np.asarray(leaf) for leaf in jax.tree.leaves(fit)])
"""


def test_a_killed_fit_goes_on_to_the_same_mixture(tmp_path):
    """A real process, killed with SIGKILL in the middle of a pass."""
    np.save(tmp_path / "x.npy", clusters(np.random.default_rng(8), 500, 2, 3, dtype="float32"))

    def command(checkpoint, out, pause):
        program = textwrap.dedent(PROGRAM)
        names = [str(tmp_path / name) for name in ("x.npy", checkpoint, out)]
        return [sys.executable, "-c", program, *names, str(pause)]

    path = tmp_path / "killed.ckpt"
    process = subprocess.Popen(command("killed.ckpt", "killed.npz", 0.02))
    begin, written = time.monotonic(), set()
    while len(written) < 25:  # several passes of six blocks, and somewhere inside one
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() - begin < 120
        if path.exists():
            written.add(path.stat().st_mtime_ns)
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "killed.npz").exists()
    with np.load(path) as file:
        assert int(file["[0][0].n_iter"]) >= 0
    subprocess.run(command("killed.ckpt", "killed.npz", 0), check=True, timeout=120)
    subprocess.run(command("whole.ckpt", "whole.npz", 0), check=True, timeout=120)
    with np.load(tmp_path / "killed.npz") as a, np.load(tmp_path / "whole.npz") as b:
        for name in b.files:
            np.testing.assert_array_equal(a[name], b[name])


def test_a_checkpoint_of_something_else_is_refused(tmp_path, small_blocks):
    x = clusters(np.random.default_rng(9), 100, 2, 2, dtype="float32")
    path = tmp_path / "fit.ckpt"
    done = mixjax.fit_stream(KEY, [x], 2, max_iter=2, tol=0.0, checkpoint=path)
    again = mixjax.fit_stream(KEY, [x], 2, max_iter=2, tol=0.0, checkpoint=path)
    assert bits(done) == bits(again)
    longer = mixjax.fit_stream(KEY, [x], 2, max_iter=4, tol=0.0, checkpoint=path)
    assert bits(longer) == bits(mixjax.fit_stream(KEY, [x], 2, max_iter=4, tol=0.0))
    before = path.read_bytes()
    other = x.copy()
    other[1:-1] = x[1:-1].mean(0)  # as many rows of the same extremes
    other[np.r_[x.argmin(0), x.argmax(0)]] = x[np.r_[x.argmin(0), x.argmax(0)]]
    mixed = np.column_stack([x[:, 0], x[::-1, 1]])  # and of the same columns
    for source, k in (([x], 3), ([x + 1], 2), ([x[:90]], 2), ([other], 2), ([mixed], 2)):
        with pytest.raises(ValueError, match="checkpoint of another fit"):
            mixjax.fit_stream(KEY, source, k, checkpoint=path)
    assert path.read_bytes() == before
    path.write_bytes(before[: len(before) // 2])
    with pytest.raises(ValueError, match="not a whole mixjax stream file"):
        mixjax.fit_stream(KEY, [x], 2, checkpoint=path)
    with pytest.raises(FileNotFoundError, match="no folder"):
        mixjax.fit_stream(KEY, [x], 2, checkpoint=tmp_path / "nowhere" / "fit.ckpt")


def test_bad_input_is_named(tmp_path):
    x = clusters(np.random.default_rng(10), 60, 2, 2, dtype="float32")

    def refused(error, match, source, k=2, **kwargs):
        with pytest.raises(error, match=match):
            mixjax.fit_stream(KEY, source, k, **kwargs)

    refused(TypeError, "only once", (rows for rows in [x]))
    once = iter([x])
    refused(ValueError, "60 rows, a later one 0.*same rows", lambda: once)
    passes = iter([x, x, x + 1])
    refused(ValueError, "other rows than a later one", lambda: [next(passes)], tol=0.0)
    refused(ValueError, "the stream is empty", [])
    refused(ValueError, "the stream is empty", [x[:0]])
    masked = np.ma.masked_greater(x, np.median(x))
    for source in (masked, [masked], [[masked]], lambda: [{"a": masked[:, 0]}]):
        refused(ValueError, "masked cells", source)
    refused(ValueError, r"holds 1e\+40, too large for float32", [np.full((60, 2), 1e40)])
    refused(ValueError, "batch 1 has 1 columns, but those before it have 2", [x, x[:, :1]])
    bad = x.copy()
    bad[7, 1] = np.nan
    refused(ValueError, "batch 1 holds NaN.*row 7, which is row 67 of the stream", [x, bad])
    refused(ValueError, "between 1 and the number of rows", [x], k=61)
    refused(TypeError, "batch 0 must hold float32", [x.astype("f2")])
    refused(TypeError, "list of 2 items", [[x, x[:, 0]]])
    refused(ValueError, r"batch 0 must have shape", [x[:, 0]])
    refused(TypeError, "batches must be a function", 5)
    with pytest.raises(TypeError, match="fit_stream runs on the host"):
        jax.jit(lambda key: mixjax.fit_stream(key, [x], 2))(KEY)
    refused(TypeError, "must be mixjax.EM", [x], solver=mixjax.EM)
    refused(TypeError, "mesh must be a jax.sharding.Mesh", [x], mesh="rows")
    refused(FileNotFoundError, "no file or folder", tmp_path / "none.npy")
    refused(ValueError, "no .npy or .parquet files", tmp_path)
    (tmp_path / "x.txt").write_text("1 2")
    refused(ValueError, "got x.txt", tmp_path / "x.txt")


def test_the_bar_counts_passes(capsys):
    x = clusters(np.random.default_rng(11), 60, 2, 2, dtype="float32")
    mixjax.fit_stream(KEY, [x], 2, max_iter=2, tol=0.0, progress=True)
    assert "block 1 of 1" in capsys.readouterr().err


def test_shuffled_batches_are_the_same_rows_but_for_a_checkpoint(tmp_path):
    x = clusters(np.random.default_rng(12), 100, 2, 2, dtype="float32")
    rng = np.random.default_rng(0)

    def shuffled():
        yield from np.array_split(rng.permutation(x), 3)

    options = {"max_iter": 3, "tol": 0.0, "start": mixjax.fit(KEY, x, 2, max_iter=1).mixture}
    fit = mixjax.fit_stream(KEY, shuffled, 2, **options)
    assert_close(fit, mixjax.fit_stream(KEY, [x], 2, **options), 1e-4)
    with pytest.raises(ValueError, match="another order"):
        mixjax.fit_stream(KEY, shuffled, 2, checkpoint=tmp_path / "fit.ckpt", **options)


def test_a_fingerprint_is_of_the_rows_alone():
    rng = np.random.default_rng(13)
    for x in (rng.normal(size=(90, 3)).astype("float32"), rng.integers(0, 3, (90, 2)) + 0.0):

        def found(*parts):
            fingerprint = Fingerprint()
            for part in parts:
                fingerprint.add(part)
            return fingerprint.digest, fingerprint.checksum

        whole = found(x)
        assert found(*np.split(x, [1, 1, 40])) == whole
        assert found(np.asfortranarray(x)) == whole
        assert found(x[::-1])[0] == whole[0]
        assert found(x[::-1])[1] != whole[1]
        other = x.copy()
        other[7, 1] += 1
        assert found(other)[0] != whole[0]
        assert found(np.column_stack([x[:, :1], x[::-1, 1:]]))[0] != whole[0]


@pytest.mark.parametrize("family", FAMILIES[:4], ids=lambda family: family.__name__)
def test_an_offset_of_double_precision_does_not_matter(family, tmp_path):
    z = clusters(np.random.default_rng(14), 200, 2, 2).round(6)
    options = {"family": family, "max_iter": 5, "tol": 0.0}
    near = mixjax.fit_stream(KEY, [z], 2, **options)
    far = z + 1.7e9
    np.save(tmp_path / "far.npy", far)
    columns = {"a": far[:, 0], "b": far[:, 1]}
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "far.parquet")
    sources = [far] if family is not mixjax.Gaussian else [
        far, tmp_path / "far.npy", tmp_path / "far.parquet", [columns], [far],
        lambda: np.array_split(far, 7),
    ]  # fmt: skip
    for source in sources:
        fit = mixjax.fit_stream(KEY, source, 2, **options)
        assert abs(float(fit.energy - near.energy)) < 1e-4
        np.testing.assert_allclose(fit.mixture.weights, near.mixture.weights, atol=1e-4)
        np.testing.assert_allclose(fit.mixture.components.means, 1.7e9, atol=200)
        widths = jax.tree.leaves(fit.mixture.components)[1]
        np.testing.assert_allclose(widths, jax.tree.leaves(near.mixture.components)[1], rtol=1e-3)
    components = near.mixture.components.affine(jnp.ones(2), jnp.full(2, 1e4))
    begin = dataclasses.replace(near.mixture, components=components)
    begun, again = (
        mixjax.fit_stream(KEY, [x], 2, start=start, max_iter=5, tol=0.0)
        for x, start in ((z, near.mixture), (z + 1e4, begin))
    )
    assert abs(float(again.energy - begun.energy)) < 1e-3


def test_a_first_pass_that_is_not_finite_is_no_iteration():
    x = clusters(np.random.default_rng(17), 100, 2, 2, dtype="float32")
    means = jnp.asarray([[1e30, 0], [-1e30, 0]])
    far = mixjax.Mixture(
        jnp.log(jnp.asarray([0.5, 0.5])), mixjax.DiagonalGaussian(means, 1e-3 * jnp.ones((2, 2)))
    )
    streamed, fit = mixjax.fit_stream(KEY, [x], 2, start=far), mixjax.fit_from(far, x)
    assert int(streamed.status) == int(fit.status) == mixjax.Status.NONFINITE
    assert int(streamed.n_iter) == int(fit.n_iter) == 0


def test_a_checkpoint_is_looked_at_before_the_rows(tmp_path):
    def never():
        raise AssertionError("the rows were read")

    path = tmp_path / "rows.npy"
    np.save(path, np.zeros((10, 2), "float32"))
    for source, file, kind, text in (
        (never, tmp_path / "nowhere" / "fit.ckpt", FileNotFoundError, "no folder"),
        (never, tmp_path, IsADirectoryError, "is a folder"),
        (path, path, ValueError, "is also the input"),
        (tmp_path, path, ValueError, "is also the input"),
        (np.load(path, mmap_mode="r"), path, ValueError, "is also the input"),
    ):
        with pytest.raises(kind, match=text):
            mixjax.fit_stream(jax.random.key(0), source, 2, checkpoint=file)
    assert np.load(path).shape == (10, 2)


@pytest.mark.parametrize("family", FAMILIES[:4], ids=lambda family: family.__name__)
def test_units_do_not_matter(family):
    z = clusters(np.random.default_rng(15), 200, 2, 2)
    options = {"family": family, "max_iter": 5, "tol": 0.0}
    one = mixjax.fit_stream(KEY, [z], 2, **options)
    for scale in (1e-30, 1e30, 1e35):
        for x in (z * scale, (z * scale).astype("float32")):
            fit = mixjax.fit_stream(KEY, [x], 2, **options)
            assert int(fit.status) == int(one.status)
            np.testing.assert_allclose(fit.mixture.weights, one.mixture.weights, atol=1e-4)
            expected = float(one.energy) + 2 * np.log(scale)
            np.testing.assert_allclose(fit.energy, expected, atol=1e-3)


def test_units_do_not_matter_in_double_precision(float64):
    z = clusters(np.random.default_rng(16), 200, 2, 2)
    one = mixjax.fit_stream(KEY, [z], 2, max_iter=3, tol=0.0)
    for scale in (1e-160, 1e160):
        fit = mixjax.fit_stream(KEY, [z * scale], 2, max_iter=3, tol=0.0)
        np.testing.assert_allclose(fit.mixture.weights, one.mixture.weights, atol=1e-10)
        np.testing.assert_allclose(fit.energy, float(one.energy) + 2 * np.log(scale), atol=1e-9)


# --- Weights, holes and categories ---


def wide(x, kind, rng):
    """The same rows as batches and in memory, of each kind that a batch may be."""
    weights = rng.integers(0, 3, len(x)).astype(x.dtype)
    holes = np.where(rng.random(x.shape) < 0.2, np.nan, x)
    holes[5] = np.nan
    noise = 0.1 + rng.random(x.shape)
    full = noise[:, :, None] * np.eye(x.shape[1])
    of = {
        "weights": (lambda s: (x[s], weights[s]), x, weights),
        "holes": (lambda s: mixjax.Observed(holes[s]), mixjax.Observed(holes), None),
        "variances": (
            lambda s: mixjax.Observed(holes[s], noise[s]), mixjax.Observed(holes, noise), None,
        ),
        "covariances": (
            lambda s: mixjax.Observed(holes[s], full[s]), mixjax.Observed(holes, noise), None,
        ),
        "holes and weights": (
            lambda s: (mixjax.Observed(holes[s]), weights[s]), mixjax.Observed(holes), weights,
        ),
    }  # fmt: skip
    batch, rows, weights = of[kind]
    cuts = [slice(0, 70), slice(70, 75), slice(75, 180), slice(180, len(x))]
    return [batch(cut) for cut in cuts], rows, weights


KINDS = ["weights", "holes", "variances", "covariances", "holes and weights"]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_known_of_rows_is_taken(kind, float64, small_blocks, tmp_path):
    """From the same mixture, the same iterations as in memory; also resumed from a file."""
    rng = np.random.default_rng(8)
    batches, rows, weights = wide(clusters(rng, 240, 2, 2), kind, rng)
    begin = mixjax.fit(KEY, rows, 2, weights=weights, max_iter=0).mixture
    options = {"tol": 0.0, "max_iter": 6}
    expected = mixjax.fit_from(begin, rows, weights=weights, **options)
    streamed = mixjax.fit_stream(KEY, batches, 2, start=begin, **options)
    assert_close(streamed, expected, 1e-9)
    resumed = {"start": begin, "checkpoint": tmp_path / "fit.npz"}
    mixjax.fit_stream(KEY, batches, 2, max_iter=2, tol=0.0, **resumed)
    again = mixjax.fit_stream(KEY, batches, 2, **options, **resumed)
    assert_close(again, streamed, 1e-12)


@pytest.mark.parametrize("family", [mixjax.DiagonalGaussian, mixjax.Laplace])
def test_a_start_finds_groups_through_holes(family, small_blocks):
    """Also of rows in double precision far from zero, which are fitted in single."""
    rng = np.random.default_rng(9)
    x = clusters(rng, 240, 3, 2) + 1e6
    batches, rows, weights = wide(x, "holes and weights", rng)
    streamed = mixjax.fit_stream(KEY, batches, 2, family=family)
    in_memory = mixjax.fit(KEY, rows, 2, family=family, weights=weights)
    assert streamed.mixture.log_weights.dtype == "float32"
    assert abs(streamed.energy - in_memory.energy) < 0.02


def test_categories_come_in_batches_too(float64, small_blocks):
    rng = np.random.default_rng(10)
    x = clusters(rng, 240, 2, 2)
    x = np.column_stack([x, (x[:, 0] > x[:, 0].mean()) + rng.integers(0, 2, 240)])
    family = mixjax.product({mixjax.Gaussian: [0, 1], mixjax.Categorical: [2]})
    begin = mixjax.fit(KEY, x, 2, family=family, max_iter=0).mixture
    options = {"tol": 0.0, "max_iter": 5}
    streamed = mixjax.fit_stream(KEY, np.array_split(x, 5), 2, start=begin, **options)
    expected = mixjax.fit_from(begin, x, **options)
    np.testing.assert_allclose(streamed.energy, expected.energy, rtol=1e-9)
    started = mixjax.fit_stream(KEY, np.array_split(x, 5), 2, family=family)
    assert started.mixture.components.parts[1].levels == (3,)
    assert abs(started.energy - mixjax.fit(KEY, x, 2, family=family).energy) < 0.02
    with pytest.raises(ValueError, match="whole numbers from 0"):
        mixjax.fit_stream(KEY, [x + 0.5], 2, family=family)


def test_batches_of_several_kinds_are_refused():
    x = clusters(np.random.default_rng(11), 60, 2, 2)
    holes = mixjax.Observed(np.where(np.arange(2) == 1, np.nan, x))
    some = mixjax.Observed(x, np.ones(2))
    cases = [
        (ValueError, "batch 1 has 2 columns with holes, but", [x, holes]),
        (ValueError, "the columns 1 of batches have no value", [holes]),
        (ValueError, "weights must not be negative", [(x, -np.ones(60))]),
        (ValueError, r"weights must have shape \(60,\)", [(x, np.ones(59))]),
        (TypeError, "a floating weight for each", [(x, np.ones(60, int))]),
        (ValueError, "no value in a row with a weight", [(x, np.zeros(60))]),
        (TypeError, "Laplace takes no noise", [some]),
    ]
    for error, words, batches in cases:
        with pytest.raises(error, match=words):
            mixjax.fit_stream(KEY, batches, 2, family=mixjax.Laplace)
