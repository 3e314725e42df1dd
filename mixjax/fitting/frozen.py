"""Parameters of a given mixture that a fit leaves as they are."""

import dataclasses
from typing import Any

from jax import Array, lax

from ..families.family import Family
from ..mixture.mixture import Mixture

# Both name the weights.
WEIGHTS = ("weights", "log_weights")


def held(new: Mixture, old: Mixture, frozen: tuple[str, ...]) -> Mixture:
    """The new mixture, with the named parameters of the old one."""
    if not frozen:
        return new
    kept: Array = old.log_weights if {*WEIGHTS} & {*frozen} else new.log_weights
    names = tuple(name for name in frozen if name not in WEIGHTS)
    components = new.components.held(old.components, names) if names else new.components
    return Mixture(kept, components)


def held_constant(new: Mixture, old: Mixture, frozen: tuple[str, ...]) -> Mixture:
    """The same, without gradients of the named parameters."""
    return held(new, lax.stop_gradient(old), frozen) if frozen else new


def frozen_of(solver: Any) -> tuple[str, ...]:
    """The names of the parameters that a solver leaves as they are."""
    return tuple(getattr(solver, "frozen", ()))


def check_frozen(solver: Any, family: type[Family], given: bool) -> None:
    """Raise unless the names are parameters of the family, and there is a mixture to hold."""
    names = frozen_of(solver)
    if not names:
        return
    if isinstance(getattr(solver, "frozen", ()), str):
        raise TypeError(f"frozen must be a tuple of names, such as ({solver.frozen!r},)")
    known = [field.name for field in dataclasses.fields(family)]  # type: ignore[arg-type]
    unknown = [name for name in names if name not in (*WEIGHTS, *known)]
    if unknown:
        raise ValueError(
            f"frozen names {', '.join(map(repr, unknown))}, but the parameters of "
            f"{family.__name__} are {', '.join(map(repr, ['weights', *known]))}"
        )
    if not given:
        raise ValueError("frozen parameters stay as those of a given mixture: use mixjax.fit_from")
