"""What a user may say of how a table is written; unsaid, it is found out."""

import enum
from typing import NamedTuple


class Decimal(enum.StrEnum):
    """What stands before the decimals of a number."""

    point = "point"
    comma = "comma"


class Reading(NamedTuple):
    """How a table is to be read.

    Attributes:
      header: whether the first line holds names; None: found out.
      decimal: how decimals are written; None: found out.
      encoding: of the text, such as "cp1250"; None: found out.
      names: columns that are looked for; a first line that holds them all is a header.
    """

    header: bool | None = None
    decimal: Decimal | None = None
    encoding: str | None = None
    names: frozenset[str] = frozenset()
