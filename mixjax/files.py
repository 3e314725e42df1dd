"""Files that are whole or not there: written beside their place, then moved into it."""

import contextlib
import json
import os
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

HEADER = "header"


def require_folder(path: Path) -> None:
    """Raise unless a file could be put there."""
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path} cannot be written: there is no folder {path.parent}")


@contextlib.contextmanager
def atomically(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A file to write to that takes the place of ``path`` once all of it is on disk."""
    path = Path(path)
    require_folder(path)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(name, 0o666 & ~mask)  # as any new file; a temporary one is its owner's alone
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


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
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
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
