"""Options for the format of a table; what is not given is detected."""

import enum
from typing import NamedTuple


class Decimal(enum.StrEnum):
    """The decimal separator."""

    point = "point"
    comma = "comma"


class Reading(NamedTuple):
    """How a table is to be read.

    Attributes:
      header: whether the first line holds names; None detects it.
      decimal: the decimal separator; None detects it.
      encoding: of the text, such as "cp1250"; None detects it.
      names: expected names of columns; a first line that holds them all is a header.
    """

    header: bool | None = None
    decimal: Decimal | None = None
    encoding: str | None = None
    names: frozenset[str] = frozenset()
