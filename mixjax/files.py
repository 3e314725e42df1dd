"""Files that are whole or not there: written beside their place, then moved into it."""

import contextlib
import hashlib
import json
import os
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import jax
import jax.numpy as jnp
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


def named(tree: Any) -> dict[str, np.ndarray]:
    """The leaves of a tree by the names of their places in it."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(place): np.asarray(leaf) for place, leaf in leaves}


def filled(
    skeleton: Any, arrays: dict[str, np.ndarray], file: str, lanes: tuple[int, ...] = ()
) -> Any:
    """A tree like the skeleton, with the arrays as leaves; each has ``lanes`` before its axes."""
    places, structure = jax.tree_util.tree_flatten_with_path(skeleton)
    names = [jax.tree_util.keystr(place) for place, _ in places]
    if set(names) != set(arrays):
        odd = sorted(set(names) ^ set(arrays))
        raise ValueError(f"{file}: its arrays are not those expected: {', '.join(odd[:5])}")
    for name, (_, leaf) in zip(names, places, strict=True):
        found, expected = arrays[name], lanes + tuple(leaf.shape)
        if found.shape != expected or found.dtype != leaf.dtype:
            raise ValueError(
                f"{file}: {name} has shape {found.shape} of {found.dtype}, expected {expected} "
                f"of {leaf.dtype}" + (" (set jax_enable_x64)" if found.dtype == np.float64 else "")
            )
    return jax.tree.unflatten(structure, [jnp.asarray(arrays[name]) for name in names])


def digest_of(text: str, identity: Any) -> str:
    """A digest of a text and of a tree: its structure and the bytes of its leaves."""
    digest = hashlib.sha256((text + str(jax.tree.structure(identity))).encode())
    for leaf in jax.tree.leaves(identity):
        if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            leaf = jax.random.key_data(leaf)
        array = np.ascontiguousarray(leaf)
        digest.update(f"{array.shape}{array.dtype}".encode())
        digest.update(array.data)
    return digest.hexdigest()
