"""Questions about rows on the host: one program answers for tables of any length."""

from typing import Any

import jax
import numpy as np

from ..programs import BySize

# Rows that a program looks at; the last are padded. Of a longer table all at once: to compile is
# little beside running it.
SOME, MORE, ALL = 2**10, 2**13, 2**17


def ask(program: BySize[Any], known: Any, rows: np.ndarray, width: int, *static: Any) -> Any:
    """``program(known, rows, *static)``: one answer for each row, in every leaf.

    Args:
      program: of rows (N, D), each of which it looks at alone.
      known: what else it needs.
      rows: (N, D) on the host.
      width: about how many numbers it computes for each row.
      static: its static arguments.

    Returns:
      The answers, on the host.
    """
    n = len(rows)
    length = SOME if n <= SOME else MORE if n <= ALL else n
    run = program.for_size(length * width)
    parts = []
    for first in range(0, n, length):
        part = rows[first : first + length]
        padded = np.zeros((length, *rows.shape[1:]), rows.dtype)
        padded[: len(part)] = part
        # Cut on the host: on the device it would be a program for each length.
        own = slice(len(part))
        answers = run(known, padded, *static)
        parts.append(jax.tree.map(lambda leaf, own=own: np.asarray(leaf)[own], answers))
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)
