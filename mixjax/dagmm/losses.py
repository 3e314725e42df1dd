"""The training loss of DAGMM; its mixture terms come from the core functions."""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from .. import checks
from ..mixture.maximization import m_step
from ..mixture.questions import covariance_penalty, energy
from ..programs import jit
from ..pytrees import pytree
from .anomalies import Repulsion
from .model import DAGMM, of_model


@pytree
class Objective:
    r"""The weights of the loss; new numbers do not compile again.

    Attributes:
      energy_weight: $\lambda_1$, weight of the mean energy. The published 0.1 shrinks codes of
        more than a few columns until they hold little information.
      covariance_weight: $\lambda_2$, weight of the covariance penalty. The published 0.005
        makes the components too wide.
      reg_covar: as for `mixjax.m_step`.
      anomaly_weight: weight of the mean cost of labeled anomalies.
      anomalies: the cost of labeled anomalies, `Repulsion` or the published `InverseEnergy`.

    Example:
      >>> from mixjax import dagmm
      >>> published = dagmm.Objective(energy_weight=0.1, covariance_weight=0.005)
      >>> published.anomaly_weight
      10.0

    Source: Zong et al., Deep Autoencoding Gaussian Mixture Model (2018), section 3.4.
    """

    energy_weight: Any = 0.01
    covariance_weight: Any = 1e-4
    reg_covar: Any = None
    anomaly_weight: Any = 10.0
    anomalies: Any = Repulsion()


class Terms(NamedTuple):
    """The loss and its terms, unweighted, each ().

    Attributes:
      total: the training loss.
      reconstruction: mean loss of the autoencoder.
      energy: mean energy of the normal rows, in nats.
      covariance: the covariance penalty.
      anomalies: mean cost of the labeled anomalies.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from mixjax import dagmm
      >>> model = dagmm.DAGMM(jax.random.key(0), 5)
      >>> x = jax.random.normal(jax.random.key(1), (64, 5))
      >>> dagmm.loss(model, x).anomalies.item()
      0.0
    """

    total: Array
    reconstruction: Array
    energy: Array
    covariance: Array
    anomalies: Array


def loss(
    model: DAGMM,
    x: ArrayLike,
    objective: Objective = Objective(),  # noqa: B008 - frozen
    *,
    key: Array | None = None,
    labels: Array | None = None,
) -> Terms:
    r"""The loss of a batch: $\overline{\ell(x)} + \lambda_1\bar E + \lambda_2 P$.

    $\ell$ is the autoencoder's loss, E the energy of the latent rows under the mixture of their
    own responsibilities, and P the covariance penalty. For labeled anomalies, the mean of their
    cost times ``anomaly_weight`` replaces their energy.

    Args:
      model: the model.
      x: (N, D) input rows of the model (see `Inputs`), with its dtype.
      objective: the weights of the terms.
      key: for dropout and drawn codes; None for neither.
      labels: (N,) 1 for a labeled anomaly, else 0; None for no anomalies.

    Returns:
      The terms; ``total`` is differentiable in the model and in x.

    Raises:
      TypeError: x is not floating, or objective is not an `Objective`.
      ValueError: x has the wrong width; labels have the wrong length, or other values than 0
        and 1.

    Example:
      >>> import jax
      >>> from mixjax import dagmm
      >>> model = dagmm.DAGMM(jax.random.key(0), 5)
      >>> x = jax.random.normal(jax.random.key(1), (64, 5))
      >>> gradient = jax.grad(lambda model: dagmm.loss(model, x).total)(model)
      >>> bool((gradient.estimation.linear[0].weight != 0).all())
      True

    Source: Zong et al., Deep Autoencoding Gaussian Mixture Model (2018), equation 7.
    """
    x = of_model(model, x)
    if not isinstance(objective, Objective):
        raise TypeError(f"objective must be a dagmm.Objective, got {type(objective).__name__}")
    if labels is not None:
        checks.labels(labels, x.shape[0])
    check_cost(objective)
    return _loss(model, x, objective, key, labels)


@jit
def _loss(model: DAGMM, x: Array, objective: Objective, key: Array | None, labels: Any) -> Terms:
    latent = model(x, key)
    zero = jnp.zeros((), latent.z.dtype)
    anomalous = None if labels is None else jnp.asarray(labels).astype(latent.z.dtype)
    normal = None if anomalous is None else 1 - anomalous
    modeled = normal if objective.anomalies.keeps_apart else None
    mixture = m_step(
        model.family,
        latent.z,
        latent.responsibilities,
        weights=modeled,
        reg_covar=objective.reg_covar,
    )
    energies = energy(mixture, latent.z)
    reconstruction = _mean(latent.loss, modeled)
    normal_energy = _mean(energies, normal)
    penalty = covariance_penalty(mixture)
    cost = zero
    if anomalous is not None:
        cost = _mean(objective.anomalies(energies, lax.stop_gradient(normal_energy)), anomalous)
    total = (
        reconstruction
        + objective.energy_weight * normal_energy
        + objective.covariance_weight * penalty
        + objective.anomaly_weight * cost
    )
    return Terms(total, reconstruction, normal_energy, penalty, cost)


def check_cost(objective: Objective) -> None:
    """Raise unless its cost of anomalies is valid."""
    if not (callable(objective.anomalies) and hasattr(objective.anomalies, "keeps_apart")):
        raise TypeError(
            "objective.anomalies must be dagmm.Repulsion(), dagmm.InverseEnergy() or a "
            f"similar cost, got {objective.anomalies!r}"
        )


def _mean(values: Array, weights: Array | None) -> Array:
    """Weighted mean; 0 if every weight is 0."""
    if weights is None:
        return jnp.mean(values)
    return jnp.sum(weights * values) / jnp.maximum(jnp.sum(weights), 1)
