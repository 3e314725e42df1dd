"""Sources of a stream, read as batches of rows, and batches cut into even blocks."""

import contextlib
import mmap
import os
import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh

from .. import checks
from ..files import mapped_npy
from ..rows.frames import is_frame, rows_of
from ..rows.observed import Observed
from ..rows.sharded import row_mesh
from .form import Form, written

# Numbers read from a file at a time.
PIECE = 2**20
Batches = Callable[[], Iterator[np.ndarray]]


Written = tuple[np.ndarray, Form]
Begin = Callable[[], Iterator[Written]]


class Source:
    """Any source that `fit_stream` takes; each call starts a pass over its wide rows.

    Attributes:
      form: what the rows are; None until the first batch is read.
    """

    def __init__(self, begin: Begin) -> None:
        self.begin = begin
        self.form: Form | None = None

    def __call__(self) -> Iterator[np.ndarray]:
        """The batches (n_i, W) of a pass."""
        for i, (rows, form) in enumerate(self.begin()):
            if self.form is None:
                self.form = form
            if form != self.form:
                raise ValueError(
                    f"batch {i} has {form}, but those before it have {self.form}: "
                    "all batches must be alike"
                )
            yield rows


def batches_of(source: Any) -> Source:
    """A function that starts a pass over the batches of any source that `fit_stream` takes."""
    return Source(_begin(source))


def _begin(source: Any) -> Begin:
    if isinstance(source, str | os.PathLike):
        return _of_path(Path(source))
    if isinstance(source, Observed):
        return lambda: iter([written(source, None, "batches")])
    if is_frame(source):
        source = rows_of(source, "batches")[0]
    if isinstance(source, np.ndarray):
        return lambda: _pieces(source)
    if callable(source):
        begin = source
    elif isinstance(source, Iterator):
        raise TypeError(
            f"batches is a {type(source).__name__}, which can be read only once, but EM needs "
            "one pass for each iteration: pass the function that makes it, not its result"
        )
    elif isinstance(source, Iterable):
        begin = source.__iter__
    else:
        raise TypeError(
            "batches must be a function that returns an iterator, an iterable that can be read "
            "again, an array, or the path of a file or folder, got "
            f"{type(source).__name__}"
        )
    return lambda: (_rows_of(batch, i) for i, batch in enumerate(begin()))


def mesh_of(source: Any) -> Mesh | None:
    """The mesh over which the first batch is spread, or None."""
    plain = str | os.PathLike | np.ndarray | Iterator | Observed
    if isinstance(source, plain) or jax.device_count() == 1:
        return None
    if not (callable(source) or isinstance(source, Iterable)):
        return None
    first = next(iter(source() if callable(source) else source), None)
    where = row_mesh(first) if isinstance(first, jax.Array) else None
    return None if where is None else where.mesh


class Block(NamedTuple):
    """A block of fixed length; only its first ``n`` rows count."""

    rows: np.ndarray
    n: int


def blocks_of(
    batches: Batches, length: int, width: int, dtype: Any, origin: np.ndarray | None = None
) -> Iterator[Block]:
    """The rows of all batches minus the origin (D,), cut into blocks of one length."""
    rows, n = np.empty((length, width), dtype), 0
    for batch in batches():
        taken = 0
        while taken < len(batch):
            some = min(length - n, len(batch) - taken)
            own = batch[taken : taken + some]
            # Far from zero, a difference in double precision keeps the digits that matter.
            rows[n : n + some] = own if origin is None else own - origin.astype(np.float64)
            n, taken = n + some, taken + some
            if n == length:
                yield Block(rows, n)
                rows, n = np.empty((length, width), dtype), 0  # the last array is still in use
    if n:
        rows[n:] = 0
        yield Block(rows, n)


@contextlib.contextmanager
def read_ahead(items: Iterable[Any], most: int = 2) -> Iterator[Iterator[Any]]:
    """The items, read by a thread while the caller works on earlier ones."""
    waiting: queue.Queue[tuple[Any, BaseException | None]] = queue.Queue(most)
    stopped = threading.Event()
    end = object()

    def hand_over(item: Any, error: BaseException | None = None) -> None:
        while not stopped.is_set():
            with contextlib.suppress(queue.Full):
                return waiting.put((item, error), timeout=0.1)

    def read() -> None:
        try:
            for item in items:
                hand_over(item)
                if stopped.is_set():
                    return
        except BaseException as error:  # raised again where the items are taken
            hand_over(end, error)
        else:
            hand_over(end)

    def taken() -> Iterator[Any]:
        while True:
            item, error = waiting.get()
            if error is not None:
                raise error
            if item is end:
                return
            yield item

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    try:
        yield taken()
    finally:
        stopped.set()
        thread.join(timeout=5)  # it may be waiting for a source that does not answer


def files_of(source: Any) -> list[Path]:
    """The files that a source names."""
    if isinstance(source, np.memmap):
        return [] if source.filename is None else [Path(source.filename)]
    return _files(Path(source)) if isinstance(source, str | os.PathLike) else []


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        files = sorted(path.glob("*.npy")) or sorted(path.glob("*.parquet"))
        if not files:
            raise ValueError(f"there are no .npy or .parquet files in {path}")
    elif path.exists():
        files = [path]
    else:
        raise FileNotFoundError(f"no file or folder at {path}")
    for file in files:
        if file.suffix not in (".npy", ".parquet"):
            raise ValueError(f"a stream must be .npy or .parquet files, got {file.name}")
    return files


def _of_path(path: Path) -> Begin:
    files = _files(path)
    if files[0].suffix == ".parquet":
        _pyarrow()

    def begin() -> Iterator[Written]:
        for file in files:
            if file.suffix == ".parquet":
                yield from _row_groups(file)
            else:
                yield from _pieces(mapped_npy(file), file.name)

    return begin


def _row_groups(file: Path) -> Iterator[Written]:
    parquet = _pyarrow().ParquetFile(file)
    for i in range(parquet.num_row_groups):
        group = parquet.read_row_group(i)
        yield _rows_of({name: group[name].to_numpy() for name in group.column_names}, i)


def _pyarrow() -> Any:
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise ImportError("Parquet files need pyarrow: pip install 'mixjax[stream]'") from error
    return pyarrow.parquet


def _pieces(table: np.ndarray, name: str = "batches") -> Iterator[Written]:
    """A table in pieces; pieces of a file that were read are not kept in memory."""
    if table.ndim != 2 or table.shape[1] == 0:
        raise ValueError(f"{name} must have shape (rows, columns), got {table.shape}")
    length = max(1, PIECE // table.shape[1])
    mapped = getattr(table, "_mmap", None)
    for first in range(0, len(table), length):
        yield written(table[first : first + length], None, name)
        if mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
            mapped.madvise(mmap.MADV_DONTNEED)


def _rows_of(batch: Any, number: int) -> Written:
    """One batch from an item of a loader.

    It is an array, a tensor, [x], columns by name, `mixjax.Observed` rows, or one of these and
    weights.
    """
    name, weights = f"batch {number}", None
    if isinstance(batch, tuple) and len(batch) == 2 and _are_weights(batch[1]):
        batch, weights = batch
    if isinstance(batch, Mapping):
        columns = [_column(column, f"{name}, {key!r}") for key, column in batch.items()]
        batch = np.column_stack(columns)
    elif isinstance(batch, list | tuple):
        if len(batch) != 1 or not (isinstance(batch[0], Observed) or np.ndim(batch[0]) == 2):
            raise TypeError(
                f"{name} is a {type(batch).__name__} of {len(batch)} items: pass only the rows, "
                "for example lambda: (x for x, labels in loader), or a tuple of the rows and a "
                "floating weight for each"
            )
        batch = batch[0]
    if isinstance(batch, jax.Array) and not batch.is_fully_addressable:
        if weights is not None:
            raise TypeError(f"{name} has weights, but its rows are spread over processes")
        batch = _own_rows(batch)
    return written(batch, weights, name)


def _own_rows(batch: jax.Array) -> np.ndarray:
    """The rows of this process; rows that several processes hold belong to the first."""
    row_mesh(batch)  # raises if columns are spread
    shards = [shard for shard in batch.addressable_shards if shard.replica_id == 0]
    shards.sort(key=lambda shard: shard.index[0].start or 0)
    rows = [np.asarray(shard.data) for shard in shards]
    return np.concatenate(rows) if rows else np.empty((0, *batch.shape[1:]), batch.dtype)


def _are_weights(values: Any) -> bool:
    """Whether these are floats, one a row; whole numbers may be labels, which loaders give."""
    return np.ndim(values) == 1 and np.asarray(values).dtype.kind == "f"


def _column(values: Any, name: str) -> np.ndarray:
    column = np.asarray(rows_of(values, name)[0])
    checks.floating(column.dtype, name)
    return column
