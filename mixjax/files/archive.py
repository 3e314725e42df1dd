"""Arrays with a JSON header as one file, without pickle."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .atomic import atomically
from .numpy_files import read_npz
from .outputs import FilePath, printable

HEADER = "header"
# Parameters hardly compress: a file that unpacks to more than this many times its size is no model.
MOST_GROWTH = 100


def write_arrays(
    path: FilePath, header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
) -> None:
    """An ``.npz`` of arrays with a JSON header: no pickle, readable by NumPy alone."""
    text = np.frombuffer(json.dumps(header).encode(), np.uint8)
    members: dict[str, Any] = {HEADER: text, **arrays}
    with atomically(path) as file:
        np.savez(file, **members)


def read_arrays(
    path: FilePath, form: str, version: int
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The header and the arrays of a file of this format and version.

    Raises:
      ValueError: the file is damaged, or has another format or version.
      OSError: the file cannot be opened.
    """
    name = printable(Path(path).name)
    with Path(path).open("rb") as file:
        try:
            arrays = read_npz(file, MOST_GROWTH)
            header = json.loads(arrays.pop(HEADER).tobytes())
            found, found_version = header["format"], header["version"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ValueError(
                f"{name} is not a whole {form} file (truncated, damaged, or another kind): "
                f"{reason(error)}"
            ) from error
    if found != form:
        raise ValueError(f"{name} is a {found!r} file, expected {form!r}")
    if type(found_version) is not int or found_version != version:
        raise ValueError(
            f"{name} has version {found_version!r} of {form}, but this mixjax reads version "
            f"{version}: read it with the version of mixjax that wrote it"
        )
    return header, arrays


def read_checkpoint(
    path: FilePath, form: str, version: int, mine: Mapping[str, str], what: str
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """As `read_arrays`, of a checkpoint of the very work that is to be resumed.

    Args:
      path: the file.
      form: its format.
      version: its version.
      mine: the entry of the header that says which work it is.
      what: the work, and in what another one may differ, for the message.

    Raises:
      ValueError: as `read_arrays`; or it is of other work.
    """
    header, arrays = read_arrays(path, form, version)
    if any(header.get(name) != value for name, value in mine.items()):
        raise ValueError(
            f"{printable(Path(path).name)} is the checkpoint of another {what}: use a new file for "
            "this one, or delete the old one"
        )
    return header, arrays


def reason(error: Exception) -> str:
    """The text of an error, made readable if it is only a key."""
    text = str(error)
    if isinstance(error, KeyError):
        return f"it has no {text}"
    return text or type(error).__name__
