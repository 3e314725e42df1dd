"""`fit_stream` on a file larger than it may keep in memory: rows a second, and what it keeps.

    python benchmarks/stream.py --folder DIR           # a 10 GB file is made in DIR; five minutes
    python benchmarks/stream.py --folder DIR --gb 1
    python benchmarks/stream.py --smoke

In one process: a pass over the file, the same iteration in memory on a part of its rows, and
the file read without doing anything with it.
"""

import argparse
import json
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np

import mixjax
from mixjax.files import check_outputs, write_text
from mixjax.streaming.sources import batches_of, blocks_of, read_ahead
from mixjax.streaming.stream import BLOCK

D, K = 16, 16
PIECE = 2**20


def write(path: Path, n_rows: int) -> None:
    """Clusters of spread 3, a piece at a time."""
    centers = 3 * np.random.default_rng(0).normal(size=(K, D)).astype(np.float32)
    table = np.lib.format.open_memmap(path, "w+", np.float32, (n_rows, D))
    for first in range(0, n_rows, PIECE):
        rng = np.random.default_rng(first)
        n = min(PIECE, n_rows - first)
        rows = rng.standard_normal((n, D), np.float32)
        table[first : first + n] = rows + centers[rng.integers(K, size=n)]
    table.flush()


class Resident:
    """The largest resident set of this process while it is watched, in GB."""

    def __enter__(self) -> "Resident":
        self.peak = 0.0
        self.done = threading.Event()
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()
        return self

    def watch(self) -> None:
        while not self.done.wait(0.02):
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            self.peak = max(self.peak, pages * 4096 / 2**30)

    def __exit__(self, *_: object) -> None:
        self.done.set()
        self.thread.join()


def seconds_of(run: Any) -> float:
    begin = time.perf_counter()
    jax.block_until_ready(run())
    return time.perf_counter() - begin


def measure(path: Path, n_rows: int, n_in_memory: int) -> dict[str, Any]:
    """Times of a pass are differences of fits of 1 and of 3 iterations: no start, no survey."""
    key = jax.random.key(0)
    part = np.load(path, mmap_mode="r")[: BLOCK // D].copy()
    begin = mixjax.fit(key, part, K, max_iter=1).mixture

    def streamed(source: Any, max_iter: int) -> Any:
        return mixjax.fit_stream(key, source, K, start=begin, tol=0.0, max_iter=max_iter)

    streamed(part, 1)  # one block of the same length: compiles
    with Resident() as resident:
        short = seconds_of(lambda: streamed(path, 1))
        long = seconds_of(lambda: streamed(path, 3))
    a_pass = (long - short) / 2

    def read() -> int:
        blocks = blocks_of(batches_of(path), BLOCK // D, D, np.dtype("float32"))
        with read_ahead(blocks) as taken:
            return sum(block.n for block in taken)

    reading = seconds_of(read)
    rows = np.load(path, mmap_mode="r")[:n_in_memory].copy()

    def in_memory(max_iter: int) -> Any:
        return mixjax.fit_from(begin, rows, tol=0.0, max_iter=max_iter)

    in_memory(1)
    each = [
        (seconds_of(lambda: in_memory(8)) - seconds_of(lambda: in_memory(2))) / 6 for _ in range(5)
    ]
    memory_rate = n_in_memory / statistics.median(each)
    rate, reading_rate = n_rows / a_pass, n_rows / reading
    return {
        "gb": n_rows * D * 4 / 1e9, "rows": n_rows, "seconds_a_pass": a_pass,
        "rows_a_second": rate, "in_memory_rows_a_second": memory_rate,
        "reading_rows_a_second": reading_rate, "peak_gb": resident.peak,
        "share_of_the_lower": rate / min(memory_rate, reading_rate),
        "whole_fit_of_3_iterations_s": long,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--smoke", action="store_true", help="ten megabytes")
    parser.add_argument("--folder", type=Path, help="where the file is made; it is removed again")
    parser.add_argument("--gb", type=float, default=10.0)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    check_outputs({"--json": args.json})
    n_rows = round((0.01 if args.smoke else args.gb) * 1e9 / (4 * D))
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        path = Path(folder, "rows.npy")
        write(path, n_rows)
        row = measure(path, n_rows, min(n_rows, 2_000_000))
    print(
        f"{row['gb']:.2f} GB, {row['rows']:,} rows of {D} columns, K={K}: {row['rows_a_second'] / 1e6:.2f} "
        f"million rows a second ({row['seconds_a_pass']:.1f} s a pass); in memory "
        f"{row['in_memory_rows_a_second'] / 1e6:.2f}, only reading {row['reading_rows_a_second'] / 1e6:.2f}: "
        f"{100 * row['share_of_the_lower']:.0f} % of the lower; peak {row['peak_gb']:.2f} GB resident"
    )
    if args.json:
        write_text(args.json, json.dumps(row, indent=2))


if __name__ == "__main__":
    main()
