"""A headline and a few rows: how an object prints in sessions and notebooks."""

import dataclasses
import html
from typing import Any, NamedTuple

from .words import SHOWN, numbers, on_host, quoted

# The largest number of rows below the headline.
ROWS = 7
# The largest number of characters of a sentence.
WIDTH = 100


class Summary(NamedTuple):
    """A short description of an object.

    Attributes:
      headline: the first line.
      rows: a label and its cells each: one sentence, or numbers in columns.
    """

    headline: str
    rows: list[tuple[str, list[str]]]


class Described:
    """Objects that print a summary instead of their arrays.

    A subclass overrides ``_summary``. It must compute with NumPy only, because JAX would compile
    a program for each printed shape.
    """

    def _summary(self) -> Summary:
        return fields_of(self)

    def __repr__(self) -> str:
        """A headline and a few rows, for any leaves."""
        return as_text(summary_of(self))

    def _repr_html_(self) -> str:
        """The same as a table, for notebooks."""
        return as_html(summary_of(self))


def summary_of(value: Any) -> Summary:
    """The summary of any object; never raises."""
    if not isinstance(value, Described):
        return Summary(" ".join(cells_of(value)), [])
    try:
        return value._summary()
    except Exception:  # the leaves may be anything, such as placeholders of JAX
        return fields_of(value)


def fields_of(value: Any) -> Summary:
    """The name of the class, and a short form of each field."""
    if dataclasses.is_dataclass(value):
        names = [field.name for field in dataclasses.fields(value)]
    else:
        names = list(getattr(value, "__dict__", ()))
    return Summary(type(value).__name__, [(n, cells_of(getattr(value, n, None))) for n in names])


def cells_of(value: Any) -> list[str]:
    """A short form of a value: a few known numbers, or else its type and shape."""
    if isinstance(value, Described):
        return [summary_of(value).headline]
    if value is None or isinstance(value, bool | int):
        return [str(value)]
    if isinstance(value, str):
        return [quoted(value)]
    if isinstance(value, type):
        return [value.__name__]
    if isinstance(value, list | tuple):
        kinds = sorted({type(entry).__name__ for entry in value})
        return [f"{len(value):,} x {' or '.join(kinds)}" if value else "empty"]
    # Large arrays are not copied from their device.
    shape: tuple[int, ...] = getattr(value, "shape", ())
    few = len(shape) == 0 or (len(shape) == 1 and 0 < shape[0] <= SHOWN)
    array = on_host(value) if few else None
    return [type_and_shape(value)] if array is None else numbers(array.reshape(-1))


def type_and_shape(value: Any) -> str:
    """Type and shape as JAX writes them, such as float32[3,2]; or the name of the class."""
    try:
        return f"{value.dtype}[{','.join(str(n) for n in value.shape)}]"
    except Exception:
        return type(value).__name__


def as_text(summary: Summary) -> str:
    """The headline, and below it the rows, with numbers in columns."""
    rows = _rows(summary)
    label_width = max((len(label) for label, _ in rows), default=0)
    columns = [cells for _, cells in rows if len(cells) > 1]
    n_columns = max(map(len, columns), default=0)
    widths = [max(len(c[i]) for c in columns if i < len(c)) for i in range(n_columns)]
    lines = [_cut(summary.headline)]
    for label, cells in rows:
        # A sentence is not aligned with the columns.
        aligned = cells if len(cells) == 1 else map(str.rjust, cells, widths)
        lines.append(f"  {label:<{label_width}}  {'  '.join(aligned)}".rstrip())
    return "\n".join(lines)


def as_html(summary: Summary) -> str:
    """A table without its own colors, so it is readable on light and dark backgrounds."""
    rows = _rows(summary)
    n_columns = max((len(cells) for _, cells in rows), default=1)
    left, right = ('style="text-align:left"', 'style="text-align:right"')
    body = []
    for label, cells in rows:
        if len(cells) == 1:
            data = f'<td colspan="{n_columns}" {left}>{html.escape(cells[0])}</td>'
        else:
            data = "".join(f"<td {right}>{html.escape(cell)}</td>" for cell in cells)
        body.append(f"<tr><th {left}>{html.escape(label)}</th>{data}</tr>")
    caption = "caption-side:top;text-align:left;color:inherit;font-weight:bold;white-space:nowrap"
    headline = html.escape(_cut(summary.headline))
    return f'<table><caption style="{caption}">{headline}</caption>{"".join(body)}</table>'


def _rows(summary: Summary) -> list[tuple[str, list[str]]]:
    """The rows to show: a limited number, of limited length and width."""
    rows = summary.rows
    if len(rows) > ROWS:
        rows = [*rows[: ROWS - 1], ("...", [f"{len(rows) - ROWS + 1} more"])]
    return [(_cut(label), [_cut(cell) for cell in cells]) for label, cells in rows]


def _cut(text: str) -> str:
    """On one line, and not too long."""
    line = " ".join(text.split())
    return line if len(line) <= WIDTH else line[: WIDTH - 3] + "..."
