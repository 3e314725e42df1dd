"""Compiled programs on disk: the next process reads them instead of compiling."""

import os
import warnings
from pathlib import Path
from typing import Any

import jax
import jaxlib
import numpy as np
from jax.experimental.compilation_cache import compilation_cache

from .saving import FilePath

# The oldest programs are removed when a cache of more bytes is enabled.
MOST_BYTES = 2**30
HIT = "/jax/compilation_cache/cache_hits"
DEFAULT_SECONDS = 1.0  # of JAX: programs that compile faster are not kept

SECONDS = "jax_persistent_cache_min_compile_time_secs"

_hits = 0
_listening = False
# The options that `disable_cache` restores; None if no cache was enabled.
_before: tuple[Any, Any] | None = None


def enable_cache(path: FilePath | None = None) -> Path | None:
    """Keep compiled programs on disk, so that the next process need not compile them.

    A folder holds the programs of one version of jaxlib. What you have set in JAX's own options
    or variables (``JAX_COMPILATION_CACHE_DIR`` and others) stays as it is. Importing mixjax
    never enables a cache; the command does, unless ``--no-cache`` is given.

    A cache is code: a new folder is for its owner alone, and one that others can write to is
    refused.

    Args:
      path: the folder; None for ``mixjax`` in ``$XDG_CACHE_HOME``, or in ``~/.cache``.

    Returns:
      The folder with the programs, or None if there is no cache.

    Warns:
      UserWarning: the folder cannot be used, or programs cannot be read back on this machine.
        The work goes on without a cache.

    Example:
      >>> import mixjax, pathlib, tempfile
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     used = mixjax.enable_cache(folder)
      ...     mixjax.disable_cache()
      >>> used.name.startswith("jaxlib-")
      True

    Source: JAX, Persistent Compilation Cache.
    """
    if not jax.config.values["jax_enable_compilation_cache"]:
        return None  # the user has forbidden it
    own = jax.config.values["jax_compilation_cache_dir"]
    if own and path is None:
        return Path(own)
    folder = _default() if path is None else Path(path)
    folder = folder / f"jaxlib-{jaxlib.__version__}"
    if (reason := _unusable(folder)) is not None:
        warnings.warn(f"compiled programs are not kept: {reason}", stacklevel=2)
        return None
    global _before
    if _before is None:
        _before = own, _least_seconds()
    _shorten(folder)
    chosen = SECONDS.upper() in os.environ
    if not chosen and _least_seconds() == DEFAULT_SECONDS:
        jax.config.update(SECONDS, 0.0)
    _use(folder)
    if _least_seconds() == 0 and not _reads_back():
        warnings.warn(
            f"programs in {folder} cannot be read back on this machine, so they are compiled "
            "again: XLA_FLAGS=--xla_cpu_max_isa=AVX2 may help (jax issue 38445)",
            stacklevel=2,
        )
    return folder


def disable_cache() -> None:
    """Undo `enable_cache`; the folder stays.

    Example:
      >>> import mixjax
      >>> mixjax.disable_cache()

    Source: JAX, Persistent Compilation Cache.
    """
    global _before
    if _before is not None:
        folder, seconds = _before
        _before = None
        jax.config.update(SECONDS, seconds)
        _use(None if folder is None else Path(folder))


def _use(folder: Path | None) -> None:
    jax.config.update("jax_compilation_cache_dir", None if folder is None else str(folder))
    # JAX looks at the option only once.
    compilation_cache.reset_cache()


def _least_seconds() -> float:
    """Programs that compile faster are not kept."""
    return float(jax.config.values[SECONDS])


def _default() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "mixjax"


def _unusable(folder: Path) -> str | None:
    """Why programs cannot be kept in this folder; it is made if it is not there."""
    try:
        # Both are made for their owner alone.
        for place in (folder.parent, folder):
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
            if (reason := _unsafe(place)) is not None:
                return reason
        trial = folder / f".trial-{os.getpid()}"
        trial.write_bytes(b"trial")
        trial.unlink()
    except OSError as error:
        return f"{folder} cannot be written ({error.strerror or error})"
    return None


def _unsafe(folder: Path) -> str | None:
    if not hasattr(os, "getuid"):
        return None
    state = folder.stat()
    if state.st_uid != os.getuid():
        return f"{folder} belongs to another user"
    if state.st_mode & 0o022:
        return f"others can write to {folder}; chmod 700 makes it safe"
    return None


def _shorten(folder: Path) -> None:
    """Remove the oldest programs until few enough bytes are left."""
    found: list[tuple[float, int, Path]] = []
    for file in folder.glob("*-cache"):
        try:
            state = file.stat()
        except OSError:  # another process has removed it
            continue
        found.append((state.st_mtime, state.st_size, file))
    total = sum(size for _, size, _ in found)
    for _, size, file in sorted(found):
        if total <= MOST_BYTES:
            return
        file.unlink(missing_ok=True)
        total -= size


def _reads_back() -> bool:
    """Whether a program that was just written can be read."""
    _listen()
    before = _hits
    for _ in range(2):
        jax.jit(lambda x: x + 1.5).lower(np.float32(0)).compile()
    return _hits > before


def _listen() -> None:
    global _listening

    def heard(event: str, **_: Any) -> None:
        global _hits
        _hits += event == HIT

    if not _listening:
        jax.monitoring.register_event_listener(heard)
        _listening = True
