"""Delimited text as columns of cells: encoding, separator, comments."""

import codecs
import csv
import io
import re
from collections import Counter
from typing import NamedTuple

import pyarrow as pa
from pyarrow import csv as arrow_csv

from .cells import is_missing, is_value

# In order of preference if two fit equally well.
SEPARATORS = ("\t", ";", "|", ",")
# A separator that does not occur: a table of one column.
ALONE = "\x1f"
# The number of lines that are used to find the separator.
SAMPLE = 200
MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"), (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip


class Delimited(NamedTuple):
    """The cells of a text file.

    Attributes:
      columns: the cells of each column, including the first line.
      separator: the separator of the cells.
      above: the cells of the last comment line before the first line.
      extra: whether all lines but the first begin with an additional cell.
      notes: guesses about the format, which may be wrong.
    """

    columns: list[pa.Array]
    separator: str
    above: list[str]
    extra: bool
    notes: tuple[str, ...]


def delimited(
    content: bytes, source: str, encoding: str | None = None, separator: str | None = None
) -> Delimited:
    """The cells of a CSV with any encoding and separator.

    Raises:
      ValueError: the file is not text, is empty, or its lines differ in length.
    """
    try:
        return _delimited(content, source, encoding, separator)
    except csv.Error as error:
        raise ValueError(f"{source} is not a readable CSV file: {error}") from error


def _delimited(
    content: bytes, source: str, encoding: str | None, separator: str | None
) -> Delimited:
    text, notes = decoded(content, source, encoding)
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if said := re.match(r"sep=(.)\n", text):  # Excel writes this line above a table
        separator, text = said[1], text[said.end() :]
    comments, text = _without_comments_above(text)
    if not text.strip():
        raise ValueError(f"{source} is empty")
    separator = separator or separator_of(text)
    if separator == ALONE and (apart := _apart_by_blanks(text)):
        text, separator = apart, "\t"
    above = next(csv.reader(comments[-1:], delimiter=separator), [])
    text = _without_comments_between(text, separator)
    try:
        columns, extra = _by_arrow(text, separator), False
    except pa.ArrowInvalid:
        columns, extra = _line_by_line(text, separator, source)
    if text.count('"') % 2 and any("\n" in column[-1].as_py() for column in columns):
        raise ValueError(f"{source}: a quotation mark is never closed")
    return Delimited(columns, separator, above, extra, notes)


def decoded(content: bytes, source: str, encoding: str | None) -> tuple[str, tuple[str, ...]]:
    """The text, and a note if its encoding was guessed."""
    if encoding is None:
        encoding = next((name for mark, name in MARKS if content.startswith(mark)), None)
    if encoding is None and content[:1000].count(0) > len(content[:1000]) // 4:
        encoding = "utf-16-be" if content[:1] == b"\0" else "utf-16-le"
    try:
        return content.decode(encoding or "utf-8"), ()
    except LookupError as error:
        raise ValueError(f"--encoding {encoding}: unknown encoding") from error
    except UnicodeDecodeError as error:
        if encoding is not None:
            raise ValueError(f"{source} is not text in {encoding}: {error}") from error
    if 0 in content[:1000]:
        raise ValueError(f"{source} is not text, and so not a readable CSV file")
    western = "cp1252"
    try:
        text = content.decode(western)
    except UnicodeDecodeError:
        western = "latin-1"
        text = content.decode(western)
    return text, (f"the text is not in UTF-8; it is read as {western} (override with --encoding)",)


def separator_of(text: str) -> str:
    """The separator for which lines have equal length and cells are numbers."""
    lines = text[: 2**16].split("\n")
    sample = lines[:SAMPLE] if len(text) <= 2**16 else lines[: min(SAMPLE, len(lines) - 1)]
    best, found = (0.0, 0.0), ALONE
    for separator in SEPARATORS:
        rows = [row for row in csv.reader(sample, delimiter=separator) if row]
        widths = Counter(map(len, rows))
        if not rows or len(rows[0]) < 2 or max(widths) < 2:
            continue
        alike = max(n for width, n in widths.items() if width > 1) / len(rows)
        cells = [cell for row in rows for cell in row]
        known = sum(is_value(cell) or is_missing(cell) for cell in cells) / len(cells)
        if (round(alike, 1), known) > best:
            best, found = (round(alike, 1), known), separator
    return found


def _apart_by_blanks(text: str) -> str | None:
    """The text with tabs for blanks, if blanks separate numbers, as NumPy writes them."""
    rows = [line.split() for line in text.split("\n") if line.strip() and line[0] != "#"]
    cells = [cell for row in rows[1 : SAMPLE + 1] or rows for cell in row]
    alike = len(set(map(len, rows))) == 1 and len(rows[0]) > 1
    if not alike or not all(is_value(cell) or is_missing(cell) for cell in cells):
        return None
    return "\n".join(map("\t".join, rows))


def _without_comments_above(text: str) -> tuple[list[str], str]:
    """The comment lines above the table, and the rest; text of such lines only is a table."""
    comments, start = [], 0
    while text.startswith("#", start) and not is_missing(
        re.split(r"[,;\t|\n]", text[start : start + 99])[0]
    ):
        end = text.find("\n", start) + 1 or len(text)
        comments.append(text[start + 1 : end].lstrip("#").strip("\r\n"))
        start = end
    return (comments, text[start:]) if text[start:].strip() else ([], text)


def _without_comments_between(text: str, separator: str) -> str:
    """The text without lines that begin with # and do not have the cells of a row."""
    if "\n#" not in text:
        return text
    width = _width(text, separator)
    return "".join(
        line
        for line in io.StringIO(text)
        if not line.startswith("#") or len(next(csv.reader([line], delimiter=separator))) == width
    )


def _width(text: str, separator: str) -> int:
    return len(next(row for row in csv.reader(io.StringIO(text), delimiter=separator) if row))


def _by_arrow(text: str, separator: str) -> list[pa.Array]:
    width = _width(text, separator)
    table = arrow_csv.read_csv(
        io.BytesIO(text.encode()),
        arrow_csv.ReadOptions(
            autogenerate_column_names=True, block_size=max(2**20, min(len(text), 2**26))
        ),
        arrow_csv.ParseOptions(delimiter=separator, newlines_in_values=True),
        arrow_csv.ConvertOptions(column_types={f"f{i}": pa.string() for i in range(width)}),
    )
    return [column.combine_chunks() for column in table.columns]


def _line_by_line(text: str, separator: str, source: str) -> tuple[list[pa.Array], bool]:
    """As from Arrow, if lines end with separators or begin with row names."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    rows, numbers = [], []
    for row in reader:
        if row:
            rows.append(row)
            numbers.append(reader.line_num)
    width = len(rows[0])
    longer = len(rows) > 1 and all(len(row) == width + 1 for row in rows[1:])
    extra = longer and any(row[-1].strip() for row in rows[1:])
    if extra:
        rows[0], width = ["", *rows[0]], width + 1
    rows = [row[:width] if not "".join(row[width:]).strip() else row for row in rows]
    bad = [i for i, row in enumerate(rows) if len(row) != width]
    if bad:
        shown = "; ".join(f"line {numbers[i]}: {len(rows[i])} cells" for i in bad[:3])
        more = f" and {len(bad) - 3} more" if len(bad) > 3 else ""
        raise ValueError(f"{source}, {shown}{more}, expected {width}: correct or remove such lines")
    return [pa.array(column, pa.string()) for column in zip(*rows, strict=True)], extra
