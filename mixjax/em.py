"""Expectation-maximisation, in blocks of rows."""

from typing import Any

import jax.numpy as jnp
from jax import Array

from .families.family import Family
from .mixture import Mixture, log_shares, ridge, soft_assignment
from .pytree import pytree
from .rows import Rows
from .scaling import Scale


@pytree
class EMState:
    """The mixture, its mean energy, and the sums of its E-step."""

    mixture: Mixture
    energy: Array
    stats: Any


@pytree
class EM:
    """Expectation-maximisation: each iteration is one exact pass over the rows.

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
        return self._expect(mixture, rows)

    def step(self, state: EMState, rows: Rows, scale: Scale) -> EMState:
        """One M-step and the E-step of its result."""
        reg = ridge(self.reg_covar, scale)
        old = state.mixture.components
        if _in_one_pass(old):
            count = state.stats.count
            components = old.from_statistics(state.stats, reg)
        else:
            count = state.stats
            components = old.maximise(rows, soft_assignment(state.mixture), reg)
        return self._expect(Mixture(log_shares(count), components), rows)

    def _expect(self, mixture: Mixture, rows: Rows) -> EMState:
        def block(x: Array, weights: Array, index: Array) -> tuple[Array, Any]:
            log_prob, statistics = mixture.components.evaluate(x.T)
            joint = log_prob.T + mixture.log_weights[:, None]
            top = jnp.max(joint, axis=0)
            unnormalised = jnp.exp(joint - top[None])
            total = jnp.sum(unnormalised, axis=0)
            energy = -jnp.sum(weights * (top + jnp.log(total)))
            resp = unnormalised * (weights / total)[None]
            if _in_one_pass(mixture.components):
                return energy, statistics(resp.T)
            return energy, jnp.sum(resp, axis=1)

        energy, stats = rows.sum(block)
        return EMState(mixture, energy / rows.total, stats)


def _in_one_pass(components: Family) -> bool:
    """Whether the M-step is its sums, which the E-step can take along the way."""
    return type(components).maximise is Family.maximise
