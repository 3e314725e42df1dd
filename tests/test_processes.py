"""Real processes that talk over the network: the fit of one, and what happens when one dies."""

import os
import signal
import textwrap
import time

import jax
import numpy as np
from launch import COMMON, ended, joined

import mixjax

FITS = """
    dtype, out = sys.argv[4], sys.argv[5]
    jax.config.update("jax_enable_x64", dtype == "float64")
    x = table(2000, dtype)
    key, options = jax.random.key(0), {"tol": 0.0, "max_iter": 5}

    def spread(own):  # each has its own rows, and never sees those of the others
        return jax.make_array_from_process_local_data(NamedSharding(mesh, P("rows", None)), own)

    own = np.split(x, n)[rank]
    fit = mixjax.fit(key, spread(own), 2, **options)
    energy = mixjax.energy(jax.tree.map(np.asarray, fit.mixture), spread(own))
    energy = np.concatenate([np.asarray(s.data) for s in energy.addressable_shards])
    parts = lambda: (spread(part) for part in np.split(own, [100, 130]))
    arrays = mixjax.fit_stream(key, parts, 2, **options)
    uneven = np.split(x, [10 * i for i in range(1, n)])[rank]  # nearly all rows are the last one's
    rows = mixjax.fit_stream(key, [uneven], 2, mesh=mesh, **options)
    trees = {"fit": fit, "stream of arrays": arrays, "stream of rows": rows}
    leaves = {f"{name} {i}": np.asarray(leaf) for name, tree in trees.items()
              for i, leaf in enumerate(jax.tree.leaves(tree))}
    np.savez(f"{out}/{rank}.npz", energy=energy, **leaves)

    def refused(error, word, source):
        try:
            mixjax.fit_stream(key, source, 2, mesh=mesh, **options)
        except error as caught:
            assert word in str(caught), caught
        else:
            raise AssertionError("not refused")

    bad = own.copy()
    bad[7, 1] = np.nan
    if rank == 1:
        refused(ValueError, "row 7", [bad])
    else:
        refused(RuntimeError, "failed in process 1", [own])
    refused(ValueError, "rows of different forms", [own[:, : 2 + (rank == 0)]])
    refused(ValueError, "the stream is empty", [])
    # An empty process and a wider mesh than rows: nothing hangs.
    few = mixjax.fit_stream(key, [own] if rank == 0 else [], 2, mesh=mesh, **options)
    assert few.n_iter == 5
"""


def test_processes_give_what_one_gives(tmp_path):
    """In double precision, where it can be asked to ten digits."""
    n, dtype, bound = 2, "float64", 1e-10
    ended(joined(n, FITS, dtype, tmp_path))
    saved = [np.load(tmp_path / f"{rank}.npz") for rank in range(n)]
    for name in saved[0].files:
        for other in saved[1:]:
            if name != "energy":
                np.testing.assert_array_equal(saved[0][name], other[name])
    names = {}
    exec(textwrap.dedent(COMMON), names)
    with jax.enable_x64(dtype == "float64"):
        x = names["table"](2000, dtype)
        fit = mixjax.fit(jax.random.key(0), x, 2, tol=0.0, max_iter=5)
        energy = np.asarray(mixjax.energy(fit.mixture, x))
        leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(fit)]
    for name in ("fit", "stream of arrays", "stream of rows"):
        for i, leaf in enumerate(leaves):
            atol = bound * max(1, np.abs(leaf).max())
            np.testing.assert_allclose(saved[0][f"{name} {i}"], leaf, atol=atol, err_msg=name)
    together = np.concatenate([file["energy"] for file in saved])
    np.testing.assert_allclose(together, energy, atol=10 * bound)


INTERRUPTED = """
    import time
    from mixjax.streaming import stream
    stream.BLOCK = 200
    checkpoint, out, pause = sys.argv[4:7]
    own = np.split(table(1200, "float32"), [500] if n == 2 else [])[rank]

    def batches():
        for part in np.array_split(own, 8):
            time.sleep(float(pause))
            yield part

    fit = mixjax.fit_stream(jax.random.key(0), batches, 3, tol=0.0, max_iter=12, mesh=mesh,
                            checkpoint=checkpoint, checkpoint_seconds=0.0)
    np.savez(f"{out}.{rank}.npz", *[np.asarray(leaf) for leaf in jax.tree.leaves(fit)])
"""


def same(a, b):
    with np.load(a) as a, np.load(b) as b:
        assert a.files == b.files
        for name in a.files:
            np.testing.assert_array_equal(a[name], b[name])


def test_the_others_can_be_started_again_when_one_is_killed(tmp_path):
    whole, out, path = tmp_path / "whole", tmp_path / "out", tmp_path / "fit.ckpt"
    ended(joined(2, INTERRUPTED, tmp_path / "whole.ckpt", whole, 0))
    processes = joined(2, INTERRUPTED, path, out, 0.02)
    begin, written = time.monotonic(), set()
    other = tmp_path / "fit.ckpt.1"
    while len(written) < 25:  # several passes, and somewhere inside one
        assert processes[1].poll() is None, processes[1].communicate()[1][-3000:]
        assert time.monotonic() - begin < 120
        if other.exists():
            written.add(other.stat().st_mtime_ns)
        time.sleep(0.002)
    os.kill(processes[1].pid, signal.SIGKILL)
    for process in processes:  # the first one cannot go on alone: it ends, or it is ended
        time.sleep(1)
        process.kill()
        process.communicate()
    assert not (tmp_path / "out.0.npz").exists()
    kept = {file: file.read_bytes() for file in (path, other)}

    ended(joined(2, INTERRUPTED, path, out, 0))
    same(f"{whole}.0.npz", f"{out}.0.npz")
    same(f"{out}.0.npz", f"{out}.1.npz")

    # The disk of the dead one is lost: it begins its part of the iteration again.
    path.write_bytes(kept[path])
    other.unlink()
    ended(joined(2, INTERRUPTED, path, out, 0))
    same(f"{whole}.0.npz", f"{out}.0.npz")

    # One takes over all rows.
    path.write_bytes(kept[path])
    ended(joined(1, INTERRUPTED, path, out, 0))
    with np.load(f"{whole}.0.npz") as a, np.load(f"{out}.0.npz") as b:
        for name in a.files:
            np.testing.assert_allclose(a[name], b[name], rtol=1e-4, atol=1e-4)
