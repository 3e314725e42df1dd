"""Files: outputs that are whole or not there, archives of arrays, trees in them."""

from .archive import read_arrays, write_arrays
from .outputs import atomically, require_folder
from .trees import digest_of, filled, named

__all__ = [
    "atomically",
    "digest_of",
    "filled",
    "named",
    "read_arrays",
    "require_folder",
    "write_arrays",
]
