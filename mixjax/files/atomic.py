"""Atomic files: written next to their destination, then moved there."""

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
except ImportError:  # Windows has no such locks: the part files of killed processes stay
    fcntl = None  # type: ignore[assignment]

# A write looks for this many part files of dead writers.
LOOKED_FOR = 16


@contextlib.contextmanager
def atomically(path: FilePath) -> Iterator[BinaryIO]:
    """A file that replaces ``path`` once it is completely on disk.

    An existing file keeps its mode and, if allowed, its owner. If ``path`` is a symbolic link, its
    target is replaced. Devices and pipes are written to directly. The next write of a file
    removes what killed processes left behind.
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
                file.close()  # some systems cannot move an open file
            os.replace(part, target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def write_text(path: FilePath, text: str) -> None:
    """Write a text file atomically; characters that are not text are escaped."""
    with atomically(path) as file:
        file.write(text.encode("utf-8", "backslashreplace"))


class _Stream(io.FileIO):
    """A device or a pipe: not seekable, whatever the kernel says."""

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
    """A new file next to the target; it is locked while this process writes it."""
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
    """Remove the part file of a dead writer, whose lock is gone."""
    if fcntl is None:
        return
    try:
        handle = os.open(part, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:  # it does not exist, or belongs to another user
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(handle), os.lstat(part)):
            part.unlink()
    except OSError:  # its writer is alive, or has just ended
        return
    finally:
        os.close(handle)


def _make_like(part: Path, found: os.stat_result) -> None:
    """Give a file the mode and, if allowed, the owner of the file that it replaces."""
    if hasattr(os, "chown"):
        for owner in (-1, found.st_uid):
            with contextlib.suppress(OSError):
                os.chown(part, owner, found.st_gid)
    os.chmod(part, stat.S_IMODE(found.st_mode))
