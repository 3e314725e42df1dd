"""Short forms of numbers, arrays and lists, also of arrays without known numbers."""

import enum
from collections.abc import Iterable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

# The largest number of numbers shown in a row.
SHOWN = 8
# The largest number of characters shown of a name.
NAME = 24


def on_host(value: Any) -> np.ndarray | None:
    """The numbers as a NumPy array; None for tracers, placeholders and data of other hosts."""
    try:
        array = np.asarray(value)
    except Exception:
        return None
    real = jnp.issubdtype(array.dtype, jnp.number) and array.dtype.kind != "c"
    return array if real or array.dtype == bool else None


def number(value: Any, digits: int = 4) -> str:
    """One real number as text, such as 3.142."""
    if np.asarray(value).dtype.kind in "biu":
        return str(value)
    return f"{float(value):.{digits}g}"


def numbers(values: np.ndarray) -> list[str]:
    """The first numbers of (n,) as text, and their number if some are not shown."""
    shown = [number(value) for value in values[:SHOWN].tolist()]
    return [*shown, f"... ({len(values):,} in all)"] if len(values) > SHOWN else shown


def counted(n: int, singular: str) -> str:
    """A number with a noun: "1 component", "1,000 components"."""
    return f"{n:,} {singular}{'' if n == 1 else 's'}"


def lanes(shape: Iterable[int]) -> str:
    """Leading axes as text, such as "10 x 100 lanes"."""
    sizes = list(shape)
    return f"{' x '.join(f'{n:,}' for n in sizes)} lane{'' if sizes == [1] else 's'}"


def listed(values: Sequence[Any], most: int = 10) -> str:
    """The first entries as text, and their number if some are not shown."""
    shown = ", ".join(str(value) for value in values[:most])
    return shown + (f", ... ({len(values):,} in all)" if len(values) > most else "")


def quoted(name: Any) -> str:
    """A name in quotes on one line, shortened if it is long."""
    text = str(name)
    return repr(text if len(text) <= NAME else text[: NAME - 3] + "...")


def span(values: np.ndarray, unit: str = "") -> str:
    """The range of the values as text, and how many are not finite."""
    finite = values[np.isfinite(values)]
    n_left = values.size - finite.size
    if finite.size == 0:
        return "no finite number"
    low, high = (number(end, 6) for end in (finite.min(), finite.max()))
    ends = low if low == high else f"{low} to {high}"
    return f"{ends} {unit}".rstrip() + (f", {n_left:,} not finite" if n_left else "")


def tally(statuses: np.ndarray, kind: type[enum.IntEnum]) -> str:
    """Counts of statuses, the most frequent first: "9 CONVERGED, 1 MAX_ITER"."""
    each, counts = np.unique(statuses, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return ", ".join(f"{counts[i]:,} {kind(int(each[i])).name}" for i in order)


def normalized(log_weights: np.ndarray) -> np.ndarray:
    """Normalized weights: `Mixture.weights` without compiling a program."""
    logs = log_weights.astype(np.float64)
    with np.errstate(all="ignore"):
        weights = np.exp(logs - logs.max())
        return weights / weights.sum()
