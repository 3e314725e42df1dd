"""Rows spread over devices and processes: the fit of one device, and one all-reduce."""

import os
import socket
import subprocess
import sys
import textwrap

import numpy as np
import pytest

COMMON = """
    import re, sys
    import jax, jax.numpy as jnp, numpy as np
    from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
    import mixjax

    def table(n, dtype):
        rng = np.random.default_rng(0)
        x = rng.normal(size=(n, 3)) @ rng.normal(size=(3, 3)) + 5 * rng.integers(0, 2, (n, 1))
        return x.astype(dtype)

    def far(a, b):
        leaves = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
        return max(np.abs(np.asarray(u) - np.asarray(v)).max() / max(np.abs(np.asarray(v)).max(), 1) for u, v in leaves)
"""

ONE_PROCESS = """
    dtype, bound = ("float64", 1e-10) if sys.argv[1] == "float64" else ("float32", 1e-5)
    jax.config.update("jax_enable_x64", dtype == "float64")
    mesh = Mesh(np.array(jax.devices()).reshape(4, 2), ("hosts", "cores"))
    x = table(4000, dtype)
    weights = np.random.default_rng(1).uniform(0.1, 2, 4000).astype(dtype)
    weights[5] = 0
    key, options = jax.random.key(0), {"tol": 0.0, "max_iter": 5}
    both = P(("hosts", "cores"), None)
    for spec, family, w in (
        (both, mixjax.Gaussian, weights),
        (P("hosts"), mixjax.TiedGaussian, None),
        (both, mixjax.DiagonalGaussian, None),
    ):
        xs = jax.device_put(x, NamedSharding(mesh, spec))
        spread = mixjax.fit(key, xs, 2, family=family, weights=w, **options)
        alone = mixjax.fit(key, x, 2, family=family, weights=w, **options)
        assert far(spread, alone) < bound, (family, spec, far(spread, alone))
    begin = alone.mixture
    fits, energies = mixjax.fit_history(begin, xs, tol=0.0, max_iter=3)
    expected = mixjax.fit_history(begin, x, tol=0.0, max_iter=3)
    assert far((fits, energies), expected) < bound
    assert far(mixjax.energy(begin, xs), mixjax.energy(begin, x)) < bound
    r = mixjax.responsibilities(begin, xs)
    assert far(r, mixjax.responsibilities(begin, x)) < 10 * bound
    assert r.sharding.spec[0] == spec[0]
    restarts = {"n_init": 2, "start": mixjax.random_responsibilities, **options}
    best, alone = mixjax.fit(key, xs, 2, **restarts), mixjax.fit(key, x, 2, **restarts)
    assert far(best, alone) < 10 * bound
    laplace = [mixjax.fit(key, xs, 2, family=mixjax.Laplace, tol=0.0, max_iter=n) for n in (0, 9)]
    assert laplace[1].energy < laplace[0].energy

    # What goes between devices, in the compiled text.
    from mixjax.fit import _fit_shards_from
    from mixjax.sharded import _on_host, _reduced, row_mesh

    def between_devices(n):
        xs = jax.device_put(table(n, dtype), NamedSharding(mesh, P(("hosts", "cores"))))
        leaves, structure = _on_host((begin, mixjax.EM(), 0.0, 5))
        program = _reduced(_fit_shards_from, 0, row_mesh(xs), structure)
        text = program.lower(leaves, xs, None).compile().as_text()
        blocks = re.split(r"\\n(?=%|ENTRY)", text)
        named = {re.match(r"(?:ENTRY )?(%[\\w.\\-]+)", b).group(1): b for b in blocks if re.match(r"(?:ENTRY )?%", b)}

        def reached(name):
            found = {name}
            for other in re.findall(r"(?:body|condition|calls|to_apply)=(%[\\w.\\-]+)", named[name]):
                found |= reached(other)
            return found

        verbs = "all-gather|all-to-all|collective-permute|reduce-scatter|collective-broadcast"
        assert not re.search(rf"= \\S+ ({verbs})", text)
        sizes = {}
        for name in named:
            for body in re.findall(r"while\\(.*body=(%[\\w.\\-]+)", named[name]):
                inside = "".join(named[other] for other in reached(body))
                shapes = re.findall(r"= \\w+\\[([\\d,]*)\\]\\S* all-reduce", inside)
                if shapes:
                    sizes[body] = [int(np.prod([int(v) for v in s.split(",") if v])) for s in shapes]
        return list(sizes.values())

    k, d = begin.n_components, begin.n_features
    family = type(begin.components)
    statistics = jax.tree.leaves(jax.eval_shape(begin.components.statistics, x[:2], np.ones((2, k), dtype)))
    one = 1 + sum(leaf.size for leaf in statistics)  # and the energy
    for n in (800, 8000):
        assert between_devices(n) == [[one]], (between_devices(n), one)

    for bad, error, word in (
        (P(None, "hosts"), ValueError, "keep its columns together"),
    ):
        try:
            mixjax.fit(key, jax.device_put(np.ones((8, 4), dtype), NamedSharding(mesh, bad)), 2)
        except error as caught:
            assert word in str(caught), caught
        else:
            raise AssertionError("not refused")
    import optax
    try:
        mixjax.fit(key, xs, 2, solver=mixjax.Gradient(optax.adam(1e-2)))
    except TypeError as caught:
        assert "fitted by mixjax.EM" in str(caught)
    else:
        raise AssertionError("not refused")
    same = mixjax.fit(key, jax.device_put(x, NamedSharding(mesh, P())), 2, max_iter=1)
    assert far(same, mixjax.fit(key, x, 2, max_iter=1)) < bound
    nan = x.copy()
    nan[3900, 1] = np.nan
    status = mixjax.fit(key, jax.device_put(nan, NamedSharding(mesh, P("hosts"))), 2).status
    assert status == mixjax.Status.NONFINITE
"""

SEVERAL_PROCESSES = """
    n, i, port, out = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(f"127.0.0.1:{port}", num_processes=n, process_id=i)
    assert jax.process_count() == n
    mesh = Mesh(np.array(jax.devices()), ("rows",))
    x = table(2000, "float32")
    own = np.split(x, n)[i]  # each has its own rows, and never sees those of the others
    xs = jax.make_array_from_process_local_data(NamedSharding(mesh, P("rows", None)), own)
    fit = mixjax.fit(jax.random.key(0), xs, 2, tol=0.0, max_iter=5)
    energy = mixjax.energy(jax.tree.map(np.asarray, fit.mixture), xs)
    mine = np.concatenate([np.asarray(s.data) for s in energy.addressable_shards])
    np.savez(out, mine, *[np.asarray(leaf) for leaf in jax.tree.leaves(fit)])
"""


def environment(n_devices):
    flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count={n_devices}"
    return {**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}


def program(text):
    return [sys.executable, "-c", textwrap.dedent(COMMON) + textwrap.dedent(text)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_eight_devices_give_what_one_gives(dtype):
    command = [*program(ONE_PROCESS), dtype]
    done = subprocess.run(command, env=environment(8), capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-3000:]


def alone():
    import jax

    import mixjax

    names = {}
    exec(textwrap.dedent(COMMON), names)
    x = names["table"](2000, "float32")
    fit = mixjax.fit(jax.random.key(0), x, 2, tol=0.0, max_iter=5)
    return fit, np.asarray(mixjax.energy(fit.mixture, x))


@pytest.mark.parametrize("n", [2, 4])
def test_processes_that_talk_over_the_network_give_what_one_gives(n, tmp_path):
    import jax

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = program(SEVERAL_PROCESSES)
    outs = [tmp_path / f"{i}.npz" for i in range(n)]
    processes = [
        subprocess.Popen(
            [*command, str(n), str(i), str(port), str(outs[i])], env=environment(1),
            stderr=subprocess.PIPE, text=True,
        )
        for i in range(n)
    ]  # fmt: skip
    errors = [process.communicate(timeout=300)[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * n, errors[0][-3000:]
    fit, energy = alone()
    saved = [np.load(out) for out in outs]
    for name in saved[0].files[1:]:
        for other in saved[1:]:
            np.testing.assert_array_equal(saved[0][name], other[name])
    expected = [np.asarray(leaf) for leaf in jax.tree.leaves(fit)]
    for name, leaf in zip(saved[0].files[1:], expected, strict=True):
        np.testing.assert_allclose(saved[0][name], leaf, atol=1e-5 * max(1, np.abs(leaf).max()))
    together = np.concatenate([file[file.files[0]] for file in saved])
    np.testing.assert_allclose(together, energy, atol=1e-4)
