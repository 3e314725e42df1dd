"""Compiled programs of the package: the recently used ones are kept.

JAX compiles a program for every shape and keeps it until the process dies. Each holds a few
megabytes and hundreds of memory maps. Linux allows 65,530 maps for each process, so a service that
fits tables of ever new shapes would crash after about 150 shapes.
"""

import contextlib
import ctypes
import functools
import inspect
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Generic, TypeVar

import jax
import jax.numpy as jnp
import jaxlib.version
import numpy as np
from jax import Array
from jax._src.interpreters import partial_eval

R = TypeVar("R")

# The largest number of programs that are kept, unless `keep` changes it.
MOST = 48
# With more memory maps than this in the process, fewer are kept; not on systems without limit.
MOST_MAPS, MAPS = 30_000, Path("/proc/self/maps")
# At least this many are kept whatever the number of maps: other code may hold the maps.
FEWEST = 16
# Maps are counted and memory is returned once for this many new programs: it is slow.
STRIDE = 8
# For passes over at most this many numbers, compiling well takes longer than it saves; up to the
# second number, more components in a program cost less than another program.
BRIEF, ROOMY = 2**15, 2**17
HASTE = {"xla_cpu_use_fusion_emitters": False}
# A third of the time to compile, three times the time to run.
GREAT_HASTE = {"xla_backend_optimization_level": 0, **HASTE}
# Older versions of jaxlib have these options.
NO_LONGER_SURE = (0, 11)
# A program copies arrays of fewer numbers than this: 15 µs instead of about 45.
MOST_COPIED = 2**16


def padded_components(k: int, factor: int) -> int:
    """The next of 4, 4 times the factor, and so on: numbers that share a program."""
    size = 4
    while size < k:
        size *= factor
    return size


class Shelf:
    """The programs that are kept, in order of last use."""

    def __init__(self, most: int = MOST) -> None:
        self.most = most
        self.programs: OrderedDict[Any, Any] = OrderedDict()
        self.lock = threading.Lock()
        self.n_made = 0

    def of(self, signature: Any, make: Callable[[], Any]) -> Any:
        """The program of a signature; it is made on first use."""
        with self.lock:
            program = self.programs.get(signature)
            if program is not None:
                self.programs.move_to_end(signature)
                return program
            program = self.programs[signature] = make()
            self.n_made += 1
            gone, due = self.shortened(), self.n_made % STRIDE == 0
        if gone:
            # Freed outside the lock: unmapping a program is slow.
            del gone
            if due:
                give_back()
        return program

    def shortened(self) -> list[Any]:
        """Remove the oldest programs until few enough are left; returns the removed ones."""
        most = self.most
        if self.n_made % STRIDE == 0 and n_maps() > MOST_MAPS:
            most = min(most, max(FEWEST, len(self.programs) * 3 // 4))
        n_gone = max(0, len(self.programs) - most)
        return [self.programs.popitem(last=False) for _ in range(n_gone)]


def n_maps() -> int:
    """The number of memory maps of this process, or 0 where the system does not say."""
    return MAPS.read_bytes().count(b"\n") if MAPS.exists() else 0


def give_back() -> None:
    """Return to the system what tracing and compiling leave behind, hundreds of megabytes.

    JAX keeps the trace of every function of `jax.numpy` for every shape, 1 MB a fit, until the
    process dies. They are traced again in milliseconds; compiled programs are not touched.
    """
    traces = getattr(partial_eval, "trace_to_jaxpr", None)
    if traces is not None:
        traces.cache_clear()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it, musl has not
        if trim is not None:
            trim(0)


_shelf = Shelf()


def keep(most: int) -> None:
    """Set how many compiled programs the package keeps; the default is 48.

    There is one program for each function and the shapes, dtypes and options that it is called
    with. When there are more than ``most``, or when the process holds 30,000 memory maps (nearly
    half of what Linux allows), the least recently used programs are dropped. They are compiled
    again when they are needed. Functions that you jit yourself are not affected.

    Args:
      most: at least 1.

    Raises:
      ValueError: less than 1.

    Example:
      >>> import mixjax
      >>> mixjax.programs.keep(200)
      >>> mixjax.programs.keep(48)

    Source: the memory maps of Linux, `man 5 proc`, ``/proc/sys/vm/max_map_count``.
    """
    if most < 1:
        raise ValueError(f"most must be at least 1, got {most}")
    with _shelf.lock:
        _shelf.most = most
        gone = _shelf.shortened()
    del gone


def n_kept() -> int:
    """How many programs the package holds.

    Returns:
      Their number, at most that of `keep`; those inlined in other programs count too.

    Example:
      >>> import mixjax
      >>> mixjax.programs.n_kept() <= 48
      True

    Source: none.
    """
    return len(_shelf.programs)


class Compiling:
    """Tells watchers how many programs are being compiled, and how many have been begun."""

    def __init__(self) -> None:
        self.watchers: list[Callable[[int, int], None]] = []
        self.lock = threading.Lock()
        self.n_now = self.n_begun = 0

    def __enter__(self) -> None:
        self._tell(1)

    def __exit__(self, *error: object) -> None:
        self._tell(-1)

    def _tell(self, more: int) -> None:
        with self.lock:
            self.n_now += more
            self.n_begun += max(more, 0)
            now, begun = self.n_now, self.n_begun
        for watcher in list(self.watchers):
            watcher(now, begun)


_compiling = Compiling()


@contextlib.contextmanager
def watched(watcher: Callable[[int, int], None]) -> Iterator[None]:
    """Call ``watcher(n_now, n_begun)`` whenever a program begins or ends to be compiled."""
    first = _compiling.n_begun

    def since(n_now: int, n_begun: int) -> None:
        watcher(n_now, n_begun - first)

    _compiling.watchers.append(since)
    try:
        yield
    finally:
        _compiling.watchers.remove(since)


def usable(options: dict[str, Any]) -> dict[str, Any]:
    """Those of the compiler options that this version of XLA has: they come and go."""
    if jaxlib.version.__version_info__ < NO_LONGER_SURE:
        return options
    return {name: value for name, value in options.items() if understood(name, value)}


@functools.cache
def understood(option: str, value: bool | int) -> bool:
    """Whether XLA has this option; a compilation of nothing says."""
    trial = jax.jit(lambda: (), compiler_options={option: value})
    try:
        trial.lower().compile()
    except jax.errors.JaxRuntimeError as error:
        if "No such compile option" not in str(error):
            raise
        return False
    return True


class Jitted(Generic[R]):
    """What `jit` returns: one program for each kind of arguments, kept on the shelf."""

    def __init__(self, f: Callable[..., R], options: dict[str, Any]) -> None:
        functools.update_wrapper(self, f)
        self.f, self.options = f, options
        self.places, self.names = _static(f, options)

    def __call__(self, *args: Any, **kwargs: Any) -> R:
        program = self.program(args, kwargs)
        if _compiling.watchers and not program._cache_size():
            with _compiling:
                return program(*args, **kwargs)
        return program(*args, **kwargs)

    def program(self, args: Any, kwargs: Any) -> Any:
        """The jitted function for arguments of this kind; its cache holds no other kind."""
        fixed: tuple[Any, ...] = ()
        if self.places or kwargs:
            fixed, args = self._parted(args, kwargs)
        leaves, structure = jax.tree.flatten(args)
        kinds = [leaf.aval if hasattr(leaf, "aval") else _kind(leaf) for leaf in leaves]
        return _shelf.of((self, structure, fixed, *kinds), self.fresh)

    def _parted(self, args: Any, kwargs: Any) -> tuple[tuple[Any, ...], Any]:
        """The static arguments, and the others."""
        fixed = [args[place] for place in self.places if place < len(args)]
        fixed += [(name, kwargs[name]) for name in self.names if name in kwargs]
        free = [arg for place, arg in enumerate(args) if place not in self.places]
        named = {name: arg for name, arg in kwargs.items() if name not in self.names}
        return tuple(fixed), (free, named)

    def fresh(self) -> Any:
        """A new jitted function: JAX frees what it compiled when it is dropped."""
        f = self.f

        @functools.wraps(f)
        def own(*args: Any, **kwargs: Any) -> Any:
            return f(*args, **kwargs)

        options = self.options
        if wished := options.get("compiler_options"):
            options = {**options, "compiler_options": usable(wished)}
        return jax.jit(own, **options)

    def lower(self, *args: Any, **kwargs: Any) -> Any:
        """As for `jax.jit`."""
        return self.program(args, kwargs).lower(*args, **kwargs)

    def clear_cache(self) -> None:
        """As for `jax.jit`."""
        with _shelf.lock:
            gone = [_shelf.programs.pop(key) for key in list(_shelf.programs) if key[0] is self]
        del gone

    def n_compiled(self) -> int:
        """How many programs of this function there are."""
        with _shelf.lock:
            own = [program for key, program in _shelf.programs.items() if key[0] is self]
        return sum(program._cache_size() for program in own)


def jit(f: Callable[..., R], **options: Any) -> Jitted[R]:
    """`jax.jit` for the functions of this package: a bounded number of programs is kept."""
    return Jitted(f, options)


class BySize(Generic[R]):
    """A function of two programs: for little work it is compiled in haste, in half of the time."""

    def __init__(self, f: Callable[..., R], **options: Any) -> None:
        self.thorough: Jitted[R] = jit(f, **options)
        self.hasty: Jitted[R] = jit(f, **options, compiler_options=HASTE)

    def for_size(self, size: int) -> Jitted[R]:
        """The program for this many numbers in a pass."""
        return self.hasty if size <= BRIEF else self.thorough

    def n_compiled(self) -> int:
        """How many programs of this function there are."""
        return self.hasty.n_compiled() + self.thorough.n_compiled()


def on_device(values: Any, dtype: Any = None) -> Array:
    """`jnp.asarray` of NumPy arrays without compiling a program for each shape."""
    if not isinstance(values, np.ndarray):
        return jnp.asarray(values, dtype)
    # A copy, because JAX may share the memory of the array.
    with np.errstate(over="ignore"):
        return jax.device_put(np.array(values, dtype))


def taken(x: Any) -> Array:
    """`on_device` for small tables that come again and again."""
    # A program for the shape copies them faster; it is dropped like the others.
    small = isinstance(x, np.ndarray) and x.size <= MOST_COPIED
    return _copied(np.array(x)) if small else on_device(x)


def _static(f: Callable[..., Any], options: dict[str, Any]) -> tuple[tuple[int, ...], set[str]]:
    """The positions and the names of the static arguments."""
    places, names = options.get("static_argnums", ()), options.get("static_argnames", ())
    places = {places} if isinstance(places, int) else set(places)
    names = {names} if isinstance(names, str) else set(names)
    known = list(inspect.signature(f).parameters) if places or names else []
    both = {known[place] for place in places} | names
    return tuple(place for place, name in enumerate(known) if name in both), both


def _kind(value: Any) -> Any:
    """What JAX compiles for, of a value that is not a JAX array."""
    return (value.shape, value.dtype) if hasattr(value, "dtype") else type(value)


_copied = jit(jnp.copy)
