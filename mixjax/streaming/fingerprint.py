"""A fingerprint of the rows of a stream; it does not depend on the batches."""

import zlib
from collections.abc import Callable, Iterator

import numpy as np

# Numbers that are hashed at a time: as many as fit in the cache.
HASHED = 2**15


class Fingerprint:
    """The fingerprint of the rows that were added so far.

    Attributes:
      digest: the sum of a hash of each row, modulo 2^64. It does not depend on the order, and
        the digests of several processes add up.
      checksum: a checksum of the rows in their order.
    """

    def __init__(self) -> None:
        self.digest, self.checksum = 0, 0

    def add(self, rows: np.ndarray) -> None:
        """Add the next rows (n, D)."""
        if rows.size:
            rows = np.ascontiguousarray(rows)
            self.digest = (self.digest + _sum_of_hashes(rows)) % 2**64
            self.checksum = zlib.crc32(rows.data, self.checksum)

    def over(self, batches: Callable[[], Iterator[np.ndarray]]) -> Iterator[np.ndarray]:
        """A pass over the batches that adds each batch as it is read."""
        for batch in batches():
            self.add(batch)
            yield batch


def _sum_of_hashes(rows: np.ndarray) -> int:
    total = 0
    columns = 2 * np.arange(rows.shape[1], dtype=np.uint64) + np.uint64(1)
    factors = columns * np.uint64(0x9E3779B97F4A7C15)
    length = max(1, HASHED // rows.shape[1])
    for first in range(0, len(rows), length):
        some = rows[first : first + length]
        bits = some.view(f"u{some.dtype.itemsize}").astype(np.uint64)
        if some.dtype.itemsize == 8:  # the low bits of round numbers are all zero
            bits ^= bits >> np.uint64(32)
        each = np.einsum("nd,d->n", bits, factors)
        for _ in range(2):
            each ^= each >> np.uint64(32)
            each *= np.uint64(0xD6E8FEB86659FD93)
        total += int(each.sum())
    return total
