r"""Gaussians of which rows are seen in part and with errors.

With $T_{nk} = \Sigma_k + S_n$ for the known values of a row, and zero elsewhere in its inverse,
$h_{nk} = T_{nk}^{-1}(y_n - \mu_k)$. The row itself then has, given what is seen of it, the mean
$\mu_k + \Sigma_k h_{nk}$ and the covariance $\Sigma_k - \Sigma_k T_{nk}^{-1}\Sigma_k$. So an
M-step needs the sums of $r\,h$ and of $r\,(h h^\top - T^{-1})$, and no matrix of any row is kept.

Source: Ghahramani and Jordan, Supervised Learning from Incomplete Data via an EM Approach (1994),
section 2; Bovy, Hogg and Roweis, Extreme Deconvolution (2011).
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple, Self

import jax.numpy as jnp
from jax import Array, lax

from .. import linalg
from ..rows.observed import Seen
from .moments import Moments
from .patterns import by_pattern, pattern_sums

LOG_2PI = math.log(2 * math.pi)


# Up to this many columns all is written out, entry by entry.
WRITTEN_OUT = 8


class Known(NamedTuple):
    """What the known values of N rows say of K components; rows come last.

    Attributes:
      log_det: (K or 1, N) half the log-determinants of the inverses of T.
      squares: (K, N) squared distances, in the metric of T.
      n_known: (N,) how many values of a row are known.
      pull: (D, K, N) h.
      factors: the whitening of T, as entries (K or 1, N) or matrices (N, K or 1, D, D).
    """

    log_det: Array
    squares: Array
    n_known: Array
    pull: Array
    factors: Any

    @classmethod
    def of(cls, seen: Seen, means: Array, covariances: Array) -> Self:
        """For means (K, D) and covariances (K, D, D), or (1, D, D) for the same of all."""
        small = means.shape[1] <= WRITTEN_OUT
        found = (_by_entries if small else _by_matrices)(seen, means, covariances)
        log_det, squares, pull, factors = found
        n_known = jnp.sum(seen.known, axis=1).astype(means.dtype)
        return cls(log_det, squares, n_known, pull, factors)

    @property
    def log_prob(self) -> Array:
        """(K, N) log-densities."""
        return self.log_det - 0.5 * self.squares - 0.5 * self.n_known[None] * LOG_2PI

    def inverses(self, known: Array, resp: Array) -> Array:
        """The sums (K or 1, D, D) of the inverses of T, weighted by resp (K or 1, N)."""
        if isinstance(self.factors, list):
            w, d = self.factors, len(self.factors)

            def total(i: int, j: int) -> Array:
                own = sum(w[k][i] * w[k][j] for k in range(i, d))
                return jnp.sum(jnp.where(known[i] & known[j], resp * own, 0), axis=-1)

            entries = {(i, j): total(i, j) for i in range(d) for j in range(i + 1)}
            rows = [[entries[max(i, j), min(i, j)] for j in range(d)] for i in range(d)]
            return jnp.stack([jnp.stack(row, axis=-1) for row in rows], axis=-2)
        # The identity of absent columns is no inverse of anything.
        own = jnp.where(known.T[:, None, None], self.factors, 0)
        return linalg.einsum("nkai,nkaj->kij", own * resp.T[..., None, None], own)


def _by_entries(seen: Seen, means: Array, covariances: Array) -> tuple[Any, Any, Array, Any]:
    d = means.shape[1]
    known = list(seen.known.T[:, None])
    noise = None if seen.noise is None else jnp.moveaxis(seen.noise, 0, -1)

    def entry(i: int, j: int) -> Array:
        own = covariances[:, i, j][:, None]
        if noise is None:
            pass
        elif noise.ndim == 3:
            own = own + noise[i, j][None]
        elif i == j:
            own = own + noise[i][None]
        # Absent rows and columns are those of the identity: one program for all holes.
        return jnp.where(known[i] & known[j], own, float(i == j))

    w = linalg.whitener_of_entries([[entry(i, j) for j in range(i + 1)] for i in range(d)])
    x = seen.x.T[:, None]
    away = [jnp.where(known[i], x[i] - means[:, i][:, None], 0) for i in range(d)]
    y = [sum(w[i][j] * away[j] for j in range(i + 1)) for i in range(d)]
    pull = [sum(w[i][j] * y[i] for i in range(j, d)) for j in range(d)]
    log_det = sum(jnp.log(w[i][i]) for i in range(d))
    return log_det, sum(a * a for a in y), jnp.stack(pull), w


def _by_matrices(seen: Seen, means: Array, covariances: Array) -> tuple[Array, Array, Array, Any]:
    eye = jnp.eye(means.shape[1], dtype=means.dtype)[None]
    both = (seen.known[:, :, None] & seen.known[:, None])[:, None]
    total = covariances[None]
    if seen.noise is not None:
        noise = seen.noise[:, :, None] * eye if seen.noise.ndim == 2 else seen.noise
        total = total + noise[:, None]
    total = jnp.where(both, total, eye[None])
    factors = linalg.whitener_of_many(total)
    away = jnp.where(seen.known[:, None], seen.x[:, None] - means[None], 0)
    y = jnp.sum(factors * away[:, :, None], axis=-1)
    pull = jnp.sum(factors * y[..., None], axis=-2)
    log_det = jnp.sum(jnp.log(jnp.diagonal(factors, axis1=-2, axis2=-1)), axis=-1)
    return log_det.T, jnp.sum(y * y, axis=-1).T, jnp.moveaxis(pull, 2, 0).mT, factors


def seen_means(seen: Seen, means: Array, covariances: Array) -> Array:
    """The means (N, K, D) of rows given what is seen of them, under each component."""
    same = jnp.broadcast_to(covariances, (len(means), *covariances.shape[1:]))
    pull = Known.of(seen, means, covariances).pull
    return means[None] + linalg.einsum("kij,jkn->nki", same, pull)


def missing_entropy(seen: Seen, covariances: Array) -> Array:
    """The entropy (N, K or 1) of the missing values of rows without errors, given the others."""
    means = jnp.zeros(covariances.shape[:2], covariances.dtype)
    found = Known.of(seen, means, covariances)
    whole = jnp.sum(jnp.log(jnp.diagonal(linalg.whitener(covariances), axis1=1, axis2=2)), axis=1)
    n_missing = seen.x.shape[1] - found.n_known
    return (found.log_det - whole[:, None] + 0.5 * n_missing[None] * (LOG_2PI + 1)).T


def seen_through(
    seen: Seen, means: Array, covariances: Array
) -> tuple[Array, Callable[[Array], Any]]:
    """Log-densities (N, K) of what is seen, and the sums for an M-step as a function of resp.

    Args:
      seen: N rows.
      means: (K, D).
      covariances: (K, D, D), or (1, D, D) if all components have the same.
    """
    if by_pattern(seen):
        log_prob = _in_halves(seen, means, covariances)
        return log_prob, lambda resp: pattern_sums(seen, means, resp)
    found = Known.of(seen, means, covariances)

    def sums(resp: Array) -> Moments:
        r, pull = resp.T, found.pull
        first = jnp.sum(pull * r[None], axis=2).T
        outer = linalg.einsum("ikn,jkn->kij", pull * r[None], pull)
        if len(covariances) == 1:
            r, outer = jnp.sum(r, axis=0, keepdims=True), jnp.sum(outer, axis=0, keepdims=True)
        return Moments(jnp.sum(resp, axis=0), first, outer - found.inverses(seen.known.T, r))

    return found.log_prob.T, sums


def _in_halves(seen: Seen, means: Array, covariances: Array) -> Array:
    """Log-densities (N, K), for one half of the rows after the other.

    A loop is a boundary: without it XLA computes a density anew for each of its uses.
    """
    n, d = seen.x.shape
    more = n % 2

    def halves(rows: Array) -> Array:
        return jnp.pad(rows, ((0, more), (0, 0))).reshape(2, -1, d)

    def half(rows: tuple[Array, Array]) -> Array:
        return Known.of(Seen(*rows, None), means, covariances).log_prob

    found = lax.map(half, (halves(seen.x), halves(seen.known)))
    return jnp.moveaxis(found, 1, 0).reshape(len(means), -1)[:, :n].T


def moments_of(stats: Any, means: Array, covariances: Array) -> Moments:
    """The sums of h (K, D) and of h hᵀ - T⁻¹ (K or 1, D, D), of what `seen_through` gives."""
    if isinstance(stats, Moments):
        return stats
    known = stats.known(means.shape[1])
    every = Seen(jnp.zeros(known.shape, means.dtype), known, None)
    w = Known.of(every, means, covariances).factors
    d, none = len(w), jnp.zeros_like(w[0][0])
    entries = [[w[i][j] if j <= i else none for j in range(d)] for i in range(d)]
    both = (known[:, :, None] & known[:, None])[None]
    whiten = jnp.where(both, jnp.stack([jnp.stack(row, -1) for row in entries], -2), 0)
    return stats.moments(whiten)
