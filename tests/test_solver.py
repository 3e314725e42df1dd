"""What a solver of one's own has to be, and what is known of one that wraps another."""

from typing import Any

import jax
import numpy as np
import pytest
from problems import clusters

import mixjax
from mixjax.fitting.solver import ridge_of, ridges_of

KEY = jax.random.key(0)


@mixjax.pytree
class Patient:
    """The example of `mixjax.Solver`, as it stands there."""

    em: mixjax.EM

    def init(self, mixture, rows, scale):
        return self.em.init(mixture, rows, scale)

    def step(self, state, rows, scale):
        return self.em.step(self.em.step(state, rows, scale), rows, scale)


@mixjax.pytree
class InTurn:
    solvers: tuple[Any, ...]
    step_size: float = 1.0

    def init(self, mixture, rows, scale):
        return self.solvers[0].init(mixture, rows, scale)

    def step(self, state, rows, scale):
        for solver in self.solvers:
            state = solver.step(state, rows, scale)
        return state


def test_the_first_mixture_has_the_ridge_of_the_solver_inside():
    x = clusters(np.random.default_rng(0), 100, 2, 1, dtype="float32")
    for solver in (Patient(mixjax.EM(0.5)), InTurn((Patient(mixjax.EM(0.5)), mixjax.EM(3.0)))):
        first = mixjax.fit(KEY, x, 1, solver=solver, max_iter=0).mixture
        np.testing.assert_allclose(first.components.variances[0], x.var(0) + 0.5, rtol=1e-4)
    batch = mixjax.fit_batch(KEY, x[None], 1, solver=Patient(mixjax.EM(0.5)), max_iter=0)
    np.testing.assert_allclose(batch.mixture.components.variances[0, 0], x.var(0) + 0.5, rtol=1e-4)


def test_the_ridge_of_a_solver_inside_is_checked():
    x = clusters(np.random.default_rng(0), 100, 2, 1, dtype="float32")
    for solver in (Patient(mixjax.EM(-1.0)), InTurn((mixjax.EM(), mixjax.EM(-1.0)))):
        with pytest.raises(ValueError, match="reg_covar must not be negative"):
            mixjax.fit(KEY, x, 1, solver=solver)
    with pytest.raises(ValueError, match="reg_covar must be None"):
        mixjax.fit(KEY, x, 1, solver=Patient(mixjax.EM(np.ones(3))))


def test_a_solver_without_a_ridge_has_that_of_the_default():
    assert ridge_of(object()) is None
    assert ridges_of(InTurn((mixjax.EM(), Patient(mixjax.EM(2.0))))) == [None, 2.0]
    assert ridge_of(mixjax.EM(0.1)) == 0.1
