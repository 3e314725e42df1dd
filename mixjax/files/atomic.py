"""Files that are whole or not there: written beside their place, then moved into it."""

import contextlib
import io
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from .outputs import FilePath, check_outputs, descriptor_of, is_special

try:
    import fcntl
except ImportError:  # Windows has no such locks: what a killed process leaves stays there
    fcntl = None  # type: ignore[assignment]

# The parts of dead writers that a write looks for.
LOOKED_FOR = 16


@contextlib.contextmanager
def atomically(path: FilePath) -> Iterator[BinaryIO]:
    """A file to write to that takes the place of ``path`` once all of it is on disk.

    A file that is there keeps its mode and, where that is allowed, its owner; of a symbolic
    link the target is replaced. Devices and pipes are written to. What a process that was
    killed has left is removed by the next write of that file.
    """
    check_outputs({"file": path})
    if is_special(path):
        with _opened(path) as file:
            yield file
        return
    target = Path(os.path.realpath(path))
    found = target.stat() if target.exists() else None
    part, file = _begun(target, 0o600 if found else 0o666)
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            if found is not None:
                _make_like(part, found)
            if fcntl is None:
                file.close()  # where an open file cannot be moved
            os.replace(part, target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def write_text(path: FilePath, text: str) -> None:
    """Write a text file, atomically; what is no text in it is written as an escape."""
    with atomically(path) as file:
        file.write(text.encode("utf-8", "backslashreplace"))


class _Stream(io.FileIO):
    """A device or a pipe: what is written is gone, whatever the kernel says of places in it."""

    def seekable(self) -> bool:
        return False

    def seek(self, *place: Any) -> int:
        raise io.UnsupportedOperation("seek")

    def tell(self) -> int:
        raise io.UnsupportedOperation("tell")


def _opened(path: FilePath) -> BinaryIO:
    number = descriptor_of(path)
    if number == 1 and sys.stdout is not None:
        sys.stdout.flush()
    handle = os.open(path, os.O_WRONLY) if number is None else os.dup(number)
    return io.BufferedWriter(_Stream(handle, "wb"))


def _begun(target: Path, mode: int) -> tuple[Path, BinaryIO]:
    """A new file beside the target, which is locked for as long as this process writes it."""
    stem = target.name[:40]  # names have at most 255 bytes
    for number in range(LOOKED_FOR):
        _remove_if_abandoned(target.with_name(f".{stem}.{number}.part"))
    number = -1
    while True:
        number += 1
        part = target.with_name(f".{stem}.{number}.part")
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
            file = os.fdopen(os.open(part, flags, mode), "wb")
        except FileExistsError:
            continue
        if fcntl is None:
            return part, file
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(file, fcntl.LOCK_EX)
        if os.fstat(file.fileno()).st_nlink:
            return part, file
        file.close()  # another writer found it before it was locked


def _remove_if_abandoned(part: Path) -> None:
    """Remove what a writer has left that lives no longer: its lock died with it."""
    if fcntl is None:
        return
    try:
        handle = os.open(part, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:  # there is none, or it is another's
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(handle), os.lstat(part)):
            part.unlink()
    except OSError:  # its writer lives, or has just ended
        return
    finally:
        os.close(handle)


def _make_like(part: Path, found: os.stat_result) -> None:
    """Give a file the owner, where that is allowed, and the mode of the one it replaces."""
    if hasattr(os, "chown"):
        for owner in (-1, found.st_uid):
            with contextlib.suppress(OSError):
                os.chown(part, owner, found.st_gid)
    os.chmod(part, stat.S_IMODE(found.st_mode))
