"""The summary of components that a notebook shows."""

from typing import Any

import numpy as np

from ..describing.summary import Summary, cells_of
from ..describing.words import counted, lanes, numbers, on_host

# Columns of parameters that a summary shows.
COLUMNS_SHOWN = 4


def summary_of_components(components: Any) -> Summary:
    """How many components in how many dimensions, and the parameters."""
    k, d = components.shape
    fields = {name: value for name, value in vars(components).items() if hasattr(value, "shape")}
    shapes = {name: np.shape(value) for name, value in fields.items()}
    leading = min((s[:-2] for s in shapes.values() if s[-2:] == (k, d)), key=len, default=())
    named = counted(k, f"{type(components).__name__} component")
    headline = f"{named} in {counted(d, 'dimension')}, {components.dtype}"
    if leading:
        headline += f", {lanes(leading)}"
    rows, room = [], COLUMNS_SHOWN
    for name, value in fields.items():
        if shapes[name] != (k, d) or d > room or (table := on_host(value)) is None:
            rows.append((name, cells_of(value)))
            continue
        room -= d
        rows += [(f"{name}[:, {i}]", numbers(table[:, i])) for i in range(d)]
    return Summary(headline, rows)
