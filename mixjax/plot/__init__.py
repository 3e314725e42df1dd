"""Pictures of mixtures with matplotlib: functions that draw on Axes and return them.

Every function takes ``ax=`` to draw there; without it a figure is made. Nothing is shown and no
setting of matplotlib is changed: call ``plt.show()`` or ``ax.figure.savefig(...)`` yourself. A
gallery: ``python -m mixjax.plot FOLDER``.
"""

try:
    import matplotlib  # noqa: F401 - asked for here, so that what is missing is told at once
except ImportError as error:
    raise ImportError(
        f"mixjax.plot needs its extra ({error.name} is missing): pip install 'mixjax[plot]'"
    ) from error

from .assignments import responsibilities
from .components import ellipses
from .curves import precision_recall, roc
from .density import contours, surface
from .fits import convergence, selection
from .pair_grid import pairs
from .reasons import surprisal
from .scores import energy_histogram

__all__ = [
    "contours",
    "convergence",
    "ellipses",
    "energy_histogram",
    "pairs",
    "precision_recall",
    "responsibilities",
    "roc",
    "selection",
    "surface",
    "surprisal",
]
