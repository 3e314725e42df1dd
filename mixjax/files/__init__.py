"""Atomic output files, archives of arrays, and trees stored in them."""

from .archive import read_arrays, read_checkpoint, reason, write_arrays
from .atomic import atomically, write_text
from .numpy_files import mapped_npy, read_npy, read_npz
from .outputs import FilePath, check_outputs, descriptor_of, printable
from .trees import digest_of, filled, named

__all__ = [
    "FilePath",
    "atomically",
    "check_outputs",
    "descriptor_of",
    "digest_of",
    "filled",
    "mapped_npy",
    "named",
    "printable",
    "read_arrays",
    "read_checkpoint",
    "read_npy",
    "read_npz",
    "reason",
    "write_arrays",
    "write_text",
]
