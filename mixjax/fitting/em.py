"""Expectation-maximization, in blocks of rows."""

import math
from typing import Any, ClassVar, NamedTuple, Self

import jax
import jax.numpy as jnp
from jax import Array, lax

from ..families.family import Family, Responsibilities
from ..families.moments import NOTHING
from ..mixture.assignment import Assignment
from ..mixture.maximization import located, log_shares, ridge
from ..mixture.mixture import Mixture, soft_assignment
from ..pytrees import pytree, static
from ..rows.blocks import Rows
from ..rows.scaling import Scale
from .frozen import held


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
      frozen: names of parameters that stay as those of the given mixture, exactly: fields of its
        family, such as "means", or "weights". The others are the most likely ones given these.

    Example:
      >>> import mixjax
      >>> mixjax.EM(reg_covar=1e-4).reg_covar
      0.0001

    Source: Dempster, Laird and Rubin, Maximum Likelihood from Incomplete Data via the
    EM Algorithm (1977), section 2.
    """

    reg_covar: Any = None
    frozen: tuple[str, ...] = static(default=())

    def init(self, mixture: Mixture, rows: Rows, scale: Scale) -> EMState:
        """The state before the first iteration."""
        return self.expect(mixture, rows)

    def step(self, state: EMState, rows: Rows, scale: Scale) -> EMState:
        """One M-step and the E-step of its result."""
        return self.expect(self.m_step(state, rows, scale), rows)

    def expect(self, mixture: Mixture, rows: Rows) -> EMState:
        """The E-step: a mixture with its energy and its statistics."""
        energy, stats = e_step(mixture, rows)
        return EMState(mixture, energy / rows.total, stats)

    def m_step(self, state: EMState, rows: Rows, scale: Scale) -> Mixture:
        """The M-step: the mixture of highest likelihood for the statistics of the last E-step."""
        reg, soft = ridge(self.reg_covar, scale), soft_assignment(state.mixture)
        return maximized(state, rows, reg, soft, self.frozen)


@pytree
class Pending:
    """A mixture with its mean energy, and the mixture of the next E-step.

    Attributes:
      mixture: the mixture of the last E-step.
      energy: () its mean energy.
      next: the mixture of the next E-step.
      given: () how many M-steps to come take the given assignment instead of an E-step's.
    """

    mixture: Mixture
    energy: Array
    next: Mixture
    given: Array


@pytree
class EStepFirst:
    """EM with an E-step and then an M-step an iteration, so that each is compiled once.

    The first passes over the rows may be M-steps from a given assignment: one relative to standard
    components, and one relative to its result, which restores the digits that the first lost.
    Neither they nor the first E-step are iterations.

    Attributes:
      reg: (D,) variance to add to the scaled columns.
      assignment: the responsibilities of a start, or None.
      active: (K,) the components that have a weight, or None for all.
      frozen: names of parameters that stay as they are.
    """

    reg: Array
    assignment: Assignment | None = None
    active: Array | None = None
    frozen: tuple[str, ...] = static(default=())
    lazy: ClassVar[bool] = True

    @classmethod
    def of(
        cls,
        begin: Mixture | Assignment,
        rows: Rows,
        family: type[Family],
        k: int,
        reg: Array,
        active: Array | None = None,
        frozen: tuple[str, ...] = (),
    ) -> tuple[Self, Pending]:
        """The solver, and the state before its first pass over the rows."""
        if isinstance(begin, Mixture):
            solver = cls(reg, None, active, frozen)
            return solver, solver.init(begin, rows)
        solver = cls(reg, begin, active)
        even = jnp.full((k,), -math.log(k), rows.x.dtype)
        return solver, solver.init(Mixture(even, located(family, rows, begin, k)), rows)

    def init(self, mixture: Mixture, rows: Rows, scale: Any = None) -> Pending:
        """The state before the first pass; its energy is not known yet."""
        mixture = self.masked(mixture)
        n_given = 0
        if self.assignment is not None:
            n_given = 2 if _in_one_pass(mixture.components, rows) else 1
        energy = jnp.asarray(jnp.inf, rows.x.dtype)
        return Pending(mixture, energy, mixture, jnp.int32(n_given))

    def step(self, state: Pending, rows: Rows, scale: Scale) -> Pending:
        """One pass over the rows, and the M-step of what it found."""
        given = None
        if self.assignment is not None:
            given = Given(self.assignment, state.given > 0)
            rows = rows.begun(state.given > 1)
        energy, stats = e_step(state.next, rows, given)
        found = EMState(state.next, energy / rows.total, stats)
        soft = soft_assignment(state.next)
        assignment = soft if given is None else given.instead_of(soft)
        after = self.masked(maximized(found, rows, self.reg, assignment, self.frozen))
        mixture = found.mixture
        if given is not None:
            mixture = jax.tree.map(lambda a, b: jnp.where(given.now, a, b), after, mixture)
        return Pending(mixture, found.energy, after, jnp.maximum(state.given - 1, 0))

    def masked(self, mixture: Mixture) -> Mixture:
        """The mixture with the weights of the active components only."""
        if self.active is None:
            return mixture
        return Mixture(jnp.where(self.active, mixture.log_weights, NOTHING), mixture.components)


class Given(NamedTuple):
    """Responsibilities to take instead of those of a mixture, if it is now."""

    assignment: Assignment
    now: Array

    def instead_of(self, soft: Responsibilities) -> Responsibilities:
        """The same for a function of blocks of rows."""

        def responsibilities(x: Array, index: Array) -> Array:
            return self.choose(soft(x, index), index, jnp.ones(index.shape, x.dtype))

        return responsibilities

    def choose(self, soft: Array, index: Array, weights: Array) -> Array:
        """The weighted responsibilities (K, n) of the rows at ``index``."""
        k, dtype = soft.shape[0], soft.dtype

        def given() -> Array:
            return self.assignment.of(index, k, dtype) * weights[None]

        return lax.cond(self.now, given, lambda: soft)


def e_step(mixture: Mixture, rows: Rows, given: Given | None = None) -> tuple[Array, Any]:
    """Weighted sums over rows: of the energies, and of the statistics for the M-step.

    If the M-step needs more than sums, the statistics are the counts (K,).
    """
    in_one_pass = _in_one_pass(mixture.components, rows)

    def block(x: Array, weights: Array, index: Array) -> tuple[Array, Any]:
        if in_one_pass:
            log_prob, statistics = mixture.components.log_prob_and_statistics(x.T)
        else:
            log_prob, statistics = mixture.components.log_prob(x.T), _counts
        energy, resp = _responsibilities(mixture, log_prob, weights)
        if given is not None:
            resp = given.choose(resp, index, weights)
        return energy, statistics(resp.T)

    return rows.sum(block)


def _counts(resp: Array) -> Array:
    return jnp.sum(resp, axis=0)


def _responsibilities(mixture: Mixture, log_prob: Array, weights: Array) -> tuple[Array, Array]:
    """The sum of the energies, and responsibilities times weights (K, n) of a block."""
    joint = log_prob.T + mixture.log_weights[:, None]
    # A row infinitely far from every component has infinite energy and no responsibility.
    top = jnp.maximum(jnp.max(joint, axis=0), float(jnp.finfo(joint.dtype).min))
    unnormalized = jnp.exp(joint - top[None])
    total = jnp.sum(unnormalized, axis=0)
    energy = -jnp.sum(jnp.where(weights > 0, weights * (top + jnp.log(total)), 0))
    return energy, unnormalized * (weights / jnp.where(total > 0, total, 1))[None]


def maximized(
    state: EMState,
    rows: Rows,
    reg: Array,
    assignment: Responsibilities,
    frozen: tuple[str, ...] = (),
) -> Mixture:
    """The M-step after an E-step, with the variance ``reg`` (D,) added to the scaled columns."""
    old = state.mixture.components
    if frozen:
        stats = old.pinned(state.stats) if old.center_name() in frozen else state.stats
        return held(m_step_of(old, stats, reg), state.mixture, frozen)
    if _in_one_pass(old, rows):
        return m_step_of(old, state.stats, reg)
    return Mixture(log_shares(state.stats), old.m_step(rows, assignment, reg))


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
