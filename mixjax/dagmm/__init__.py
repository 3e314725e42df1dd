"""DAGMM: autoencoders whose latent space is a mixture, trained end to end."""

try:
    import equinox  # noqa: F401
    import rich  # noqa: F401
except ImportError as error:
    raise ImportError(
        f"mixjax.dagmm needs its extra ({error.name} is missing): pip install 'mixjax[dagmm]'"
    ) from error

from ..describing.renamed import renamed
from .anomalies import InverseEnergy, Repulsion
from .autoencoders.autoencoder import Autoencoder, Encoded
from .autoencoders.quantized import VectorQuantizedAutoencoder
from .autoencoders.variational import VariationalAutoencoder
from .files import load, save
from .inputs import Inputs
from .losses import Objective, Terms, loss
from .model import DAGMM, Latent
from .pu_learning import PositiveUnlabeled, positive_unlabeled
from .scoring import Refit, score
from .trained import Status, Trained
from .training import train

__all__ = [
    "DAGMM",
    "Autoencoder",
    "Encoded",
    "Inputs",
    "InverseEnergy",
    "Latent",
    "Objective",
    "PositiveUnlabeled",
    "Refit",
    "Repulsion",
    "Status",
    "Terms",
    "Trained",
    "VariationalAutoencoder",
    "VectorQuantizedAutoencoder",
    "load",
    "loss",
    "positive_unlabeled",
    "save",
    "score",
    "train",
]

__getattr__ = renamed(
    __name__,
    {
        "PositiveUnlabelled": "PositiveUnlabeled",
        "VectorQuantisedAutoencoder": "VectorQuantizedAutoencoder",
        "positive_unlabelled": "positive_unlabeled",
    },
)


def __dir__() -> list[str]:
    return __all__
