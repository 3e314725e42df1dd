"""How to fit: all of a fit but its rows."""

from typing import Any, Self

from .. import checks
from ..families.family import Family
from ..pytrees import pytree, static
from .solver import is_solver, ridges_of
from .starts import KMeans, as_value


@pytree
class Recipe:
    """A mixture to fit, from which starts, by which solver, and when to stop.

    Attributes:
      start: a start as a value.
      solver: a solver.
      tol: the change of the mean energy, in nats, below which a fit has converged.
      max_iter: the largest number of iterations.
      n_init: number of starts; the fit of lowest energy is kept.
      n_components: K.
      family: the class of the components.
    """

    start: Any
    solver: Any
    tol: Any
    max_iter: Any
    n_init: int = static()
    n_components: int = static()
    family: type[Family] = static()

    @classmethod
    def checked(
        cls,
        n_components: Any,
        family: Any,
        start: Any,
        n_init: Any,
        solver: Any,
        tol: Any,
        max_iter: Any,
        shape: tuple[int, ...],
    ) -> Self:
        """The recipe for rows of this shape (N, D); raises if an option is wrong."""
        n_components = checks.n_components(n_components, shape[0])
        n_init = checks.count(n_init, "n_init")
        check_start(start)
        check_solving(solver, tol, max_iter, shape[1])
        value = as_value(start)
        return cls(value, solver, tol, max_iter, n_init, n_components, checks.family(family))


def check_start(start: Any) -> None:
    """Raise unless it is a start with valid options."""
    if not callable(start) or isinstance(start, type):
        raise TypeError(f"start must be such as mixjax.KMeans(), or a function, got {start!r}")
    if isinstance(start, KMeans):
        start.check()


def check_solving(solver: Any, tol: Any, max_iter: Any, n_features: int) -> None:
    """Raise unless solver, tol and max_iter are valid."""
    if not is_solver(solver):
        raise TypeError(
            f"solver must be a solver such as mixjax.EM() or mixjax.Gradient(...), got {solver!r}"
        )
    for reg_covar in ridges_of(solver):
        checks.reg_covar(reg_covar, n_features)
    checks.stopping(tol, max_iter)
