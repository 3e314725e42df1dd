"""Tables from files: columns by name, of numbers or of text."""

from .columns import Column, Columns, column_of, text_of
from .options import Decimal, Reading
from .reading import read_columns, read_stream

__all__ = [
    "Column",
    "Columns",
    "Decimal",
    "Reading",
    "column_of",
    "read_columns",
    "read_stream",
    "text_of",
]
