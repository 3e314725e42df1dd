"""Pictures of mixtures with matplotlib: functions that draw on Axes and return them.

Every function draws on ``ax=``, or on a new figure without it. It does not show the figure and does
not change settings of matplotlib: call ``plt.show()`` or ``ax.figure.savefig(...)`` yourself.
``python -m mixjax.plot FOLDER`` draws a gallery.
"""

try:
    import matplotlib  # noqa: F401 - imported here, so that a missing extra is reported at once
except ImportError as error:
    raise ImportError(
        f"mixjax.plot needs its extra ({error.name} is missing): pip install 'mixjax[plot]'"
    ) from error

from .assignments import responsibilities
from .components import ellipses
from .curves import precision_recall, roc
from .density import contours, surface
from .fits import fits
from .fitting import convergence, selection
from .pair_grid import pairs
from .reasons import surprisal
from .scores import energy_histogram

__all__ = [
    "contours",
    "convergence",
    "ellipses",
    "energy_histogram",
    "fits",
    "pairs",
    "precision_recall",
    "responsibilities",
    "roc",
    "selection",
    "surface",
    "surprisal",
]


def __dir__() -> list[str]:
    return __all__
