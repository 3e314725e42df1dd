"""NumPy files; the sizes in their headers are checked before anything is read."""

import io
import math
import os
import zipfile
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from .outputs import printable

HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
    (3, 0): np.lib.format.read_array_header_2_0,  # differs only in the encoding of names
}
PLAIN = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class Claim(NamedTuple):
    """The header of an ``.npy`` file.

    Attributes:
      shape: of the array.
      dtype: of the array.
      n_bytes: the size of the array.
      start: the position of the array in the file.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    n_bytes: int
    start: int

    @property
    def as_numbers(self) -> int:
        """The size of the array as float64."""
        return max(self.n_bytes, 8 * math.prod(self.shape))


def read_npy(file: BinaryIO) -> np.ndarray:
    """The array of an ``.npy`` file; `ValueError` if it is damaged or claims too much."""
    file = _seekable(file)
    try:
        _require(claim_of(file, _size(file)).as_numbers, _memory())
        file.seek(0)
        return np.asarray(np.lib.format.read_array(file, allow_pickle=False))
    except Exception as error:  # damaged files raise many kinds of errors
        raise ValueError(_reason(error)) from error


def mapped_npy(path: Path) -> np.ndarray:
    """The array of an ``.npy`` file as a memory map; `ValueError` if it is damaged."""
    with path.open("rb") as file:
        try:
            claim_of(file, _size(file))
        except Exception as error:
            raise ValueError(f"{printable(path.name)} is damaged: {_reason(error)}") from error
    return np.asanyarray(np.load(path, mmap_mode="r", allow_pickle=False))


def read_npz(file: BinaryIO, growth: float = math.inf) -> dict[str, np.ndarray]:
    """The arrays of an ``.npz`` file, by name.

    Args:
      file: the file, at any position.
      growth: beyond 16 MiB, the arrays may take this many times the size of the file.

    Raises:
      ValueError: the file is damaged, or claims too much or more than fits in memory. This is
        checked before any array is read.
    """
    file = _seekable(file)
    try:
        most = min(max(2**24, growth * _size(file)), _memory())
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            names = [member.filename.removesuffix(".npy") for member in members]
            _require_arrays(members, names)
            _require(sum(member.file_size for member in members), most)
            _require(sum(_claim_in(archive, member).as_numbers for member in members), _memory())
            return {n: _array(archive, m) for n, m in zip(names, members, strict=True)}
    except Exception as error:  # damaged files raise many kinds of errors
        raise ValueError(_reason(error)) from error


def claim_of(file: BinaryIO | Any, size: int) -> Claim:
    """The header of a file of this size; `ValueError` if it claims more than the file holds."""
    version = np.lib.format.read_magic(file)
    if version not in HEADERS:
        raise ValueError(f"version {version} of .npy is not supported")
    shape, _, dtype = HEADERS[version](file)
    if dtype.hasobject:
        raise ValueError("it holds Python objects, which need pickle")
    if min(shape, default=0) < 0 or not all(type(n) is int for n in shape):
        raise ValueError(f"its header gives the shape {shape}")
    claim = Claim(shape, dtype, math.prod(shape) * max(1, dtype.itemsize), file.tell())
    if claim.n_bytes > size - claim.start:
        raise ValueError(
            f"its header says {shape} of {dtype}, {claim.n_bytes:,} bytes, but there are "
            f"{size - claim.start:,}"
        )
    return claim


def _require_arrays(members: list[zipfile.ZipInfo], names: list[str]) -> None:
    for member in members:
        if not member.filename.endswith(".npy") or member.compress_type not in PLAIN:
            raise ValueError(f"its member {member.filename!r} is not an array that NumPy wrote")
        if member.flag_bits & 1:
            raise ValueError(f"its member {member.filename!r} is encrypted")
    if len(set(names)) < len(names):
        raise ValueError("it holds several arrays with the same name")


def _claim_in(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Claim:
    with archive.open(member) as opened:
        claim = claim_of(opened, member.file_size)
    if claim.start + claim.n_bytes != member.file_size and claim.dtype.itemsize:
        raise ValueError(f"{member.filename} is longer than its header says")
    return claim


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    with archive.open(member) as opened:
        array = np.lib.format.read_array(opened, allow_pickle=False)
        opened.read()  # to the end, where the checksum is verified
    return np.asarray(array)


def _require(claimed: int, most: float) -> None:
    if claimed > most:
        raise ValueError(f"it would unpack to {claimed:,} bytes, more than {most:,.0f}")


def _seekable(file: BinaryIO) -> BinaryIO:
    return file if file.seekable() else io.BytesIO(file.read())


def _size(file: BinaryIO) -> int:
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    return size


def _memory() -> float:
    """The memory of this machine, in bytes."""
    if not hasattr(os, "sysconf"):
        return math.inf
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
