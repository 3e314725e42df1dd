"""The explorer: one page with the results of a detector for a table; it works offline."""

try:
    import plotly  # noqa: F401
except ImportError as error:
    raise ImportError(
        f"mixjax.explorer needs its extra ({error.name} is missing): pip install 'mixjax[plot]'"
    ) from error

from .page import write

__all__ = ["write"]


def __dir__() -> list[str]:
    return __all__
