"""Expectation-maximization, in blocks of rows."""

from typing import Any

import jax.numpy as jnp
from jax import Array

from ..families.family import Family
from ..mixture.maximization import log_shares, ridge
from ..mixture.mixture import Mixture, soft_assignment
from ..pytrees import pytree
from ..rows.blocks import Rows
from ..rows.scaling import Scale


@pytree
class EMState:
    """The mixture, its mean energy, and the sums of its E-step."""

    mixture: Mixture
    energy: Array
    stats: Any


@pytree
class EM:
    """Expectation-maximization: each iteration is one exact pass over the rows.

    Attributes:
      reg_covar: None adds 1e-6 of each feature's variance to the diagonals of the
        covariances; a number or a (D,) array is added as it is, in squared units of x.
        For Laplace components it is the smallest variance.

    Example:
      >>> import mixjax
      >>> mixjax.EM(reg_covar=1e-4).reg_covar
      0.0001

    Source: Dempster, Laird and Rubin, Maximum Likelihood from Incomplete Data via the
    EM Algorithm (1977), section 2.
    """

    reg_covar: Any = None

    def init(self, mixture: Mixture, rows: Rows, scale: Scale) -> EMState:
        """The state before the first iteration."""
        return self.expect(mixture, rows)

    def step(self, state: EMState, rows: Rows, scale: Scale) -> EMState:
        """One M-step and the E-step of its result."""
        return self.expect(self.m_step(state, rows, scale), rows)

    def expect(self, mixture: Mixture, rows: Rows) -> EMState:
        """The E-step: a mixture with its energy and its statistics."""
        sums = e_step if _in_one_pass(mixture.components, rows) else e_step_counts
        energy, stats = sums(mixture, rows)
        return EMState(mixture, energy / rows.total, stats)

    def m_step(self, state: EMState, rows: Rows, scale: Scale) -> Mixture:
        """The M-step: the mixture of highest likelihood for the statistics of the last E-step."""
        return maximized(state, rows, ridge(self.reg_covar, scale))


def e_step(mixture: Mixture, rows: Rows) -> tuple[Array, Any]:
    """Weighted sums over rows: of the energies, and of the statistics."""

    def block(x: Array, weights: Array, index: Array) -> tuple[Array, Any]:
        log_prob, statistics = mixture.components.log_prob_and_statistics(x.T)
        energy, resp = _responsibilities(mixture, log_prob, weights)
        return energy, statistics(resp.T)

    return rows.sum(block)


def e_step_counts(mixture: Mixture, rows: Rows) -> tuple[Array, Array]:
    """Weighted sums over rows: of the energies, and of the responsibilities (K,)."""

    def block(x: Array, weights: Array, index: Array) -> tuple[Array, Array]:
        log_prob = mixture.components.log_prob(x.T)
        energy, resp = _responsibilities(mixture, log_prob, weights)
        return energy, jnp.sum(resp, axis=1)

    return rows.sum(block)


def _responsibilities(mixture: Mixture, log_prob: Array, weights: Array) -> tuple[Array, Array]:
    """The sum of the energies, and responsibilities times weights (K, n), of a block."""
    joint = log_prob.T + mixture.log_weights[:, None]
    # A row infinitely far from every component has infinite energy and no responsibility.
    top = jnp.maximum(jnp.max(joint, axis=0), float(jnp.finfo(joint.dtype).min))
    unnormalized = jnp.exp(joint - top[None])
    total = jnp.sum(unnormalized, axis=0)
    energy = -jnp.sum(jnp.where(weights > 0, weights * (top + jnp.log(total)), 0))
    return energy, unnormalized * (weights / jnp.where(total > 0, total, 1))[None]


def maximized(state: EMState, rows: Rows, reg: Array) -> Mixture:
    """The M-step after an E-step, with the variance ``reg`` (D,) added to the scaled columns."""
    old = state.mixture.components
    if _in_one_pass(old, rows):
        return m_step_of(old, state.stats, reg)
    components = old.m_step(rows, soft_assignment(state.mixture), reg)
    return Mixture(log_shares(state.stats), components)


def m_step_of(components: Family, stats: Any, reg: Array) -> Mixture:
    """The mixture of highest likelihood for statistics taken relative to these components."""
    return Mixture(log_shares(stats.count), components.from_statistics(stats, reg))


def _in_one_pass(components: Family, rows: Rows) -> bool:
    """Whether the M-step needs only sums, which the E-step can compute in the same pass.

    Rows spread over devices share only sums. So do rows that were not sorted, for a family
    that would use the order.
    """
    unsorted = components.needs_sorted_rows and rows.order is None
    return components.m_step_is_sums() or bool(rows.axes) or unsorted
