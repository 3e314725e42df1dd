"""Arrays with a JSON header as one file, without pickle."""

import json
import os
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .outputs import atomically

HEADER = "header"


def write_arrays(
    path: str | os.PathLike[str], header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
) -> None:
    """An ``.npz`` of arrays with a JSON header: no pickle, readable by NumPy alone."""
    text = np.frombuffer(json.dumps(header).encode(), np.uint8)
    members: dict[str, Any] = {HEADER: text, **arrays}
    with atomically(path) as file:
        np.savez(file, **members)


def read_arrays(
    path: str | os.PathLike[str], form: str, version: int
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The header and the arrays of a file of this form and version; `ValueError` if it is not."""
    path = Path(path)
    try:
        # Opened here: NumPy leaves a file open that turns out not to be one of its own.
        with path.open("rb") as opened:
            if not zipfile.is_zipfile(opened):
                raise ValueError("it is no archive, or has no end")
            opened.seek(0)
            with np.load(opened, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
        header = json.loads(arrays.pop(HEADER).tobytes())
        found, found_version = header["format"], header["version"]
    except (
        zipfile.BadZipFile,
        zlib.error,
        NotImplementedError,
        ValueError,
        KeyError,
        EOFError,
        TypeError,
    ) as error:
        raise ValueError(
            f"{path.name} is not a whole {form} file (cut short, or something else): {error}"
        ) from error
    if found != form:
        raise ValueError(f"{path.name} is a {found!r} file, expected {form!r}")
    if found_version != version:
        raise ValueError(
            f"{path.name} has version {found_version} of {form}, this mixjax reads version "
            f"{version}: read it with the mixjax that wrote it"
        )
    return header, arrays
