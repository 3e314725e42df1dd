"""Finding anomalies among unlabeled rows, given a few labeled normal rows."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array, lax
from jax.typing import ArrayLike

from .. import checks
from ..describing.renamed import warn_renamed
from ..describing.summary import Described
from ..mixture.questions import energy
from ..programs import jit
from ..pytrees import pytree
from ..threshold import ElkanNoto, elkan_noto
from .inputs import Inputs
from .model import of_model
from .networks import Layers
from .scoring import latent_rows_and_error
from .trained import Trained, require_one

HIDDEN = (32, 32)
ADAM = optax.adam(1e-3)
BATCH = 1024
# Features besides the latent row: its energy, and its reconstruction error.
EXTRA = 2


@pytree
class PositiveUnlabeled(Described):
    r"""A classifier of labeled against unlabeled rows, and its threshold.

    Attributes:
      trained: the DAGMM that computes latent rows, energies and errors.
      inputs: how these features are scaled.
      network: computes the logit of p(labeled | x).
      rule: c and the threshold c / 2.

    Example:
      >>> import dataclasses
      >>> from mixjax import dagmm
      >>> [field.name for field in dataclasses.fields(dagmm.PositiveUnlabeled)]
      ['trained', 'inputs', 'network', 'rule']

    Source: Elkan and Noto (2008), section 2.
    """

    trained: Trained
    inputs: Inputs
    network: Layers
    rule: ElkanNoto

    def labeled_probability(self, x: ArrayLike) -> Array:
        """p(labeled | x) (N,) of rows (N, D); NaN for rows that hold NaN or infinity."""
        x = of_model(self.trained.model, x)
        return _labeled_probability(self.trained, self.inputs, self.network, x)

    def labelled_probability(self, x: ArrayLike) -> Array:
        """The old name of `labeled_probability`; it warns."""
        warn_renamed("labelled_probability", "labeled_probability")
        return self.labeled_probability(x)

    def normal_probability(self, x: ArrayLike) -> Array:
        """p(normal | x) = p(labeled | x) / c (N,), at most 1, of rows (N, D)."""
        return self.rule.normal_probability(self.labeled_probability(x))

    def is_anomaly(self, x: ArrayLike) -> Array:
        """(N,) whether p(labeled | x) of rows (N, D) is below c / 2 or NaN."""
        return self.rule.is_anomaly(self.labeled_probability(x))


def positive_unlabeled(
    key: Array,
    trained: Trained,
    labeled: ArrayLike,
    unlabeled: ArrayLike,
    *,
    held_out: float = 0.2,
    epochs: int = 20,
) -> PositiveUnlabeled:
    r"""Learn which unlabeled rows are anomalies, with a threshold learned from the data.

    A small network predicts p(labeled | x) from features of a trained DAGMM: the latent row, its
    energy and the logarithm of the reconstruction error. With c the mean prediction for held-out
    labeled rows, p(normal | x) = p(labeled | x)/c; below one half a row counts as an anomaly.
    This is valid if the labeled rows are a random part of the normal rows. p(normal | x) is the
    probability for a row drawn from both tables together.

    Args:
      key: a typed random key.
      trained: a DAGMM trained on normal rows, for example on the labeled ones.
      labeled: (N, D) rows known to be normal; at least 10.
      unlabeled: (M, D) rows of both kinds.
      held_out: share of the labeled rows that estimates c.
      epochs: passes over the rows.

    Returns:
      The classifier.

    Raises:
      TypeError: a table is not floating, or the key is an old-style key.
      ValueError: there are too few labeled rows, or NaN; a table has the wrong width;
        ``held_out`` is not between 0 and 1.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from mixjax import dagmm
      >>> normal = jax.random.normal(jax.random.key(0), (400, 3))
      >>> strange = 8 + jax.random.normal(jax.random.key(1), (100, 3))
      >>> known, mix = normal[:200], jnp.concatenate([normal[200:], strange])
      >>> model = dagmm.DAGMM(jax.random.key(2), 3, autoencoder=dagmm.Autoencoder((8,), 2))
      >>> trained = dagmm.train(
      ...     jax.random.key(3), model, known, epochs=50, batch_size=100, progress=False)
      >>> found = dagmm.positive_unlabeled(
      ...     jax.random.key(4), trained, known, mix, epochs=200).is_anomaly(mix)
      >>> bool(found[:200].mean() < 0.1), bool(found[200:].mean() > 0.9)
      (True, True)

    Source: Elkan and Noto, Learning Classifiers from Only Positive and Unlabeled Data
    (2008), section 2.
    """
    for_split, for_network, for_training = jax.random.split(checks.key(key), 3)
    require_one(trained)
    known, rest = (
        checks.finite_rows(of_model(trained.model, x), name)
        for x, name in ((labeled, "labeled"), (unlabeled, "unlabeled"))
    )
    epochs = checks.count(epochs, "epochs")
    if not 0 < held_out < 1:
        raise ValueError(f"held_out must be between 0 and 1, got {held_out!r}")
    n_held = round(held_out * known.shape[0])
    if known.shape[0] < 10 or not 0 < n_held < known.shape[0]:
        raise ValueError(
            f"{known.shape[0]} labeled rows are too few to hold out a share of {held_out}: "
            "label more rows"
        )
    held, seen = _dealt(for_split, known, rest, n_held)
    features = features_of(trained, seen)
    inputs = Inputs.of(features)
    target = np.arange(len(features)) < len(known) - n_held
    widths = (features.shape[1], *HIDDEN, 1)
    network = Layers(for_network, widths, dtype=features.dtype)
    network = _trained_classifier(for_training, network, features, inputs, target, epochs=epochs)
    found = PositiveUnlabeled(trained, inputs, network, ElkanNoto(jnp.ones((), known.dtype)))
    rule = elkan_noto(found.labeled_probability(held))
    return PositiveUnlabeled(trained, inputs, network, rule)


@jit
def _labeled_probability(trained: Trained, inputs: Inputs, network: Layers, x: Array) -> Array:
    logits = network(inputs(features_of(trained, x)))[:, 0]
    # Clipping the inputs would make infinity look like any large number.
    return jnp.where(jnp.all(jnp.isfinite(x), axis=1), jax.nn.sigmoid(logits), jnp.nan)


@functools.partial(jit, static_argnums=3)
def _dealt(key: Array, known: Array, rest: Array, n_held: int) -> tuple[Array, Array]:
    """The held-out known rows, and all other rows, the known ones first."""
    known = known[jax.random.permutation(key, known.shape[0])]
    return known[:n_held], jnp.concatenate([known[n_held:], rest])


@functools.partial(jit, static_argnames="epochs")
def _trained_classifier(
    key: Array, network: Layers, features: Array, inputs: Inputs, target: Array, *, epochs: int
) -> Layers:
    """Logistic loss, Adam, shuffled batches; all epochs in one compiled call."""
    x = inputs(features)
    size = min(BATCH, x.shape[0])
    n_batches = x.shape[0] // size

    def update(carry: Any, index: Array) -> tuple[Any, None]:
        network, state = carry

        def loss(network: Layers) -> Array:
            logits = network(x[index])[:, 0]
            truth = target[index].astype(logits.dtype)
            return jnp.mean(optax.sigmoid_binary_cross_entropy(logits, truth))

        with jax.numpy_dtype_promotion("standard"):
            step, state = ADAM.update(jax.grad(loss)(network), state, network)
            return (optax.apply_updates(network, step), state), None

    def epoch(carry: Any, key: Array) -> tuple[Any, None]:
        order = jax.random.permutation(key, x.shape[0])[: n_batches * size]
        return lax.scan(update, carry, order.reshape(n_batches, size))

    with jax.numpy_dtype_promotion("standard"):
        state = ADAM.init(network)
    (network, _), _ = lax.scan(epoch, (network, state), jax.random.split(key, epochs))
    return network


@jit
def features_of(trained: Trained, x: Array) -> Array:
    """Latent row, energy and logarithm of the relative error: (N, L + 4)."""
    z, _, error = latent_rows_and_error(trained.model, trained.inputs, x)
    typical = jnp.where(trained.mean_error > 0, trained.mean_error, 1)
    strange = energy(trained.mixture, z)
    extra = jnp.stack([strange, jnp.log(error / typical + 1e-6)], axis=1)
    return jnp.concatenate([z, extra], axis=1)
