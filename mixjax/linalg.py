"""Triangular matrices, batched: small ones are unrolled, singular ones are mended."""

import jax
import jax.numpy as jnp
from jax import Array, lax

# XLA's batched Cholesky and triangular solve are one LAPACK call a matrix, which
# costs more than the arithmetic of a matrix this small.
UNROLLED = 4

# The default of GPUs and TPUs (TF32, bfloat16) ruins a covariance.
HIGHEST = lax.Precision.HIGHEST


def matmul(a: Array, b: Array) -> Array:
    """``a @ b`` in full precision on every device."""
    return jnp.matmul(a, b, precision=HIGHEST)


def einsum(subscripts: str, *operands: Array) -> Array:
    """``jnp.einsum`` in full precision on every device."""
    return jnp.einsum(subscripts, *operands, precision=HIGHEST)


def eye_like(a: Array) -> Array:
    """The identity, of the shape (..., D, D) and dtype of ``a``."""
    return jnp.broadcast_to(jnp.eye(a.shape[-1], dtype=a.dtype), a.shape)


def inverse_lower(factor: Array) -> Array:
    """Inverse of lower-triangular matrices (..., D, D)."""
    d = factor.shape[-1]
    if d > UNROLLED:
        return lax.linalg.triangular_solve(factor, eye_like(factor), left_side=True, lower=True)
    rows: list[list[Array]] = []
    for i in range(d):
        pivot = 1 / factor[..., i, i]
        row = []
        for j in range(i):
            below = sum(factor[..., i, m] * rows[m][j] for m in range(j, i))
            row.append(-below * pivot)
        rows.append([*row, pivot])
    return _stack_lower(rows)


def _plain_cholesky(a: Array) -> Array:
    d = a.shape[-1]
    if d > UNROLLED:
        return lax.linalg.cholesky(a, symmetrize_input=False)
    zero = jnp.zeros((), a.dtype)
    rows: list[list[Array]] = []
    for i in range(d):
        row: list[Array] = []
        for j in range(i):
            inner = sum((row[m] * rows[j][m] for m in range(j)), start=zero)
            row.append((a[..., i, j] - inner) / rows[j][j])
        squares = sum((entry * entry for entry in row), start=zero)
        # NaN, as LAPACK has it, where the matrix is not positive definite.
        pivot = a[..., i, i] - squares
        safe = jnp.sqrt(jnp.where(pivot > 0, pivot, 1))
        row.append(jnp.where(pivot > 0, safe, jnp.nan))
        rows.append(row)
    return _stack_lower(rows)


def _stack_lower(rows: list[list[Array]]) -> Array:
    d = len(rows)
    zero = jnp.zeros_like(rows[0][0])
    padded = [jnp.stack(row + [zero] * (d - len(row)), axis=-1) for row in rows]
    return jnp.stack(padded, axis=-2)


@jax.custom_jvp
def cholesky(a: Array) -> Array:
    """Lower Cholesky factor of (..., D, D), finite for every finite symmetric input.

    A matrix that is not positive definite in working precision is factored again with
    a growing share of its diagonal added, starting at the size of its own rounding
    error; the last resort is its diagonal alone. The derivative is that of the matrix
    which was factored, with the addition held constant, so it is finite as well.
    """
    d = a.shape[-1]
    eps = float(jnp.finfo(a.dtype).eps)
    diagonal = jnp.diagonal(a, axis1=-2, axis2=-1)
    largest = jnp.max(jnp.abs(diagonal), axis=-1, keepdims=True)
    floor = 10 * d * eps * jnp.where(largest > 0, largest, 1)
    positive = jnp.maximum(diagonal, floor)
    shares = jnp.asarray([10 * d * eps, 1e3 * d * eps, 0.1], a.dtype)

    def bad(factor: Array) -> Array:
        return ~jnp.all(jnp.isfinite(factor), axis=(-2, -1), keepdims=True)

    # A loop rather than a cond: under vmap a cond always takes both of its branches.
    def unfinished(carry: tuple[Array, Array]) -> Array:
        factor, attempt = carry
        return jnp.any(bad(factor)) & (attempt < shares.shape[0])

    def mend(carry: tuple[Array, Array]) -> tuple[Array, Array]:
        factor, attempt = carry
        mended = _plain_cholesky(_add_diagonal(a, shares[attempt] * positive))
        return jnp.where(bad(factor), mended, factor), attempt + 1

    factor, _ = lax.while_loop(unfinished, mend, (_plain_cholesky(a), jnp.int32(0)))
    alone = jnp.sqrt(positive)[..., None] * eye_like(a)
    return jnp.where(bad(factor), alone, factor)


@cholesky.defjvp
def _cholesky_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    factor = cholesky(primals[0])
    inverse = inverse_lower(factor)
    inner = matmul(matmul(inverse, symmetric(tangents[0])), inverse.mT)
    keep = jnp.tril(jnp.ones_like(factor)) - 0.5 * eye_like(factor)
    return factor, matmul(factor, inner * keep)


def symmetric(a: Array) -> Array:
    """The symmetric part of (..., D, D)."""
    return 0.5 * (a + jnp.swapaxes(a, -2, -1))


def _add_diagonal(a: Array, diagonal: Array) -> Array:
    return a + eye_like(a) * diagonal[..., None]


def mirrored(a: Array) -> Array:
    """The symmetric matrices with the lower triangles of ``a`` (..., D, D)."""
    return jnp.tril(a) + jnp.tril(a, -1).mT
