"""Columns of cells as numbers, with one decimal separator for the whole table."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from . import cells as read
from .options import Decimal

POINT, COMMA = Decimal.point, Decimal.comma
SIGN = {POINT: ".", COMMA: ","}
# The numbers of a column, or None, read with decimal points, and with decimal commas.
Ways = dict[Decimal, np.ndarray | None]


class Numbers(NamedTuple):
    """For each column its numbers, or None for text; and notes."""

    columns: dict[str, np.ndarray | None]
    notes: tuple[str, ...]


def typed(
    columns: Mapping[str, pa.Array], separator: str, decimal: Decimal | None, source: str
) -> Numbers:
    """The numbers of each column.

    ``1,500`` may be one and a half or fifteen hundred. Other columns decide, and then the
    separator, because tables with decimal commas use semicolons.

    Raises:
      ValueError: the columns contradict each other, and some are ambiguous.
    """
    numbers: dict[str, np.ndarray | None] = {}
    dates, flags = [], []
    written: dict[str, Ways] = {}
    for name, cells in columns.items():
        numbers[name] = read.plain_numbers(cells)
        if numbers[name] is not None:
            continue
        if (days := read.dates(cells)) is not None:
            numbers[name] = days
            dates.append(name)
        elif (truths := read.booleans(cells)) is not None:
            numbers[name] = truths
            flags.append(name)
        else:
            ways = {d: read.numbers(cells, SIGN[d]) for d in Decimal}
            if ways[POINT] is not None or ways[COMMA] is not None:
                written[name] = ways
    plain: dict[str, Ways] = {}
    if written or decimal is COMMA:
        # A plain number such as 1.234 may have a point for thousands.
        plain = {
            name: {POINT: values, COMMA: read.numbers(columns[name], ",")}
            for name, values in numbers.items()
            if values is not None and read.has_point(columns[name])
        }
    certain = _certain({**written, **plain}, decimal, columns, source)
    by_default = COMMA if separator == ";" else POINT
    shown = []
    for ways_of, usual in ((written, by_default), (plain, POINT)):
        for name, ways in ways_of.items():
            first = certain or usual
            values = ways[first]
            if values is None and decimal is None:
                first = COMMA if first is POINT else POINT
                values = ways[first]
            if values is not None and values is not numbers[name]:
                shown.append((name, first))
            numbers[name] = values
    notes = [f"{_listed(dates)}: dates, in days since 1970-01-01"] if dates else []
    notes += [f"{_listed(flags)}: true is 1, false is 0"] if flags else []
    for name, way in shown[:1]:
        cell, value = read.first_present(columns[name], SIGN[way])
        every = _listed([name for name, _ in shown])
        notes.append(f"{every}: {cell} is read as {value:.12g} (override with --decimal)")
    return Numbers(numbers, tuple(notes))


def _certain(
    both: Mapping[str, Ways],
    decimal: Decimal | None,
    columns: Mapping[str, pa.Array],
    source: str,
) -> Decimal | None:
    """The decimal separator, if the user or a column determines it."""
    if decimal is not None:
        return decimal
    only = {
        d: any(ways[d] is not None and sum(v is not None for v in ways.values()) == 1
               for ways in both.values())
        for d in Decimal
    }  # fmt: skip
    unsure = [name for name, ways in both.items() if _differ(*ways.values())]
    if unsure and only[POINT] and only[COMMA]:
        cell, _ = read.first_present(columns[unsure[0]], ",")
        raise ValueError(
            f"{source}: in {_listed(unsure)} the decimal separator may be a point or a comma "
            f"({cell}), and other columns have either: use --decimal point or --decimal comma"
        )
    return next((d for d in (COMMA, POINT) if only[d]), None)


def _differ(one: np.ndarray | None, other: np.ndarray | None) -> bool:
    return one is not None and other is not None and not np.array_equal(one, other, equal_nan=True)


def _listed(names: list[str]) -> str:
    return ", ".join(map(repr, names[:5])) + (", ..." if len(names) > 5 else "")
