"""DAGMM: autoencoders whose latent space is a mixture, trained end to end."""

try:
    import equinox  # noqa: F401
    import rich  # noqa: F401
except ImportError as error:
    raise ImportError(
        f"mixjax.dagmm needs its extra ({error.name} is missing): pip install 'mixjax[dagmm]'"
    ) from error

from .anomalies import InverseEnergy, Repulsion
from .autoencoders.autoencoder import Autoencoder, Encoded
from .autoencoders.quantised import VectorQuantisedAutoencoder
from .autoencoders.variational import VariationalAutoencoder
from .files import load, save
from .inputs import Inputs
from .losses import Objective, Terms, loss
from .model import DAGMM, Latent
from .pu_learning import PositiveUnlabelled, positive_unlabelled
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
    "PositiveUnlabelled",
    "Refit",
    "Repulsion",
    "Status",
    "Terms",
    "Trained",
    "VariationalAutoencoder",
    "VectorQuantisedAutoencoder",
    "load",
    "loss",
    "positive_unlabelled",
    "save",
    "score",
    "train",
]
