"""The result of training."""

import enum
from typing import Any

import jax.numpy as jnp
from jax import Array

from ..describing.summary import Described, Summary, fields_of, summary_of
from ..describing.words import counted, lanes, on_host, span, tally
from ..mixture.mixture import Mixture
from ..pytrees import pytree
from .inputs import Inputs
from .losses import Terms
from .model import DAGMM


class Status(enum.IntEnum):
    """How a training ended.

    Example:
      >>> from mixjax import dagmm
      >>> dagmm.Status.DIVERGED.meaning
      'the loss became NaN or infinite: lower the learning rate; the model is the last good one'
    """

    COMPLETED = 0
    INTERRUPTED = 1
    DIVERGED = 2

    @property
    def meaning(self) -> str:
        """What happened and what to do."""
        return {
            Status.COMPLETED: "all epochs were trained",
            Status.INTERRUPTED: "stopped from the keyboard: train again with the same "
            "checkpoint to resume",
            Status.DIVERGED: "the loss became NaN or infinite: lower the learning rate; "
            "the model is the last good one",
        }[self]


@pytree
class Trained(Described):
    """A trained model, and the mixture of the latent rows of its whole training set.

    After training with S keys, every leaf has a leading axis of S.

    Attributes:
      model: the model.
      inputs: how input columns are scaled.
      mixture: the mixture of all latent training rows, (K', L + 2).
      mean_error: () mean squared reconstruction error of the normal training rows.
      history: the terms of the loss, each (epochs,), as means over the batches of an epoch.
      status: () one of the numbers of `Status`.

    Example:
      >>> import jax
      >>> from mixjax import dagmm
      >>> x = jax.random.normal(jax.random.key(0), (200, 5))
      >>> model = dagmm.DAGMM(jax.random.key(1), 5)
      >>> trained = dagmm.train(
      ...     jax.random.key(2), model, x, epochs=2, batch_size=50, progress=False)
      >>> trained.history.total.shape, dagmm.Status(int(trained.status)).name
      ((2,), 'COMPLETED')
    """

    model: DAGMM
    inputs: Inputs
    mixture: Mixture
    mean_error: Array
    history: Terms
    status: Array

    def _summary(self) -> Summary:
        status, error = on_host(self.status), on_host(self.mean_error)
        loss = on_host(self.history.total)
        if status is None or error is None or loss is None:
            return fields_of(self)
        model = self.model
        latent = counted(model.autoencoder.latent, "latent column")
        network = f"{type(model.autoencoder).__name__}, {latent} for tables of {model.n_features:,}"
        epochs = counted(loss.shape[-1], "epoch")
        rows = [
            ("loss", [span(loss[..., -1:])]),
            ("mean_error", [span(error)]),
            ("model", [network]),
            ("mixture", [summary_of(self.mixture.components).headline]),
        ]
        if status.ndim:
            headline = f"Trained, {lanes(status.shape)}: {tally(status, Status)} after {epochs}"
        else:
            headline = f"Trained: {Status(int(status)).name} after {epochs}"
        return Summary(headline, rows)


def require_one(trained: Any) -> None:
    """Raise unless it is the result of `train` for a single seed."""
    if not isinstance(trained, Trained):
        raise TypeError(f"trained must be the result of dagmm.train, got {type(trained).__name__}")
    if jnp.ndim(trained.status) != 0:
        raise ValueError(
            f"trained holds {jnp.shape(trained.status)[0]} seeds: use "
            "jax.vmap(lambda one: dagmm.score(one, x))(trained)"
        )
