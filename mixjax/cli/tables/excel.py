"""Tables from Excel workbooks."""

import datetime
import zipfile
from typing import Any, BinaryIO

import pyarrow as pa


def cells_of(file: BinaryIO, source: str) -> tuple[list[pa.Array], tuple[str, ...]]:
    """The columns of the first sheet as text, and a note if there are more sheets."""
    try:
        import openpyxl
    except ImportError as error:
        raise ValueError("Excel needs openpyxl: pip install 'mixjax[cli]'") from error
    try:
        book = openpyxl.load_workbook(file, read_only=True, data_only=True)
        sheet = book.worksheets[0]
        rows = [list(map(_written, row)) for row in sheet.iter_rows(values_only=True)]
    except (zipfile.BadZipFile, KeyError, IndexError, ValueError, OSError) as error:
        raise ValueError(f"{source} is not a readable Excel file: {error}") from error
    rows = [row for row in rows if any(row)]
    width = max((i + 1 for row in rows for i, cell in enumerate(row) if cell), default=0)
    if width == 0:
        raise ValueError(f"{source} is empty")
    rows = [(row + [""] * width)[:width] for row in rows]
    names = book.sheetnames
    notes = (f"the first of {len(names)} sheets is read: {names[0]!r}",) if len(names) > 1 else ()
    return [pa.array(column, pa.string()) for column in zip(*rows, strict=True)], notes


def _written(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    if isinstance(value, datetime.timedelta):
        return repr(value / datetime.timedelta(days=1))
    if isinstance(value, datetime.datetime | datetime.date):
        return value.isoformat()
    return str(value)
