"""Batched triangular matrices: small ones are unrolled, singular ones are regularized."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array, lax

# Up to UNROLLED columns every entry has its own expression. Up to LEAF a loop clears one
# column at a time. Up to BLOCKED the halves are combined by matrix products. LAPACK comes
# last: on a CPU it is called once for each matrix, and OpenBLAS threads then keep a core busy
# for about 30 ms, during which the next pass over the rows takes twice as long.
UNROLLED = 4
LEAF = 32
BLOCKED = 256

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


@jax.custom_jvp
def inverse_lower(factor: Array) -> Array:
    """Inverse of lower-triangular matrices (..., D, D)."""
    d = factor.shape[-1]
    if d <= UNROLLED:
        return _unrolled_inverse(factor)
    if d <= LEAF:
        reduced, pivots = _eliminate(factor)
        return reduced / pivots[..., None]
    if d > BLOCKED:
        return lax.linalg.triangular_solve(factor, eye_like(factor), left_side=True, lower=True)
    h = d // 2
    top, low = inverse_lower(factor[..., :h, :h]), inverse_lower(factor[..., h:, h:])
    return _stacked(top, factor[..., h:, :h], low)


@inverse_lower.defjvp
def _inverse_lower_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    inverse = inverse_lower(primals[0])
    return inverse, -matmul(matmul(inverse, jnp.tril(tangents[0])), inverse)


@jax.custom_jvp
def cholesky(a: Array) -> Array:
    """Lower Cholesky factor of (..., D, D), finite for every finite symmetric input.

    A matrix that is not positive definite in working precision is factored again with
    a growing share of its diagonal added, starting at the size of its own rounding
    error; the last resort is its diagonal alone. The derivative is that of the matrix
    which was factored, with the addition held constant, so it is finite as well.
    """
    return _mended(a, _plain_cholesky, jnp.sqrt)


@cholesky.defjvp
def _cholesky_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    factor = cholesky(primals[0])
    return factor, matmul(factor, _half_of(inverse_lower(factor), tangents[0]))


@jax.custom_jvp
def whitener(a: Array) -> Array:
    """The inverse of `cholesky`, lower-triangular as well: W with ``W a W^T`` the identity."""
    return _mended(a, _plain_whitener, lambda diagonal: 1 / jnp.sqrt(diagonal))


@whitener.defjvp
def _whitener_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    inverse = whitener(primals[0])
    return inverse, -matmul(_half_of(inverse, tangents[0]), inverse)


@jax.custom_jvp
def reciprocal(a: Array) -> Array:
    """``1 / a`` with a derivative that does not square a: 1e-60 is not a float32."""
    return 1 / a


@reciprocal.defjvp
def _reciprocal_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    inverse = reciprocal(primals[0])
    # In reverse mode the products run from the right: the small factors come first.
    return inverse, -(tangents[0] * inverse) * inverse


def symmetric(a: Array) -> Array:
    """The symmetric part of (..., D, D)."""
    return 0.5 * (a + jnp.swapaxes(a, -2, -1))


def mirrored(a: Array) -> Array:
    """Symmetric matrices whose lower triangles are those of ``a`` (..., D, D)."""
    return jnp.tril(a) + jnp.tril(a, -1).mT


def unit_columns(a: Array) -> tuple[Array, Array]:
    """The columns of (..., R, C) divided by their lengths, and the lengths (..., C).

    The largest entry is divided out first, because its square may overflow or underflow.
    """
    largest = lax.stop_gradient(jnp.max(jnp.abs(a), axis=-2))
    largest = jnp.where(largest == 0, 1, largest)
    scaled = a / largest[..., None, :]
    squares = jnp.sum(scaled**2, axis=-2)
    length = jnp.sqrt(jnp.where(squares == 0, 1, squares))
    return scaled / length[..., None, :], largest * length


def _half_of(inverse: Array, tangent: Array) -> Array:
    """The lower half of ``W da W^T``, with half of its diagonal."""
    inner = matmul(matmul(inverse, symmetric(tangent)), inverse.mT)
    return inner * (jnp.tril(jnp.ones_like(inner)) - 0.5 * eye_like(inner))


def _mended(
    a: Array, factorize: Callable[[Array], Array], of_diagonal: Callable[[Array], Array]
) -> Array:
    d = a.shape[-1]
    eps = float(jnp.finfo(a.dtype).eps)
    diagonal = jnp.diagonal(a, axis1=-2, axis2=-1)
    largest = jnp.max(jnp.abs(diagonal), axis=-1, keepdims=True)
    floor = 10 * d * eps * jnp.where(largest > 0, largest, 1)
    positive = jnp.maximum(diagonal, floor)
    shares = jnp.asarray([0, 10 * d * eps, 1e3 * d * eps, 0.1], a.dtype)
    eye = eye_like(a)

    # A loop rather than a cond: under vmap a cond always takes both of its branches.
    def unfinished(carry: tuple[Array, Array, Array]) -> Array:
        _, bad, attempt = carry
        return jnp.any(bad) & (attempt < shares.shape[0])

    def attempt(carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        factor, bad, i = carry
        tried = factorize(a + eye * (shares[i] * positive)[..., None])
        sound = jnp.where(eye > 0, tried > 0, True) & jnp.isfinite(tried)
        failed = ~jnp.all(sound, axis=(-2, -1), keepdims=True)
        return jnp.where(bad & ~failed, tried, factor), bad & failed, i + 1

    # A flag rather than NaN for "not yet": jax_debug_nans would stop at it.
    alone = of_diagonal(positive)[..., None] * eye
    start = (alone, jnp.ones_like(largest[..., None], bool), jnp.int32(0))
    return lax.while_loop(unfinished, attempt, start)[0]


def _plain_cholesky(a: Array) -> Array:
    return _unrolled_cholesky(a) if a.shape[-1] <= UNROLLED else lax.linalg.cholesky(a)


def _plain_whitener(a: Array) -> Array:
    d = a.shape[-1]
    if d <= UNROLLED or d > BLOCKED:
        return inverse_lower(_plain_cholesky(a))
    if d <= LEAF:
        reduced, pivots = _eliminate(a)
        return reduced / _root(pivots)[..., None]
    h = d // 2
    top = _plain_whitener(a[..., :h, :h])
    side = matmul(a[..., h:, :h], top.mT)
    return _stacked(top, side, _plain_whitener(a[..., h:, h:] - matmul(side, side.mT)))


def _stacked(top: Array, side: Array, low: Array) -> Array:
    """The inverse of [[A, 0], [side, B]] from top = inv(A) and low = inv(B)."""
    corner = jnp.zeros((*top.shape[:-1], low.shape[-1]), top.dtype)
    left = -matmul(low, matmul(side, top))
    upper = jnp.concatenate([top, corner], axis=-1)
    return jnp.concatenate([upper, jnp.concatenate([left, low], axis=-1)], axis=-2)


def _eliminate(a: Array) -> tuple[Array, Array]:
    """Gaussian elimination below the diagonal: the transformed identity, and the pivots."""
    d = a.shape[-1]
    below = jnp.arange(d)[:, None]

    def clear(j: Array, both: Array) -> Array:
        row = lax.dynamic_index_in_dim(both, j, axis=-2)
        column = lax.dynamic_index_in_dim(both, j, axis=-1)
        pivot = lax.dynamic_index_in_dim(row, j, axis=-1)
        return both - jnp.where(below > j, column / pivot, 0) * row

    both = lax.fori_loop(0, d, clear, jnp.concatenate([a, eye_like(a)], axis=-1))
    return both[..., d:], jnp.diagonal(both[..., :d], axis1=-2, axis2=-1)


def _root(pivot: Array) -> Array:
    """The root of a pivot; -1, which marks a failure, where the pivot is not positive."""
    return jnp.where(pivot > 0, jnp.sqrt(jnp.where(pivot > 0, pivot, 1)), -1)


def _unrolled_inverse(factor: Array) -> Array:
    rows: list[list[Array]] = []
    for i in range(factor.shape[-1]):
        pivot = 1 / factor[..., i, i]
        row = []
        for j in range(i):
            below = sum(factor[..., i, m] * rows[m][j] for m in range(j, i))
            row.append(-below * pivot)
        rows.append([*row, pivot])
    return _stack_lower(rows)


def _unrolled_cholesky(a: Array) -> Array:
    zero = jnp.zeros((), a.dtype)
    rows: list[list[Array]] = []
    for i in range(a.shape[-1]):
        row: list[Array] = []
        for j in range(i):
            inner = sum((row[m] * rows[j][m] for m in range(j)), start=zero)
            row.append((a[..., i, j] - inner) / rows[j][j])
        squares = sum((entry * entry for entry in row), start=zero)
        row.append(_root(a[..., i, i] - squares))
        rows.append(row)
    return _stack_lower(rows)


def _stack_lower(rows: list[list[Array]]) -> Array:
    d = len(rows)
    zero = jnp.zeros_like(rows[0][0])
    padded = [jnp.stack(row + [zero] * (d - len(row)), axis=-1) for row in rows]
    return jnp.stack(padded, axis=-2)
