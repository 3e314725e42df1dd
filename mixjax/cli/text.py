"""Text from data, made safe for terminals and spreadsheets."""

import unicodedata

# Control and format characters, surrogates, and line breaks.
UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
# A spreadsheet reads cells that begin with these as formulas.
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def visible(text: str) -> str:
    r"""The text with its control characters written out, such as ``\x1b``."""
    if text.isprintable():
        return text
    return "".join(
        _written(char) if unicodedata.category(char) in UNSEEN else char for char in text
    )


def _written(char: str) -> str:
    # Python's surrogate for a byte of a file name that is not text.
    if "\udc80" <= char <= "\udcff":
        return f"\\x{ord(char) - 0xDC00:02x}"
    return char.encode("unicode_escape").decode()


def cell(text: str) -> str:
    """The text as a cell of a CSV that is not a formula."""
    return visible(f"'{text}" if text.startswith(FORMULA) else text)
