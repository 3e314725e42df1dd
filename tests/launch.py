"""Programs of their own process, on as many simulated devices as they ask for."""

import os
import socket
import subprocess
import sys
import textwrap

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


JOINED = """
    n, rank, port = (int(word) for word in sys.argv[1:4])
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(f"127.0.0.1:{port}", num_processes=n, process_id=rank)
    assert jax.process_count() == n
    mesh = Mesh(np.array(jax.devices()), ("rows",))
"""


def environment(n_devices):
    flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count={n_devices}"
    return {**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}


def program(text):
    return [sys.executable, "-c", textwrap.dedent(COMMON) + textwrap.dedent(text)]


def joined(n, text, *words):
    """As many processes that talk to each other, under way; see `ended`."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = program(textwrap.dedent(JOINED) + textwrap.dedent(text))
    return [
        subprocess.Popen(
            [*command, str(n), str(rank), str(port), *map(str, words)],
            env=environment(1), stderr=subprocess.PIPE, text=True,
        )
        for rank in range(n)
    ]  # fmt: skip


def ended(processes):
    """Wait for them, all of which have to end well."""
    errors = [process.communicate(timeout=300)[1] for process in processes]
    for process, error in zip(processes, errors, strict=True):
        assert process.returncode == 0, error[-3000:]
