"""Energies and responsibilities of many tables, each under its own mixture."""

import dataclasses
import functools
import operator
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from .. import checks
from ..mixture.mixture import Mixture, require
from ..mixture.questions import energy, responsibilities
from ..programs import jit, on_device
from ..rows.host_table import padded_length
from ..rows.origin import Origin, origin_of, relative, relative_rows
from ..rows.scaling import Scaling
from .table_set import is_observed, listed


def energy_batch(mixtures: Mixture, xs: ArrayLike | Sequence[ArrayLike]) -> Any:
    """`energy` of each table under its own mixture, a few tables at a time.

    Args:
      mixtures: mixtures with a leading axis of B, such as ``fit_batch(...).mixture``.
      xs: (B, N, D) tables, or a sequence of B tables (N_i, D).

    Returns:
      (B, N), or a list of (N_i,), in nats.

    Raises:
      TypeError, ValueError: as `energy`; or the numbers of tables and mixtures differ.

    Example:
      >>> import jax, mixjax
      >>> xs = jax.random.normal(jax.random.key(0), (3, 50, 2))
      >>> fits = mixjax.fit_batch(jax.random.key(1), xs, 2)
      >>> mixjax.energy_batch(fits.mixture, xs).shape
      (3, 50)

    Source: Zong et al., Deep Autoencoding Gaussian Mixture Model (2018), equation 6.
    """
    return _each(energy, mixtures, xs)


def responsibilities_batch(mixtures: Mixture, xs: ArrayLike | Sequence[ArrayLike]) -> Any:
    """`responsibilities` of each table under its own mixture, a few tables at a time.

    Args:
      mixtures: mixtures with a leading axis of B, such as ``fit_batch(...).mixture``.
      xs: (B, N, D) tables, or a sequence of B tables (N_i, D).

    Returns:
      (B, N, K), or a list of (N_i, K); each row sums to 1.

    Raises:
      TypeError, ValueError: as `responsibilities`; or the numbers of tables and mixtures
        differ.

    Example:
      >>> import jax, mixjax
      >>> xs = jax.random.normal(jax.random.key(0), (3, 50, 2))
      >>> fits = mixjax.fit_batch(jax.random.key(1), xs, 2)
      >>> mixjax.responsibilities_batch(fits.mixture, xs).shape
      (3, 50, 2)

    Source: Bishop, Pattern Recognition and Machine Learning (2006), equation 9.23.
    """
    return _each(responsibilities, mixtures, xs)


def _each(f: Any, mixtures: Mixture, xs: Any) -> Any:
    require(mixtures)
    if jnp.ndim(mixtures.log_weights) != 2:
        raise ValueError(
            "mixtures must have one leading axis, weights of shape (B, K), got "
            f"{jnp.shape(mixtures.log_weights)}: for one mixture use mixjax.energy"
        )
    if is_observed(xs):
        raise TypeError("xs are mixjax.Observed: ask for each table by itself, mixjax.energy")
    n_mixtures = mixtures.log_weights.shape[0]
    if len(xs) != n_mixtures:
        raise ValueError(f"there are {n_mixtures} mixtures, but {len(xs)} tables")
    if hasattr(xs, "ndim"):
        if xs.ndim != 3:
            raise ValueError(f"xs must have shape (B, N, D), got {xs.shape}")
        if mixtures.components.scaling is Scaling.NONE or (origin := origin_of(xs)) is None:
            return _mapped(f, mixtures, xs)
        rows = np.stack(
            [relative_rows(x, Origin(*own)) for x, *own in zip(xs, *origin, strict=True)]
        )
        return _mapped(f, relative(mixtures, origin), rows)
    tables = listed(xs, None)
    if mixtures.components.scaling is Scaling.NONE:
        tables = dataclasses.replace(tables, origin=None)
    mixtures = relative(mixtures, tables.origin)
    # On the host, where a slice of a new length compiles no program.
    concrete = all(checks.is_concrete(leaf) for leaf in jax.tree.leaves(mixtures))
    host = np.asarray if concrete else jnp.asarray
    known = jax.tree.map(host, mixtures)
    out: list[Any] = [None] * len(tables)
    for numbers, length in tables.by_length(1):
        n_tables = len(numbers)
        # Copies of the first: one program serves for a few more or fewer tables.
        numbers = np.append(numbers, np.repeat(numbers[:1], padded_length(n_tables) - n_tables))
        x, _ = tables.padded(numbers, length)
        own = jax.tree.map(operator.itemgetter(numbers), known)
        values = host(_mapped(f, own, x))[:n_tables]
        for value, number in zip(values, numbers, strict=False):
            out[number] = on_device(value[: tables.lengths[number]])
    return out


@functools.partial(jit, static_argnums=0)
def _mapped(f: Any, mixtures: Mixture, xs: Array) -> Array:
    abreast = min(32, xs.shape[0])
    return jax.lax.map(lambda both: f(*both), (mixtures, xs), batch_size=abreast)
