"""The table of a file or a stream of any supported kind."""

import gzip
import io
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from . import arrays, arrow, excel
from .columns import Column, Columns
from .delimited import ALONE, Delimited, delimited
from .header import index_of, is_header
from .options import Reading
from .typed import typed

READ = ".csv, .tsv, .parquet, .xlsx, .npz and .npy, also with .gz"
# The number of lines that are used to decide whether the first holds names.
SAMPLE = 1000


def read_columns(path: Path, how: Reading = Reading()) -> Columns:  # noqa: B008 - frozen
    """Read a file of any supported kind.

    Args:
      path: the file. An ``.npz`` holds one array of two axes; a CSV may have a header.
      how: the format of the table, as far as it is known.

    Returns:
      The columns; without names they are called 0, 1, ...

    Raises:
      ValueError: the file cannot be read as a table; the message says what was found.
    """
    if path.is_dir():
        raise ValueError(f"{path} is a folder: choose a file in it")
    if not path.exists():
        raise ValueError(f"there is no file {path}")
    kinds = [suffix.lower() for suffix in path.suffixes]
    packed = kinds[-1:] == [".gz"]
    kind = (kinds[:-1] or [".csv"])[-1] if packed else "".join(kinds[-1:])
    if kind not in READERS:
        raise ValueError(f"{path.name}: cannot read {kind or 'a file without suffix'}; use {READ}")
    with path.open("rb") as file:
        return READERS[kind](_unpacked(file, path.name) if packed else file, path.name, how)


def read_stream(stream: BinaryIO | None, source: str, how: Reading) -> Columns:
    """Read a table of any supported kind, recognized by its first bytes."""
    if stream is None:
        raise ValueError(f"{source} is closed: use a file or an open input")
    content = io.BytesIO(stream.read())
    start = content.getvalue()[:8]
    if start.startswith(b"\x1f\x8b"):
        content = _unpacked(content, source)
        start = content.getvalue()[:8]
    known = {b"PK\x03\x04": ".npz", b"\x93NUMPY": ".npy", b"PAR1": ".parquet"}
    kind = next((end for mark, end in known.items() if start.startswith(mark)), ".csv")
    if kind == ".npz" and zipfile.is_zipfile(content):
        with zipfile.ZipFile(content) as archive:
            kind = ".xlsx" if "[Content_Types].xml" in archive.namelist() else kind
    content.seek(0)
    return READERS[kind](content, source, how)


def _unpacked(file: BinaryIO, source: str) -> io.BytesIO:
    try:
        return io.BytesIO(gzip.decompress(file.read()))
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{source} cannot be unpacked as .gz: {error}") from error


def _csv(file: BinaryIO, source: str, how: Reading) -> Columns:
    return _of_cells(delimited(file.read(), source, how.encoding), source, how)


def _tsv(file: BinaryIO, source: str, how: Reading) -> Columns:
    return _of_cells(delimited(file.read(), source, how.encoding, "\t"), source, how)


def _xlsx(file: BinaryIO, source: str, how: Reading) -> Columns:
    columns, notes = excel.cells_of(file, source)
    return _of_cells(Delimited(columns, ALONE, [], False, notes), source, how)


def _of_cells(found: Delimited, source: str, how: Reading) -> Columns:
    """The table from cells of text."""
    cells, notes = found.columns, list(found.notes)
    first = [column[0].as_py().strip() for column in cells]
    header, word = how.header, ""
    if header is None and found.extra:
        header = True
    if header is None:
        body = [column[1 : SAMPLE + 1].to_pylist() for column in cells]
        header, word = is_header(first, body, how.names)
        if (word or not header) and len(found.above) == len(first) > 1:
            word = "the comment above the table is read as names (--no-header: ignored)"
            first, header = [cell.strip() for cell in found.above], True
            cells = [pa.concat_arrays([column[:1], column]) for column in cells]
    if word:
        notes.append(word)
    if header:
        cells = [column[1:] for column in cells]
    names = first if header else list(map(str, range(len(first))))
    if len(cells[0]) == 0:
        raise ValueError(f"{source} has a header but no rows")
    kept = dict(zip(range(len(names)), cells, strict=True))
    while kept and header and not names[max(kept)] and _is_empty(kept[max(kept)]):
        kept.popitem()  # every line ends with a separator
    if not kept:
        raise ValueError(f"{source} is empty: all its cells are empty")
    names = [name or _unnamed(i) for i, name in enumerate(names) if i in kept]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(
            f"{source}: several columns have the name {', '.join(map(repr, repeated[:5]))}: "
            "rename them, or remove the first line and use --no-header"
        )
    columns = dict(zip(names, kept.values(), strict=True))
    numbers, words = typed(columns, found.separator, how.decimal, source)
    index = index_of(names, [numbers[name] for name in names]) - how.names
    if header and not first[0]:
        index |= {names[0]} - how.names
    if len(index) == len(names):
        index = set()
    values = {name: Column(numbers[name], column) for name, column in columns.items()}
    return Columns(source, values, {}, frozenset(index), (*notes, *words))


def _unnamed(place: int) -> str:
    return f"Unnamed: {place}"


def _is_empty(column: pa.Array) -> bool:
    return not any(cell.strip() for cell in column.to_pylist())


def _checked(reader: Callable[[BinaryIO, str], Columns]) -> Callable[..., Columns]:
    """A reader without options that raises if the table is empty."""

    def read(file: BinaryIO, source: str, how: Reading) -> Columns:
        table = reader(file, source)
        lengths = {column.n for column in table.values.values()}
        if lengths in (set(), {0}):
            raise ValueError(f"{source} is empty: it has no {'rows' if lengths else 'columns'}")
        names = list(table.values)
        index = index_of(names, [column.numbers for column in table.values.values()])
        if all(map(str.isdigit, names)) or len(index) == len(names):
            index = set()
        return table._replace(counting=frozenset((index | table.counting) - how.names))

    return read


READERS: dict[str, Callable[[BinaryIO, str, Reading], Columns]] = {
    ".csv": _csv,
    ".tsv": _tsv,
    ".tab": _tsv,
    ".xlsx": _xlsx,
    ".parquet": _checked(arrow.parquet),
    ".npz": _checked(arrays.npz),
    ".npy": _checked(arrays.npy),
}
