"""EM on rows that are spread over devices and processes: rows a second, and what is sent.

    python benchmarks/scale.py             # 1 and 2 devices, 1 and 2 processes: five minutes
    python benchmarks/scale.py --smoke

Each setting runs in processes of its own. A device is one core here, simulated by XLA and kept
from the others' by its affinity, so "2 devices" on two cores is what a second machine would add.
Strong scaling: the same rows for all; weak: the same rows for each device.
"""

import argparse
import json
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

D, K = 16, 16


def work(n_processes: int, index: int, port: int, n_rows: int) -> None:
    """One process of a setting: its own rows, the time of an iteration, what is sent."""
    import jax
    import jax.numpy as jnp
    import numpy as np
    from jax.sharding import Mesh, NamedSharding
    from jax.sharding import PartitionSpec as P

    import mixjax

    if n_processes > 1:
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        jax.distributed.initialize(f"127.0.0.1:{port}", num_processes=n_processes, process_id=index)
    mesh = Mesh(np.array(jax.devices()), ("rows",))
    rng = np.random.default_rng(index)
    centers = 3 * np.random.default_rng(0).normal(size=(K, D))
    own = n_rows // n_processes
    rows = (centers[rng.integers(K, size=own)] + rng.normal(size=(own, D))).astype(np.float32)
    x = jax.make_array_from_process_local_data(NamedSharding(mesh, P("rows", None)), rows)
    components = mixjax.Gaussian(
        jnp.asarray(centers + 0.3, jnp.float32), jnp.broadcast_to(jnp.eye(D), (K, D, D))
    )
    begin = mixjax.Mixture(jnp.full(K, -np.log(K), jnp.float32), components)

    def run(max_iter: int) -> float:
        start = time.perf_counter()
        jax.block_until_ready(mixjax.fit_from(begin, x, tol=0.0, max_iter=max_iter))
        return time.perf_counter() - start

    run(1)
    times = sorted((run(11) - run(1)) / 10 for _ in range(5))
    if index == 0:
        print(json.dumps({"seconds": times[2], "all_reduce_bytes": sent(begin, x)}))


def sent(begin: Any, x: Any) -> int:
    """Bytes of the all-reduce of an iteration, from the compiled text; 0 on one device."""
    from mixjax import EM
    from mixjax.fitting.on_mesh import _fit_shards_from
    from mixjax.rows.sharded import _on_host, _reduced, row_mesh

    where = row_mesh(x)
    if where is None:
        return 0
    leaves, structure = _on_host((begin, EM(), 0.0, 5))
    text = (
        _reduced(_fit_shards_from, 0, where, structure).lower(leaves, x, None).compile().as_text()
    )
    return 4 * max(int(n) for n in re.findall(r"= f32\[(\d+)\]\S* all-reduce", text))


def setting(n_devices: int, n_processes: int, n_rows: int) -> dict[str, Any]:
    """Rows a second of so many processes with so many devices each."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    cores = sorted(os.sched_getaffinity(0))
    running = []
    for i in range(n_processes):
        mine = [cores[(i * n_devices + j) % len(cores)] for j in range(n_devices)]
        flags = (
            f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={n_devices}"
        )
        command = [sys.executable, __file__, "--work", *map(str, (n_processes, i, port, n_rows))]
        running.append(
            subprocess.Popen(
                command, env={**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"},
                stdout=subprocess.PIPE, text=True,
                preexec_fn=lambda mine=mine: os.sched_setaffinity(0, mine),
            )
        )  # fmt: skip
    outputs = [process.communicate()[0] for process in running]
    if any(process.returncode for process in running):
        raise SystemExit("a process of the benchmark failed")
    row = json.loads(outputs[0].splitlines()[-1])  # Gloo has its word first
    about = {"devices": n_devices, "processes": n_processes, "rows": n_rows}
    return {**about, **row, "rows_a_second": n_rows / row["seconds"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", nargs=4, type=int, help=argparse.SUPPRESS)
    parser.add_argument("--smoke", action="store_true", help="few rows")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    if args.work:
        work(*args.work)
        return
    from mixjax.files import check_outputs, write_text

    check_outputs({"--json": args.json})
    base = 20_000 if args.smoke else 1_000_000
    rows = []
    for kind, settings in {
        "strong": [(1, 1, base), (2, 1, base), (1, 2, base)],
        "weak": [(2, 1, 2 * base), (1, 2, 2 * base)],
    }.items():
        for n_devices, n_processes, n_rows in settings:
            rows.append({"scaling": kind, **setting(n_devices, n_processes, n_rows)})
    one = rows[0]["rows_a_second"]
    print(f"{D} columns, K={K}, full covariances, float32:\n")
    print(
        "| scaling | processes × devices | rows | ms an iteration | million rows a second | of one | all-reduce, bytes |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for row in rows:
        print(
            f"| {row['scaling']} | {row['processes']} × {row['devices']} | {row['rows']:,} "
            f"| {1e3 * row['seconds']:.1f} | {row['rows_a_second'] / 1e6:.2f} "
            f"| {row['rows_a_second'] / one:.2f} | {row['all_reduce_bytes']:,} |"
        )
    if args.json:
        write_text(args.json, json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
