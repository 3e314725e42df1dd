"""Scores of rows: energies under the mixture of the whole training set."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from .. import checks
from ..fitting.em import EM
from ..fitting.front_door import fit
from ..mixture.maximization import m_step
from ..mixture.mixture import Mixture
from ..mixture.questions import energy
from ..programs import BySize, on_device
from ..pytrees import pytree, static
from ..rows.asking import ask
from ..rows.blocks import map_rows
from .inputs import Inputs
from .model import DAGMM, n_parameters, of_model
from .trained import Trained, require_one

# The smallest mean number of rows for each component of a refitted mixture.
ROWS_A_COMPONENT = 50


@pytree
class Refit:
    """Fit a new mixture to all latent rows after the networks are trained.

    EM on all latent rows fits them better than the estimation network, which is small and saw
    batches only. The family is that of the model, but `Laplace` replaces `MeanLaplace`, whose
    update is meant for gradients.

    Attributes:
      ridge: variance added to each latent column, as a share of its variance, because latent
        rows often lie on curves and, if quantized, on points.
      n_components: components of the new mixture; fewer if there are not 50 rows for each.

    Example:
      >>> from mixjax import dagmm
      >>> dagmm.Refit(n_components=4).n_components
      4
    """

    ridge: Any = 0.02
    n_components: int = static(default=32)


def latent_rows_and_error(model: DAGMM, inputs: Inputs, x: Array) -> tuple[Array, Array, Array]:
    """z (N, L + 2), responsibilities (N, K) and squared errors (N,), in blocks of rows."""
    width = model.n_features + model.autoencoder.latent + 2
    columns = model.autoencoder.latent + 2

    def block(rows: Array) -> Array:
        latent = model(inputs(rows))
        parts = [latent.z, latent.responsibilities, latent.error[:, None]]
        return jnp.concatenate(parts, axis=1)

    together = map_rows(block, x, 2 * width)
    return together[:, :columns], together[:, columns:-1], together[:, -1]


def _finished(
    key: Array,
    model: DAGMM,
    *,
    inputs: Inputs,
    x: Array,
    weights: Array | None,
    reg_covar: Any,
    refit: Refit | None,
) -> tuple[Mixture, Array]:
    """The mixture of all latent rows after training, and the mean squared error."""
    z, resp, error = latent_rows_and_error(model, inputs, x)
    mean_error = jnp.average(error, weights=weights)
    if refit is None:
        mixture = m_step(model.family, z, resp, weights=weights, reg_covar=reg_covar)
        return mixture, mean_error
    family = model.family.by_maximum_likelihood()
    mean = jnp.average(z, axis=0, weights=weights)
    variance = jnp.average((z - mean[None]) ** 2, axis=0, weights=weights)
    result = fit(
        key,
        z,
        refit.n_components,
        family=family,
        weights=weights,
        solver=EM(reg_covar=refit.ridge * variance),
    )
    return result.mixture, mean_error


finished: BySize[tuple[Mixture, Array]] = BySize(_finished)


def _score(known: tuple[Trained, Array], x: Array) -> Array:
    trained, reconstruction_weight = known
    z, _, error = latent_rows_and_error(trained.model, trained.inputs, x)
    typical = jnp.where(trained.mean_error > 0, trained.mean_error, 1)
    scores = energy(trained.mixture, z) + reconstruction_weight * error / typical
    # Clipping the inputs would make infinity look like any large number.
    return jnp.where(jnp.all(jnp.isfinite(x), axis=1), scores, jnp.nan)


scores: BySize[Array] = BySize(_score)


def score(trained: Trained, x: ArrayLike, *, reconstruction_weight: ArrayLike = 0.0) -> Array:
    r"""How strange each row is: $E(z_n) + \rho\,\|x_n - x_n'\|^2 / \overline{\|x - x'\|^2}$.

    E is the energy of the latent row under the mixture of the whole training set. Scores are
    deterministic: there is no dropout and no random code.

    Args:
      trained: the result of `train`.
      x: (N, D) rows in the units of the training rows.
      reconstruction_weight: $\rho$, weight of the squared reconstruction error relative to its
        mean over the training rows.

    Returns:
      (N,) in nats; higher is stranger, and NaN for rows that hold NaN or infinity.

    Raises:
      TypeError: x is not floating, or trained is not a `Trained`.
      ValueError: x does not have two axes or the width of the model; trained holds several
        seeds.

    Example:
      >>> import jax
      >>> from mixjax import dagmm
      >>> x = jax.random.normal(jax.random.key(0), (200, 5))
      >>> model = dagmm.DAGMM(jax.random.key(1), 5)
      >>> trained = dagmm.train(
      ...     jax.random.key(2), model, x, epochs=2, batch_size=50, progress=False)
      >>> dagmm.score(trained, x, reconstruction_weight=1.0).shape
      (200,)

    Source: Zong et al., Deep Autoencoding Gaussian Mixture Model (2018), equation 6.
    """
    require_one(trained)
    table = of_model(trained.model, x)
    known = trained, jnp.asarray(reconstruction_weight, table.dtype)
    if not checks.on_host(known, table):
        return scores.thorough(known, table)
    return on_device(ask(scores, known, np.asarray(table), n_parameters(trained.model)))
