"""Batched triangular matrices; those of singular matrices are regularized."""

from collections.abc import Callable
from typing import NamedTuple, ParamSpec, TypeVar

import jax
import jax.numpy as jnp
from jax import Array, lax

P = ParamSpec("P")
R = TypeVar("R")

# Up to LEAF columns a loop clears one column at a time: it compiles in a tenth of a second. Up to
# BLOCKED the halves are combined by matrix products. LAPACK comes last: on a CPU it is called
# once for each matrix, and OpenBLAS threads then keep a core busy for about 30 ms, during which
# the next pass over the rows takes twice as long.
LEAF = 32
BLOCKED = 256

# The default of GPUs and TPUs (TF32, bfloat16) ruins a covariance.
HIGHEST = lax.Precision.HIGHEST


def inlined(f: Callable[P, R]) -> Callable[P, R]:
    """One program where it is called by itself; a part of the program where it is not."""
    return jax.jit(f, inline=True)


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
@inlined
def inverse_lower(factor: Array) -> Array:
    """Inverse of lower-triangular matrices (..., D, D)."""
    d = factor.shape[-1]
    if d <= LEAF:
        eliminated = _eliminated(factor)
        return eliminated.inverse / eliminated.pivots[..., None]
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
@inlined
def solve_lower(factor: Array, b: Array) -> Array:
    """``inverse_lower(factor) @ b`` for lower-triangular (..., D, D) and b (..., D)."""
    d = factor.shape[-1]
    if d > LEAF:
        return jnp.sum(inverse_lower(factor) * b[..., None, :], axis=-1)
    index = jnp.arange(d)

    def substitute(j: Array, x: Array) -> Array:
        column = lax.dynamic_index_in_dim(factor, j, axis=-1, keepdims=False)
        pivot = lax.dynamic_index_in_dim(column, j, axis=-1)
        own = lax.dynamic_index_in_dim(x, j, axis=-1) / pivot
        return jnp.where(index == j, own, x - jnp.where(index > j, column, 0) * own)

    return lax.fori_loop(0, d, substitute, b)


@solve_lower.defjvp
def _solve_lower_jvp(
    primals: tuple[Array, Array], tangents: tuple[Array, Array]
) -> tuple[Array, Array]:
    factor, b = primals
    solved, inverse = solve_lower(factor, b), inverse_lower(factor)
    moved = tangents[1] - jnp.sum(jnp.tril(tangents[0]) * solved[..., None, :], axis=-1)
    return solved, jnp.sum(inverse * moved[..., None, :], axis=-1)


@jax.custom_jvp
@inlined
def cholesky(a: Array) -> Array:
    """Lower Cholesky factor of (..., D, D), finite for every finite symmetric input.

    If a matrix is not positive definite in working precision, enough is added to its diagonal,
    where it is needed: at least its own rounding error. The derivative is that of the matrix
    which was factored, with the addition held constant, so it is finite as well.

    Source: Gill, Murray and Wright, Practical Optimization (1981), section 4.4.2.2.
    """
    if a.shape[-1] <= LEAF:
        eliminated = _eliminated(a, _positive(a))
        return eliminated.lower * jnp.sqrt(eliminated.pivots)[..., None, :]
    return _mended(a, lax.linalg.cholesky, jnp.sqrt)


@cholesky.defjvp
def _cholesky_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    factor = cholesky(primals[0])
    return factor, matmul(factor, _half_of(inverse_lower(factor), tangents[0]))


@jax.custom_jvp
@inlined
def whitener(a: Array) -> Array:
    """The inverse of `cholesky`, lower-triangular as well: W with ``W a W^T`` the identity."""
    if a.shape[-1] <= LEAF:
        eliminated = _eliminated(a, _positive(a))
        return eliminated.inverse / jnp.sqrt(eliminated.pivots)[..., None]
    return _mended(a, _plain_whitener, lambda diagonal: 1 / jnp.sqrt(diagonal))


@whitener.defjvp
def _whitener_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    return _whitened_jvp(whitener(primals[0]), tangents[0])


# Entries on and below the diagonal of very many matrices, each an array over all of them.
Lower = list[list[Array]]


@jax.custom_jvp
def whitener_of_entries(a: Lower) -> Lower:
    """`whitener` of very many matrices, entry by entry: ten times faster than a loop.

    To compile it takes a second for 8 columns, and eight times longer for twice as many.
    """
    d = len(a)
    share = 10 * d * float(jnp.finfo(a[0][0].dtype).eps)
    lower: Lower = [[] for _ in a]
    inverse: Lower = [[] for _ in a]
    for i in range(d):
        for j in range(i):
            entry = a[i][j] - sum(lower[i][k] * lower[j][k] for k in range(j))
            lower[i].append(entry * inverse[j][j])
        pivot = a[i][i] - sum(entry * entry for entry in lower[i])
        root = lax.rsqrt(jnp.maximum(pivot, share * a[i][i]))
        for j in range(i):
            across = sum(lower[i][k] * inverse[k][j] for k in range(j, i))
            inverse[i].append(-across * root)
        inverse[i].append(root)
    return inverse


@whitener_of_entries.defjvp
def _whitener_of_entries_jvp(primals: tuple[Lower], tangents: tuple[Lower]) -> tuple[Lower, Lower]:
    found = whitener_of_entries(primals[0])
    inverse, tangent = _squares(found), _squares(tangents[0])
    moved = -matmul(_half_of(inverse, mirrored(tangent)), inverse)
    return found, [[moved[..., i, j] for j in range(i + 1)] for i in range(len(found))]


def _squares(entries: Lower) -> Array:
    """Lower-triangular matrices (..., D, D) of entries."""
    nothing = jnp.zeros_like(entries[0][0])
    rows = [row + [nothing] * (len(entries) - len(row)) for row in entries]
    return jnp.stack([jnp.stack(row, axis=-1) for row in rows], axis=-2)


@jax.custom_jvp
def whitener_of_many(a: Array) -> Array:
    """`whitener` of very many matrices (..., D, D), for which one call of LAPACK each is quick."""
    return _mended(a, _lapack_whitener, lambda diagonal: 1 / jnp.sqrt(diagonal))


whitener_of_many.defjvp(
    lambda primals, tangents: _whitened_jvp(whitener_of_many(primals[0]), tangents[0])
)


def _whitened_jvp(inverse: Array, tangent: Array) -> tuple[Array, Array]:
    return inverse, -matmul(_half_of(inverse, tangent), inverse)


def _lapack_whitener(a: Array) -> Array:
    factor = lax.linalg.cholesky(a)
    return lax.linalg.triangular_solve(factor, eye_like(a), left_side=True, lower=True)


@jax.custom_jvp
@inlined
def reciprocal(a: Array) -> Array:
    """``1 / a`` with a derivative that does not square a: 1e-60 is not a float32."""
    return 1 / a


@reciprocal.defjvp
def _reciprocal_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    inverse = reciprocal(primals[0])
    # In reverse mode the products run from the right: the small factors come first.
    return inverse, -(tangents[0] * inverse) * inverse


@inlined
def symmetric(a: Array) -> Array:
    """The symmetric part of (..., D, D)."""
    return 0.5 * (a + jnp.swapaxes(a, -2, -1))


@inlined
def mirrored(a: Array) -> Array:
    """Symmetric matrices whose lower triangles are those of ``a`` (..., D, D)."""
    return jnp.tril(a) + jnp.tril(a, -1).mT


@inlined
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


class _Eliminated(NamedTuple):
    """Gaussian elimination of ``a``: ``inverse @ a`` has the ``pivots`` on its diagonal.

    ``a = lower @ diag(pivots) @ lower.T`` if it is symmetric; ``inverse`` is that of ``lower``.
    """

    inverse: Array
    pivots: Array
    lower: Array


def _eliminated(a: Array, positive: Array | None = None) -> _Eliminated:
    """Clear the columns of (..., D, D) below the diagonal, one after the other.

    With ``positive`` (..., D), the sizes of the diagonal, the pivots are made positive and
    large enough that no entry of the Cholesky factor grows.
    """
    d = a.shape[-1]
    eps = float(jnp.finfo(a.dtype).eps)
    index = jnp.arange(d)
    below = index[:, None]

    def clear(j: Array, carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        both, pivots, lower = carry
        row = lax.dynamic_index_in_dim(both, j, axis=-2)
        column = lax.dynamic_index_in_dim(both, j, axis=-1)
        pivot = lax.dynamic_index_in_dim(row, j, axis=-1)
        column = jnp.where(below > j, column, 0)
        if positive is not None:
            own = lax.dynamic_index_in_dim(positive, j, axis=-1)[..., None]
            # In a positive definite matrix this is at most the pivot.
            least = jnp.max(column * (column / positive[..., None]), axis=-2, keepdims=True)
            mended = jnp.maximum(10 * d * eps * own, d * least)
            pivot = jnp.where(pivot > eps * own, jnp.maximum(pivot, 0.99 * least), mended)
        column = column / pivot
        pivots = jnp.where(index == j, pivot[..., 0], pivots)
        lower = jnp.where(index == j, column, lower)
        return both - column * row, pivots, lower

    eye = eye_like(a)
    start = (jnp.concatenate([a, eye], axis=-1), jnp.ones_like(a[..., 0]), jnp.zeros_like(a))
    both, pivots, lower = lax.fori_loop(0, d, clear, start)
    return _Eliminated(both[..., d:], pivots, lower + eye)


def _positive(a: Array) -> Array:
    """The diagonals of (..., D, D), those that are not positive replaced: (..., D)."""
    diagonal = jnp.diagonal(a, axis1=-2, axis2=-1)
    largest = jnp.max(jnp.abs(diagonal), axis=-1, keepdims=True)
    share = 10 * a.shape[-1] * float(jnp.finfo(a.dtype).eps)
    return jnp.maximum(diagonal, share * jnp.where(largest > 0, largest, 1))


def _plain_whitener(a: Array) -> Array:
    """The whitener of matrices that are positive definite; others get a diagonal entry of -1."""
    d = a.shape[-1]
    if d <= LEAF:
        eliminated = _eliminated(a)
        sound = eliminated.pivots > 0
        root = jnp.where(sound, jnp.sqrt(jnp.where(sound, eliminated.pivots, 1)), -1)
        return eliminated.inverse / root[..., None]
    if d > BLOCKED:
        return inverse_lower(lax.linalg.cholesky(a))
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


def _mended(
    a: Array, factorize: Callable[[Array], Array], of_diagonal: Callable[[Array], Array]
) -> Array:
    """Factors by a function that fails; then a growing share of the diagonal is added.

    The last resort is the diagonal alone.
    """
    share = 10 * a.shape[-1] * float(jnp.finfo(a.dtype).eps)
    positive, eye = _positive(a), eye_like(a)
    shares = jnp.asarray([0, share, 100 * share, 0.1], a.dtype)

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
    start = (alone, jnp.ones((*a.shape[:-2], 1, 1), bool), jnp.int32(0))
    return lax.while_loop(unfinished, attempt, start)[0]
