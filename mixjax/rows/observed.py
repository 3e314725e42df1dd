"""Rows of which not everything is known: some values are missing, or measured with errors."""

from typing import Any, NamedTuple

import jax
import numpy as np
from jax import Array

from ..pytrees import pytree
from .executor import executor_of

# What stands for a variance of the error where a value is missing.
MISSING = -1.0


@pytree
class Observed:
    r"""A table in which values are missing or measured with known errors.

    The value $x_{nd}$ that a mixture describes is not seen. Seen is
    $y_n = x_n + \varepsilon_n$ with $\varepsilon_n \sim N(0, S_n)$, and of it only the values
    that are not NaN. A value with an infinite variance of the error is missing, too.

    Attributes:
      x: (N, D) rows, float32 or float64; NaN is a missing value.
      noise: the variances of the errors, in squared units of x: (D,) for all rows alike, (N, D),
        or covariances (N, D, D); None for none.

    Example:
      >>> import jax, jax.numpy as jnp, mixjax
      >>> x = jnp.array([[1.0, 2.0], [3.0, jnp.nan], [5.0, 7.0], [jnp.nan, 4.0]])
      >>> fit = mixjax.fit(jax.random.key(0), mixjax.Observed(x), 1)
      >>> fit.mixture.components.means.shape
      (1, 2)

    Source: Ghahramani and Jordan, Supervised Learning from Incomplete Data via an EM Approach
    (1994), section 2; Bovy, Hogg and Roweis, Extreme Deconvolution (2011).
    """

    x: Any
    noise: Any = None


def noise_of(noise: Any, shape: tuple[int, ...], name: str = "") -> Any:
    """The checked noise of rows of this shape (..., N, D): as many axes, or one more.

    Args:
      noise: (D,) for all rows alike, or of the shape of the rows, or with one more axis of D.
      shape: that of the rows.
      name: whose noise it is, for messages.

    Raises:
      TypeError, ValueError: it has another shape, or holds no variances or covariances.
    """
    d, of = shape[-1], f"noise{name and ' of '}{name}"
    noise = noise if isinstance(noise, jax.Array) else np.asarray(noise)
    known = ((d,), shape, (*shape, d))
    if noise.shape not in known:
        raise ValueError(
            f"{of} must have shape {known[0]}, {known[1]} or {known[2]}, the variances or the "
            f"covariances of errors; got {noise.shape}"
        )
    if np.dtype(noise.dtype).kind not in "fiu":
        raise TypeError(f"{of} must be real numbers, got {noise.dtype}")
    full = noise.ndim > len(shape)
    if not isinstance(noise, jax.core.Tracer):
        _require_variances(np.asarray(noise, np.float64), full, of)
    return noise if full else executor_of(noise).xp.broadcast_to(noise, shape)


def _require_variances(noise: np.ndarray, full: bool, of: str) -> None:
    """Raise unless these are variances (..., D), or covariances if ``full``."""
    d = noise.shape[-1]
    one = noise.ndim == 1
    noise = noise.reshape(-1, d, d) if full else noise.reshape(-1, d)
    variances = np.diagonal(noise, axis1=1, axis2=2) if full else noise
    wrong = ~(variances >= 0).all(axis=1)  # NaN, too
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ValueError(
            f"{of} must be variances of at least 0, got {variances[row]}"
            f"{'' if one else f' in row {row}'}: use infinity where nothing is known"
        )
    if not full:
        return
    missing = np.isinf(variances)
    finite = np.where(missing[:, :, None] | missing[:, None], 0, noise)
    largest = np.abs(finite).max(axis=(1, 2))
    tolerance = 1e-6 * np.where(largest > 0, largest, 1)
    skew = np.abs(finite - finite.swapaxes(1, 2)).max(axis=(1, 2)) > tolerance
    negative = np.linalg.eigvalsh(finite).min(axis=1) < -tolerance
    if (wrong := skew | negative).any():
        raise ValueError(
            f"{of} must be symmetric and positive semi-definite, but that of row "
            f"{int(np.argmax(wrong))} is not"
        )


class Seen(NamedTuple):
    """What is seen of rows.

    Attributes:
      x: (N, D) the values, 0 where missing.
      known: (N, D) whether a value is there.
      noise: the variances (N, D) or covariances (N, D, D) of the errors, 0 where missing; None if
        nothing was measured with an error.
    """

    x: Array
    known: Array
    noise: Array | None


def packed_width(n_features: int, full: bool) -> int:
    """The number of columns of a table with its noise."""
    return n_features * (1 + (n_features if full else 1))


def packed(x: Any, noise: Any, full: bool) -> Any:
    """Values (N, D) and the noise beside them, as one table (N, `packed_width`).

    Args:
      x: (N, D), NaN where a value is missing.
      noise: None, (N, D), or (N, D, D) if ``full``.
      full: whether the noise has covariances.
    """
    xp = executor_of(x).xp
    n, d = x.shape
    missing = xp.isnan(x)
    if noise is None:
        noise = xp.zeros((n, d, d) if full else (n, d), x.dtype)
    variances = xp.diagonal(noise, axis1=1, axis2=2) if full else noise
    missing = missing | xp.isinf(variances)
    values = xp.where(missing, 0, x)
    marked = xp.where(missing, MISSING, variances)
    if full:
        # Errors of missing values do not matter.
        eye = xp.eye(d, dtype=bool)[None]
        both = ~(missing[:, :, None] | missing[:, None])
        marked = xp.where(eye, marked[:, :, None], xp.where(both, noise, 0)).reshape(n, d * d)
    return xp.concatenate([values, marked.astype(x.dtype)], axis=1)


def known_values(table: Any) -> Any:
    """Which values (N, D) of packed rows without covariances are there."""
    return table[:, table.shape[1] // 2 :] >= 0


def unpacked(table: Any, n_features: int) -> Seen:
    """What is seen of the rows of a packed table."""
    xp, d = executor_of(table).xp, n_features
    x, noise = table[:, :d], table[:, d:]
    if noise.shape[1] == d:
        return Seen(x, noise >= 0, xp.maximum(noise, 0))
    noise = noise.reshape(len(x), d, d)
    known = xp.diagonal(noise, axis1=1, axis2=2) >= 0
    return Seen(x, known, xp.where(known[:, :, None] & known[:, None], noise, 0))


def without(table: Any, column: Any, n_features: int) -> Any:
    """Packed rows in which a column is missing."""
    xp, d = executor_of(table).xp, n_features
    places = np.arange(table.shape[1])
    value = np.where(places < d, places, (places - d) % d)
    other = np.where(places < d, places, (places - d) // d if table.shape[1] > 2 * d else value)
    diagonal = (places >= d) & (value == other)
    gone = (value == column) | (other == column)
    marked = xp.where(gone & diagonal, xp.asarray(MISSING, table.dtype), 0)
    return xp.where(gone[None], marked[None], table)


def known_in(rows: Any, n_features: int) -> Any:
    """Which values are there (B, D, C), of packed rows in blocks (B, W, C)."""
    d = n_features
    if rows.shape[1] == 2 * d:
        return rows[:, d:] >= 0
    return rows[:, d :: d + 1] >= 0


def scaled(rows: Any, shift: Any, scale: Any) -> Any:
    """Packed rows in blocks (B, W, C), in units of ``(x - shift) / scale`` (D,)."""
    xp, d = executor_of(rows).xp, len(scale)
    known = known_in(rows, d)
    x = xp.where(known, (rows[:, :d] - shift[None, :, None]) / scale[None, :, None], 0)
    noise = rows[:, d:]
    if noise.shape[1] == d:
        # Roots first: the square of a scale may leave the range of floats.
        root = xp.sqrt(xp.maximum(noise, 0)) / scale[None, :, None]
        noise = xp.where(known, root**2, MISSING)
    else:
        ones = xp.ones_like(scale)
        left = (scale[:, None] * ones[None]).reshape(-1)[None, :, None]
        right = (ones[:, None] * scale[None]).reshape(-1)[None, :, None]
        noise = xp.where(noise == MISSING, MISSING, noise / left / right)
    return xp.concatenate([x, noise], axis=1)


def with_means(x: np.ndarray) -> np.ndarray:
    """Rows (N, D) with the mean of the known values of a column for its missing ones."""
    known = ~np.isnan(x)
    n_known = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, x / n_known, 0).sum(axis=0)
    return np.where(known, x, mean).astype(x.dtype)


def filled(rows: Any, weights: Any, known: Any, n_sweeps: int = 5) -> Any:
    """Values for the missing ones of scaled rows (B, D, C), for a start.

    They are the conditional means under one Gaussian whose covariance is that of all pairs of
    known values. Gauss-Seidel sweeps solve for them.
    """
    on = executor_of(rows)
    xp, d = on.xp, rows.shape[1]
    there = known.astype(rows.dtype) * weights[:, None]
    flat = xp.moveaxis(rows * there, 1, 0).reshape(d, -1)
    mass = xp.moveaxis(there, 1, 0).reshape(d, -1)
    values = xp.moveaxis(xp.where(known, rows, 0), 1, 0).reshape(d, -1)
    pairs = on.matmul(mass, xp.moveaxis(known, 1, 0).reshape(d, -1).astype(rows.dtype).T)
    covariance = on.matmul(flat, values.T) / xp.where(pairs > 0, pairs, 1)
    covariance = 0.5 * (covariance + covariance.T)
    # Not all of them need be possible together.
    sizes, directions = xp.linalg.eigh(covariance)
    sizes = xp.maximum(sizes, 0.01)
    precision = on.matmul(directions / sizes[None], directions.T)

    def improve(i: Any, z: Any) -> Any:
        c = i % d
        row = precision[c]
        better = z[:, c] - xp.sum(row[None, :, None] * z, axis=1) / row[c]
        new = xp.where(known[:, c], z[:, c], better)
        if xp is np:
            z[:, c] = new
            return z
        return z.at[:, c].set(new)

    begin = xp.where(known, rows, 0)
    filled: Any = on.fori_loop(0, n_sweeps * d, improve, begin)
    return filled
