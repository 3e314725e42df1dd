"""Compiled programs of the package: those used of late are kept, and older ones let go.

JAX compiles a program for every shape and keeps it until the process dies. Each holds a few
megabytes and hundreds of memory maps, of which Linux allows a process 65,530: a service that
fits tables of ever new shapes would end after some 150 of them.
"""

import ctypes
import functools
import inspect
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax._src.interpreters import partial_eval

R = TypeVar("R")

# The most programs that are kept, unless `keep` says otherwise.
MOST = 48
# With more memory maps than this in the process, fewer are kept; not on systems without limit.
MOST_MAPS, MAPS = 30_000, Path("/proc/self/maps")
# So many stay however many maps there are: the maps may be somebody else's.
FEWEST = 16
# Maps are counted, and memory is given back, once in so many new programs: it takes a while.
STRIDE = 8
# Fewer numbers than these are taken in by a program, which saves 30 µs of some 45.
FEW = 2**16


class Shelf:
    """The programs that are kept, the one used last at the end."""

    def __init__(self, most: int = MOST) -> None:
        self.most = most
        self.programs: OrderedDict[Any, Any] = OrderedDict()
        self.lock = threading.Lock()
        self.n_made = 0

    def of(self, signature: Any, make: Callable[[], Any]) -> Any:
        """The program of a signature; made if there is none."""
        with self.lock:
            program = self.programs.get(signature)
            if program is not None:
                self.programs.move_to_end(signature)
                return program
            program = self.programs[signature] = make()
            self.n_made += 1
            gone, due = self.shortened(), self.n_made % STRIDE == 0
        if gone:
            # Freed outside the lock: to unmap a program takes a while.
            del gone
            if due:
                give_back()
        return program

    def shortened(self) -> list[Any]:
        """Take out the oldest until there are few enough of them; those taken out."""
        most = self.most
        if self.n_made % STRIDE == 0 and n_maps() > MOST_MAPS:
            most = min(most, max(FEWEST, len(self.programs) * 3 // 4))
        n_gone = max(0, len(self.programs) - most)
        return [self.programs.popitem(last=False) for _ in range(n_gone)]


def n_maps() -> int:
    """The memory maps of this process, where the system counts them."""
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
    """How many compiled programs the package keeps: 48 unless this is called.

    There is one program for each function and the shapes, dtypes and options that it is called
    with. When there are more than ``most``, or when the process holds 30,000 memory maps (nearly
    half of what Linux allows), those that have not been used for longest go, and are compiled
    again when they are asked for. Functions that you jit yourself are JAX's, and stay.

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
      Their number, at most that of `keep`; those that only stand in other programs count too.

    Example:
      >>> import mixjax
      >>> mixjax.programs.n_kept() <= 48
      True

    Source: none.
    """
    return len(_shelf.programs)


class Jitted(Generic[R]):
    """A function as `jit` gives it: a program for each kind of arguments, from the shelf."""

    def __init__(self, f: Callable[..., R], options: dict[str, Any]) -> None:
        functools.update_wrapper(self, f)
        self.f, self.options = f, options
        self.places, self.names = _static(f, options)

    def __call__(self, *args: Any, **kwargs: Any) -> R:
        return self.program(args, kwargs)(*args, **kwargs)

    def program(self, args: Any, kwargs: Any) -> Any:
        """The jitted function for arguments like these, with no other kind in its cache."""
        fixed: tuple[Any, ...] = ()
        if self.places or kwargs:
            fixed, args = self._parted(args, kwargs)
        leaves, structure = jax.tree.flatten(args)
        kinds = [leaf.aval if hasattr(leaf, "aval") else _kind(leaf) for leaf in leaves]
        return _shelf.of((self, structure, fixed, *kinds), self.fresh)

    def _parted(self, args: Any, kwargs: Any) -> tuple[tuple[Any, ...], Any]:
        """The arguments that are static, and the others."""
        fixed = [args[place] for place in self.places if place < len(args)]
        fixed += [(name, kwargs[name]) for name in self.names if name in kwargs]
        free = [arg for place, arg in enumerate(args) if place not in self.places]
        named = {name: arg for name, arg in kwargs.items() if name not in self.names}
        return tuple(fixed), (free, named)

    def fresh(self) -> Any:
        """A jitted function of its own: JAX frees all that it compiled when it is dropped."""
        f = self.f

        @functools.wraps(f)
        def own(*args: Any, **kwargs: Any) -> Any:
            return f(*args, **kwargs)

        return jax.jit(own, **self.options)

    def lower(self, *args: Any, **kwargs: Any) -> Any:
        """As that of `jax.jit`."""
        return self.program(args, kwargs).lower(*args, **kwargs)

    def clear_cache(self) -> None:
        """As that of `jax.jit`."""
        with _shelf.lock:
            gone = [_shelf.programs.pop(key) for key in list(_shelf.programs) if key[0] is self]
        del gone

    def n_compiled(self) -> int:
        """How many programs of this function there are."""
        with _shelf.lock:
            own = [program for key, program in _shelf.programs.items() if key[0] is self]
        return sum(program._cache_size() for program in own)


def jit(f: Callable[..., R], **options: Any) -> Jitted[R]:
    """`jax.jit` for the functions of this package: of all programs, a bounded number is kept."""
    return Jitted(f, options)


def on_device(values: Any, dtype: Any = None) -> Array:
    """`jnp.asarray` without a program, which it compiles for each shape of NumPy's arrays."""
    if not isinstance(values, np.ndarray):
        return jnp.asarray(values, dtype)
    # A copy of our own, as JAX may use the memory as it is.
    with np.errstate(over="ignore"):
        return jax.device_put(np.array(values, dtype))


def taken(x: Any) -> Array:
    """`on_device`, for rows of which there may be few, again and again."""
    # A program of the shape takes them in sooner, and is let go like the others.
    few = isinstance(x, np.ndarray) and x.size <= FEW
    return _copied(np.array(x)) if few else on_device(x)


def _static(f: Callable[..., Any], options: dict[str, Any]) -> tuple[tuple[int, ...], set[str]]:
    """The places and the names of the arguments that are static."""
    places, names = options.get("static_argnums", ()), options.get("static_argnames", ())
    places = {places} if isinstance(places, int) else set(places)
    names = {names} if isinstance(names, str) else set(names)
    known = list(inspect.signature(f).parameters) if places or names else []
    both = {known[place] for place in places} | names
    return tuple(place for place, name in enumerate(known) if name in both), both


def _kind(value: Any) -> Any:
    """What JAX compiles for, of a value that is no array of JAX."""
    return (value.shape, value.dtype) if hasattr(value, "dtype") else type(value)


_copied = jit(jnp.copy)
