"""Old names, which still work and warn until the next version."""

import sys
import warnings
from collections.abc import Callable, Mapping
from typing import Any


def warn_renamed(old: str, new: str, stacklevel: int = 3) -> None:
    """Warn, at the caller of the function that calls this, that `old` is now called `new`."""
    text = f"{old} is now called {new}; the old name is gone in mixjax 0.2"
    warnings.warn(text, DeprecationWarning, stacklevel=stacklevel)


def renamed(module: str, new_names: Mapping[str, str]) -> Callable[[str], Any]:
    """A module's ``__getattr__``: an old name gives the object of the new name and warns."""

    def module_getattr(name: str) -> Any:
        if name not in new_names:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        warn_renamed(f"{module}.{name}", f"{module}.{new_names[name]}")
        return getattr(sys.modules[module], new_names[name])

    return module_getattr
