"""Whether the first line of a table holds names, and which columns only number its rows."""

import re
from collections.abc import Iterable, Sequence

import numpy as np

from .cells import is_missing, is_value

INDEX = re.compile(
    r"(index|id|row|rows|row_?names?|row_?(number|id)|nr|no|#|level_0|unnamed: 0|)", re.I
)
YEARS = range(1900, 2101)


def is_header(
    first: Sequence[str], body: Sequence[Sequence[str]], names: Iterable[str] = ()
) -> tuple[bool, str]:
    """Whether the first line holds names, and a note if this is uncertain.

    Args:
      first: the cells of the first line.
      body: for each column some of the cells below.
      names: expected names of columns.
    """
    cells = [cell.strip() for cell in first]
    if names and set(names) <= set(cells):
        return True, ""
    filled = [[cell for cell in column if not is_missing(cell)] for column in body]
    numeric = [bool(column) and all(map(is_value, column)) for column in filled]
    above = [cell for cell, number in zip(cells, numeric, strict=True) if number]
    if any(not is_value(cell) and not is_missing(cell) for cell in above):
        return True, ""
    if not any(numeric):
        return not any(map(is_value, cells)), ""
    present = [cell for cell in above if not is_missing(cell)]
    if not present or not all(re.fullmatch("[0-9]{1,9}", cell) for cell in present):
        return False, ""
    whole = [int(cell) for cell in present]
    below = [cell for cell, number in zip(filled, numeric, strict=True) if number]
    shown = ", ".join(present[:4]) + (", ..." if len(present) > 4 else "")
    if _names_of(whole, below, is_missing(cells[0])):
        return True, f"the first line ({shown}) is read as names (--no-header: as a row)"
    if len(whole) > 1 and (np.diff(whole) > 0).all():
        return False, f"the first line ({shown}) is read as a row (--header: as names)"
    return False, ""


def index_of(names: Sequence[str], numbers: Sequence[np.ndarray | None]) -> set[str]:
    """The columns that only number the rows: 0, 1, 2, ... or 1, 2, 3, ..."""
    found = set()
    for name, values in zip(names, numbers, strict=True):
        if values is None or len(values) < 3 or not INDEX.fullmatch(name):
            continue
        count = np.arange(len(values))
        if np.array_equal(values, count) or np.array_equal(values, count + 1):
            found.add(name)
    return found


def _names_of(whole: list[int], below: list[list[str]], indexed: bool) -> bool:
    """Whether whole numbers above columns of numbers are their names."""
    steps = np.diff(whole)
    if len(whole) == 1:
        broken = all("." in cell for column in below for cell in column)
        return whole[0] == 0 and (indexed or broken)
    if whole[0] in (0, 1) and (steps == 1).all():
        return True
    numbers = [cell for column in below for cell in column]
    if all(year in YEARS for year in whole) and (steps > 0).all():
        return not all(re.fullmatch("(19|20)[0-9]{2}", cell) for cell in numbers)
    even = len(whole) > 2 and steps[0] > 0 and (steps == steps[0]).all()
    return even and not any(re.fullmatch("-?[0-9]+", cell) for cell in numbers)
