"""Arrays and scripts as compressed text that a browser unpacks by itself."""

import base64
import gzip
from collections.abc import Iterable
from typing import Any

import numpy as np


def packed(data: bytes) -> str:
    """gzip in base64; equal data gives equal text."""
    return base64.b64encode(gzip.compress(data, mtime=0)).decode()


def compressed_size(arrays: Iterable[np.ndarray]) -> int:
    """The number of bytes that these arrays take in the page."""
    return len(packed(b"".join(map(bytes_of, arrays))))


def bytes_of(array: np.ndarray) -> bytes:
    """The first bytes of all numbers, then the second ones, ...: these compress better."""
    little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return little.reshape(-1).view(np.uint8).reshape(-1, little.itemsize).T.tobytes()


class Store:
    """Arrays one after the other, and for each what finds it there."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []

    def add(self, array: Any) -> dict[str, Any]:
        """The dtype of the array, the number of its values, and its first byte."""
        if not isinstance(array, np.ndarray):
            raise TypeError(f"the page holds arrays and plain values, not {type(array).__name__}")
        start = sum(map(len, self.parts))
        self.parts.append(bytes_of(array))
        return {"dtype": array.dtype.name, "size": array.size, "start": start}

    def text(self) -> str:
        """The text that holds all arrays."""
        return packed(b"".join(self.parts))
