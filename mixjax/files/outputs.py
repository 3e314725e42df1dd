"""Checks of output files before any work begins."""

import os
import re
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path

FilePath = str | os.PathLike[str]


def check_outputs(
    outputs: Mapping[str, FilePath | None], inputs: Iterable[FilePath | int | None] = ()
) -> None:
    """Raise unless all outputs of a job can be written without losing anything.

    Args:
      outputs: the files to write, by the names that the user knows; None is skipped.
      inputs: the files to read, as paths or numbers of open files. No output may be one of
        them, under any name.

    Raises:
      ValueError: an output is an input, or two outputs are the same file.
      FileNotFoundError: the folder does not exist.
      IsADirectoryError: an output is a folder.
      PermissionError: the output or its folder cannot be written to.
    """
    read = [
        (given, found)
        for given in inputs
        if given is not None and (found := _found(given)) is not None
    ]
    taken: dict[object, str] = {}
    for name, path in outputs.items():
        if path is None:
            continue
        called = f"{name} {printable(path)}"
        place = _require_writable(called, path)
        if place is None:
            continue  # a device or a pipe: written to, not replaced
        existing = _found(path)
        for given, found in read:
            if existing is not None and os.path.samestat(existing, found):
                which = "standard input" if isinstance(given, int) else printable(given)
                raise ValueError(
                    f"{called} is also the input ({which}), which would be lost: choose "
                    "another name"
                )
        if place in taken:
            raise ValueError(f"{called} is also {taken[place]}: choose a different file for each")
        taken[place] = called


def descriptor_of(path: FilePath) -> int | None:
    """The number of the open file behind a path such as /dev/stdout."""
    text = os.fspath(path)
    known = {"/dev/stdin": 0, "/dev/stdout": 1, "/dev/stderr": 2}
    numbered = re.fullmatch(r"(?:/dev|/proc/self)/fd/(\d+)", text)
    return int(numbered[1]) if numbered else known.get(text)


def is_special(path: FilePath) -> bool:
    """Whether a path is written to rather than replaced: an open file, a device or a pipe."""
    found = _found(path)
    special = found is not None and not stat.S_ISREG(found.st_mode)
    return special or descriptor_of(path) is not None


def printable(path: FilePath) -> str:
    """A path in printable form, whatever its bytes are."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _require_writable(called: str, path: FilePath) -> object:
    """The identity of the file; None if it is not replaced."""
    found = _found(path)
    if found is not None and stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(f"{called} cannot be written: it is a folder; choose a file in it")
    if found is not None and is_special(path):
        if stat.S_ISSOCK(found.st_mode) or not os.access(path, os.W_OK):
            raise PermissionError(f"{called} cannot be written to")
        return None
    target = Path(os.path.realpath(path))
    folder = target.parent
    if not folder.is_dir():
        shown = printable(folder)
        raise FileNotFoundError(f"{called} cannot be written: there is no folder {shown}")
    if found is not None and not os.access(target, os.W_OK):
        raise PermissionError(f"{called} cannot be written: the file is write-protected")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(
            f"{called} cannot be written: no file can be created in the folder {printable(folder)}"
        )
    if found is not None:
        return found.st_dev, found.st_ino
    place = os.stat(folder)
    return place.st_dev, place.st_ino, os.path.normcase(target.name)


def _found(path: FilePath | int) -> os.stat_result | None:
    """The status of a file, or None if it does not exist."""
    try:
        return os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:
        if isinstance(path, int):  # a closed file
            return None
        raise
