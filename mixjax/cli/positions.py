"""The columns that an option names."""

import difflib
from collections.abc import Iterable, Sequence


def positions(
    wanted: Iterable[str], columns: Sequence[str], option: str, others: Iterable[str] = ()
) -> tuple[set[int], list[str]]:
    """The places of columns named by name or number, and what to say of those not there."""
    found, problems = set(), []
    for name in wanted:
        if name in columns:
            found.add(columns.index(name))
            continue
        try:
            number = int(name)
        except ValueError:
            number = len(columns)
        if -len(columns) <= number < len(columns):
            found.add(number % len(columns))
        else:
            near = nearest(name, [*columns, *others])
            problems.append(f"{option} {name}: there is no such column{near}")
    return found, problems


def nearest(name: str, columns: list[str]) -> str:
    """The column that may have been meant, or the first of them all."""
    lower = {column.lower(): column for column in columns}
    near = difflib.get_close_matches(name.lower(), lower, 1)
    if near:
        return f"; did you mean {lower[near[0]]!r}?"
    return f"; there are {', '.join(columns[:12])}{', ...' if len(columns) > 12 else ''}"
