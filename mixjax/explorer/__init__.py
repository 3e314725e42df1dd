"""The explorer: one page of what a detector says of a table, that opens without a network."""

try:
    import plotly  # noqa: F401
except ImportError as error:
    raise ImportError(
        f"mixjax.explorer needs its extra ({error.name} is missing): pip install 'mixjax[plot]'"
    ) from error

from .page import write

__all__ = ["write"]
