"""Checks of arguments, at trace time."""

import numbers
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax._src import core as jax_core

from .families.family import Family
from .programs import on_device, taken
from .rows.frames import rows_of, values_of

# Not public; the fallback takes 0.1 ms.
_outside_of_jit = getattr(
    jax_core, "trace_state_clean", lambda: not isinstance(jnp.zeros(()), jax.core.Tracer)
)
# Iterations are counted in 32 bits.
MOST_ITERATIONS = 2**31 - 1
HOST_ONLY = "{} runs on the host, not under jit or vmap: there, use {}"


def is_concrete(value: Any) -> bool:
    """Whether this process can read the numbers: not under ``jit``, nor on other hosts."""
    return not isinstance(value, jax.core.Tracer) and getattr(value, "is_fully_addressable", True)


def on_host(*values: Any) -> bool:
    """Whether NumPy can read all the numbers without moving them, and JAX computes on a CPU.

    Under ``jit`` it cannot, although the values may be known: what is computed from them is not.
    """
    if not _outside_of_jit() or jax.default_backend() != "cpu":
        return False
    return all(map(_on_host, jax.tree.leaves(values)))


def _on_host(value: Any) -> bool:
    if not isinstance(value, jax.Array):
        return True
    return (
        is_concrete(value)
        and {device.platform for device in value.devices()} == {"cpu"}
        and (len(value.devices()) == 1)
    )


def table(x: Any, name: str = "x") -> Array:
    """A floating table of two axes, as a JAX array; NumPy's float64 becomes JAX's default float."""
    return taken(rows(x, name))


def rows(x: Any, name: str = "x") -> Any:
    """A floating table of two axes, left as the NumPy or JAX array that it is."""
    x, _ = rows_of(x, name)
    floating(x.dtype, name)
    shape = np.shape(x)
    if len(shape) != 2:
        hint = "; a single column is x[:, None], a single row x[None]" if len(shape) == 1 else ""
        raise ValueError(f"{name} must have shape (rows, columns), got {shape}{hint}")
    if 0 in shape:
        raise ValueError(f"{name} must have at least one row and one column, got {shape}")
    return x


def floating(dtype: Any, name: str) -> None:
    """Single or double precision."""
    if dtype not in (np.float32, np.float64):
        raise TypeError(
            f"{name} must hold float32 or float64 numbers, got {dtype}: "
            f"convert it first, for example {name}.astype('float32')"
        )


def finite_rows(x: Any, name: str = "x", *, observed: bool | None = None) -> Any:
    """The table, if every number is finite. Runs on the host.

    Args:
      x: (N, D) rows.
      name: what to call it.
      observed: whether NaN is a missing value; None where there can be none.
    """
    values = np.asarray(x)
    finite = (np.isfinite(values) | (np.isnan(values) & bool(observed))).all(axis=1)
    if not finite.all():
        more = ""
        if observed is False:
            more = ", or pass mixjax.Observed(x), in which NaN is a missing value"
        raise ValueError(
            f"{name} has {(~finite).sum()} rows with {'' if observed else 'NaN or '}infinity (the "
            f"first is row {int(np.argmin(finite))}): drop or fill them{more}"
        )
    return x


def optimizer(value: Any) -> None:
    """Raise unless this is an optax optimizer: an object, not its factory."""
    if not (hasattr(value, "init") and hasattr(value, "update")):
        raise TypeError(
            "optimizer must be an optax.GradientTransformation such as optax.adam(1e-3), "
            f"got {value!r}"
        )


def width(x: Any, n_features: int) -> None:
    """Raise unless the table has as many columns as the mixture."""
    if x.shape[1] != n_features:
        raise ValueError(
            f"x has {x.shape[1]} columns, but the mixture has {n_features} features: "
            "pass the columns that it was fitted on, in the same order"
        )


def row_weights(weights: Any, x: Any, may_all_be_zero: bool = False) -> Array | None:
    """None, or one non-negative floating weight for each row."""
    if weights is None:
        return None
    values = values_of(weights, "weights")
    if np.shape(values) != (x.shape[0],):
        raise ValueError(
            f"weights must have shape ({x.shape[0]},), one for each row; got {np.shape(values)}"
        )
    kind = np.dtype(values.dtype).kind
    if kind not in "fiub" and values.dtype != jnp.bfloat16:
        raise TypeError(f"weights must be real numbers, got {values.dtype}")
    if is_concrete(values):
        host = np.asarray(values)
        if (host < 0).any():
            first = int(np.argmax(host < 0))
            raise ValueError(
                f"weights must not be negative, got {host[first]} at row {first}: "
                "leave a row out with weight 0"
            )
        if not may_all_be_zero and not (host > 0).any():
            raise ValueError("weights must not all be zero: no row is left to fit")
    return on_device(values, x.dtype)


def responsibilities(resp: Any, x: Any, weights: Array | None = None) -> Array:
    """(N, K) non-negative numbers, checked in rows of positive weight."""
    if np.ndim(resp) != 2 or np.shape(resp)[0] != x.shape[0] or np.shape(resp)[1] == 0:
        raise ValueError(
            f"resp must have shape (rows, components) = ({x.shape[0]}, K), got {np.shape(resp)}"
        )
    resp = on_device(resp)
    if jnp.iscomplexobj(resp):
        raise TypeError(f"resp must be real numbers, got {resp.dtype}")
    if is_concrete(resp):
        host = np.asarray(resp)
        bad = ~((host >= 0) & (host < np.inf)).all(axis=1)
        if weights is not None and is_concrete(weights):
            bad &= np.asarray(weights) > 0
        if bad.any():
            first = int(np.argmax(bad))
            raise ValueError(
                "resp must not be negative, NaN or infinite, got "
                f"{host[first].tolist()} in row {first}: leave a row out with weight 0"
            )
    return resp


def n_components(value: Any, n_rows: int) -> int:
    """A whole number from 1 to the number of rows."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(
            f"n_components must be a Python int (it sets shapes), got {type(value).__name__}"
        )
    if not 1 <= int(value) <= n_rows:
        raise ValueError(
            f"n_components must be between 1 and the number of rows ({n_rows}), got {value}"
        )
    return int(value)


def count(value: Any, name: str) -> int:
    """A whole number of at least 1."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name} must be a Python int, got {type(value).__name__}")
    if int(value) < 1:
        raise ValueError(f"{name} must be at least 1, got {value}")
    return int(value)


def family(value: Any) -> type[Family]:
    """A subclass of `Family` (the class, not an instance)."""
    if not (isinstance(value, type) and issubclass(value, Family)):
        raise TypeError(
            f"family must be a class such as mixjax.Gaussian or mixjax.Laplace, got {value!r}"
        )
    return value


def family_of_numbers(value: Any, caller: str) -> type[Family]:
    """A subclass of `Family` that takes any numbers, not categories."""
    own = family(value)
    if own.looks_at_rows():
        raise TypeError(
            f"{caller} is for families of numbers, got {own.__name__}, which holds categories: "
            "fit it by mixjax.fit or mixjax.fit_batch"
        )
    return own


def key(value: Any) -> Array:
    """One new-style random key."""
    dtype = getattr(value, "dtype", None)
    if dtype is None or not jnp.issubdtype(dtype, jax.dtypes.prng_key):
        raise TypeError(
            "key must be a typed random key, jax.random.key(0); got "
            f"{type(value).__name__}{'' if dtype is None else f' of {dtype}'}. "
            "Convert an old-style key with jax.random.wrap_key_data"
        )
    if value.ndim != 0:
        raise ValueError(
            f"key must be a single key, got shape {value.shape}: use jax.vmap for several keys"
        )
    return value


def reg_covar(value: Any, n_features: int) -> None:
    """None, a number, or a number for each feature; not negative."""
    if value is None:
        return
    if np.shape(value) not in ((), (n_features,)):
        raise ValueError(
            f"reg_covar must be None, a number or of shape ({n_features},), "
            f"got shape {np.shape(value)}"
        )
    if is_concrete(value) and not bool((np.asarray(value) >= 0).all()):
        raise ValueError(f"reg_covar must not be negative, got {value}")


def stopping(tol: Any, max_iter: Any) -> None:
    """A tolerance and a number of iterations, neither negative; either may be traced."""
    for name, value in (("tol", tol), ("max_iter", max_iter)):
        if np.shape(value) != ():
            raise ValueError(f"{name} must be a single number, got shape {np.shape(value)}")
        if is_concrete(value) and not value >= 0:
            raise ValueError(f"{name} must not be negative, got {value}")
    if is_concrete(max_iter) and not max_iter <= MOST_ITERATIONS:
        raise ValueError(f"max_iter must be at most {MOST_ITERATIONS}, got {max_iter}")
    if is_concrete(max_iter) and int(max_iter) != max_iter:
        raise TypeError(f"max_iter must be a whole number, got {max_iter}")


def columns(values: Any, n_features: int, n_wanted: int | None = None) -> np.ndarray:
    """Numbers of different columns, (C,) int32 from 0; negative ones count from the end.

    NumPy's, since under ``jit`` JAX's would be traced.
    """
    found = np.atleast_1d(np.asarray(values))
    whole = found.ndim == 1 and found.size > 0 and found.dtype.kind in "iu"
    there = whole and bool(((-n_features <= found) & (found < n_features)).all())
    different = there and len(np.unique(found % n_features)) == found.size
    if not different or n_wanted not in (None, found.size):
        number = "" if n_wanted is None else f"{n_wanted} "
        raise ValueError(
            f"columns must be {number}different numbers from 0 to {n_features - 1}, got {values!r}"
        )
    return (found % n_features).astype(np.int32)


def labels(values: Any, n_rows: int, name: str = "labels") -> Any:
    """One entry for each row: 1 or True for an anomaly, 0 or False if normal; may be traced."""
    values = values_of(values, name)
    if values.shape != (n_rows,):
        shape = f"({n_rows},), one for each row"
        raise ValueError(f"{name} must have shape {shape}; got {values.shape}")
    if is_concrete(values):
        found = np.unique(np.asarray(values))
        if not np.isin(found, (0, 1)).all():
            shown = ", ".join(str(value) for value in found[:5])
            raise ValueError(f"{name} must be 1 for anomalies and 0 for normal rows, got {shown}")
    return values
