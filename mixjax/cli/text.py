"""Text from data, made safe to print and to open in a spreadsheet."""

import unicodedata

# Control and format characters, halves of characters, and what breaks a line.
UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
# With these a spreadsheet takes a cell for a formula.
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def visible(text: str) -> str:
    r"""The text with its control characters written out, such as ``\x1b``."""
    if text.isprintable():
        return text
    return "".join(
        _written(char) if unicodedata.category(char) in UNSEEN else char for char in text
    )


def _written(char: str) -> str:
    # What Python makes of a byte of a file name that is no text.
    if "\udc80" <= char <= "\udcff":
        return f"\\x{ord(char) - 0xDC00:02x}"
    return char.encode("unicode_escape").decode()


def cell(text: str) -> str:
    """The text as a cell of a CSV that no spreadsheet computes."""
    return visible(f"'{text}" if text.startswith(FORMULA) else text)
