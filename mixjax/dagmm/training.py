"""`train`: epochs with a progress bar, checkpoints, many seeds and a status."""

import dataclasses
import functools
import os
import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from jax.typing import ArrayLike

from .. import checks
from ..files import check_outputs
from ..programs import on_device
from ..progress import progress_bar
from .checkpoint import Checkpoint
from .epoch import AFTER, Run, batches_of, begun, epoch
from .inputs import Inputs
from .losses import Objective, Terms, check_cost
from .model import DAGMM, n_parameters, of_model
from .scoring import ROWS_A_COMPONENT, Refit, finished
from .trained import Status, Trained

ADAM = optax.adam(1e-3)
# A training of at most this many rows times parameters times epochs is compiled in haste: what
# optimized programs save in seconds of running they cost in seconds of compiling.
LITTLE = 2**28


def train(
    key: Array,
    model: DAGMM,
    x: ArrayLike,
    *,
    labels: ArrayLike | None = None,
    epochs: int = 20,
    batch_size: int = 1024,
    optimizer: optax.GradientTransformation = ADAM,
    objective: Objective = Objective(),  # noqa: B008 - frozen
    inputs: Inputs | None = None,
    refit: Refit | None = Refit(),  # noqa: B008 - frozen
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: int = 10,
    progress: bool = True,
) -> Trained:
    r"""Train the networks, then fit the mixture of all latent rows.

    An epoch is one compiled scan over shuffled batches; rows that do not fill a batch are left
    out of the epoch. The key of an epoch depends only on its number, so a resumed run ends with
    the same numbers as an uninterrupted one.

    Args:
      key: a typed random key. To train S seeds at once, S keys and a model whose leaves have a
        leading axis of S (``jax.vmap(lambda key: DAGMM(key, D))(keys)``).
      model: the untrained model, or one to train further.
      x: (N, D) training rows, in any units; they stay on the device.
      labels: (N,) 1 for rows labeled as anomalies, else 0; None if there are none.
      epochs: passes over the rows.
      batch_size: rows in a batch, at most N.
      optimizer: any `optax.GradientTransformation`; build it once, because a new object
        compiles again. None is Adam with a rate of 1e-3.
      objective: the weights of the loss.
      inputs: how input columns are scaled; None standardizes by the normal training rows and
        clips at five deviations (see `Inputs`).
      refit: how a mixture is fitted to the latent rows at the end; None uses the moments by the
        responsibilities of the estimation network, pooled over all training rows.
      checkpoint: a file for the run, written every ``checkpoint_every`` epochs, at the end and
        on Ctrl-C, unless the run has diverged. If the file exists, the run resumes from it. Then
        only the optimizer may change, if its state has the same form: for example to a lower
        rate after a divergence.
      checkpoint_every: epochs between two writes.
      progress: whether to show a progress bar.

    Returns:
      The trained model. After Ctrl-C it has `Status.INTERRUPTED` and the progress so far. After
      a loss that is not finite it has `Status.DIVERGED` and the last good parameters, and
      there is a warning.

    Raises:
      TypeError: x is not floating, the key is an old-style key, or optimizer, objective, inputs
        or refit has the wrong type.
      FileNotFoundError: the folder of the checkpoint does not exist.
      ValueError: x holds NaN, or has the wrong width or fewer rows than a batch; labels have
        the wrong length, other values than 0 and 1, or no normal row; the checkpoint is of
        another run.

    Example:
      >>> import jax
      >>> from mixjax import dagmm
      >>> x = jax.random.normal(jax.random.key(0), (200, 5))
      >>> model = dagmm.DAGMM(jax.random.key(1), 5)
      >>> trained = dagmm.train(
      ...     jax.random.key(2), model, x, epochs=3, batch_size=50, progress=False)
      >>> bool(trained.history.total[-1] < trained.history.total[0])
      True

    Source: Zong et al., Deep Autoencoding Gaussian Mixture Model (2018), section 3.
    """
    lanes = _lanes(key, model)
    table, flags = _checked(model, x, labels, batch_size, optimizer)
    epochs = checks.count(epochs, "epochs")
    checkpoint_every = checks.count(checkpoint_every, "checkpoint_every")
    check_outputs({"checkpoint": checkpoint})
    normal = None if flags is None else on_device(1 - np.asarray(flags), table.dtype)
    inputs = Inputs.of(table, normal) if inputs is None else inputs
    refit = _checked_options(objective, inputs, refit, model.n_features, flags, len(table))
    inputs = jax.tree.map(lambda leaf: jnp.asarray(leaf, model.dtype), inputs)

    work = len(table) * n_parameters(model) * epochs
    size = 0 if work <= LITTLE else work
    begin = functools.partial(begun, x=table, inputs=inputs, optimizer=optimizer)
    step = functools.partial(
        epoch.for_size(size), x=table, labels=flags, inputs=inputs, objective=objective,
        optimizer=optimizer,
    )  # fmt: skip
    end = functools.partial(
        finished.for_size(size), inputs=inputs, x=table, weights=normal,
        reg_covar=objective.reg_covar, refit=refit,
    )  # fmt: skip
    run: Run = _mapped(lanes, begin, 2)(key, model)
    done: tuple[Terms, ...] = ()
    file = None
    if checkpoint is not None:
        file = Checkpoint.of(checkpoint, (key, run, table, flags, objective, inputs, batch_size))
        run, done = file.read(run)
        if len(done) > epochs:
            raise ValueError(
                f"{checkpoint} holds {len(done)} epochs, more than epochs={epochs}: pass a "
                "larger number of epochs, or another file"
            )

    interrupted = False
    with progress_bar("training", "epoch", epochs, len(done), progress) as show:
        try:
            while len(done) < epochs and not np.all(run.diverged):
                order = batches_of(key, len(done), len(table), batch_size)
                number = jnp.full(lanes, len(done), jnp.int32)
                after, terms = _mapped(lanes, step, 4)(key, run, number, order)
                run, done = jax.block_until_ready((after, (*done, terms)))
                show(len(done), f"loss {np.mean(terms.total):.4f}")
                due = len(done) % checkpoint_every == 0
                if file is not None and due and not np.all(run.diverged):
                    file.write(run, done)
        except KeyboardInterrupt:
            interrupted = len(done) < epochs
    if file is not None and not np.all(run.diverged):
        file.write(run, done)

    for_end = _mapped(lanes, lambda key: jax.random.fold_in(key, AFTER), 1)(key)
    mixture, mean_error = _mapped(lanes, end, 2)(for_end, run.model)
    ended = Status.INTERRUPTED if interrupted else Status.COMPLETED
    status = jnp.where(run.diverged, Status.DIVERGED, ended).astype(jnp.int32)
    if np.any(run.diverged):
        warnings.warn(f"DIVERGED: {Status.DIVERGED.meaning}", stacklevel=2)
    none = np.zeros((*lanes, 0), model.dtype)
    history = Terms(*(
        on_device(np.concatenate([none, *(np.asarray(t[i])[..., None] for t in done)], axis=-1))
        for i in range(len(Terms._fields))
    ))  # fmt: skip
    over_seeds = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, lanes + leaf.shape), inputs)
    return Trained(run.model, over_seeds, mixture, mean_error, history, status)


def _mapped(lanes: tuple[int, ...], f: Callable[..., Any], n_arguments: int) -> Callable[..., Any]:
    """``f``, mapped over a leading axis of S of its first arguments if there is one."""
    return jax.vmap(f, in_axes=(0,) * n_arguments) if lanes else f


def _lanes(key: Any, model: DAGMM) -> tuple[int, ...]:
    """The leading axis of key and model: () or (S,)."""
    if not isinstance(model, DAGMM):
        raise TypeError(f"model must be a dagmm.DAGMM, got {type(model).__name__}")
    checks.key(key if getattr(key, "ndim", 0) == 0 else key[0])
    lanes = tuple(model.estimation.linear[-1].weight.shape[:-2])
    if getattr(key, "shape", ()) != lanes:
        raise ValueError(
            f"key has shape {getattr(key, 'shape', ())}, but the leaves of the model have leading "
            f"axes {lanes}: pass a single key and model, or S keys and "
            "jax.vmap(lambda key: dagmm.DAGMM(key, n_features))(keys)"
        )
    return lanes


def _checked_options(
    objective: Any, inputs: Any, refit: Any, n_features: int, flags: Array | None, n_rows: int
) -> Refit | None:
    """The refit with as many components as the number of normal rows allows."""
    for name, value, kind in (("objective", objective, Objective), ("inputs", inputs, Inputs)):
        if not isinstance(value, kind):
            raise TypeError(f"{name} must be a dagmm.{kind.__name__}, got {value!r}")
    check_cost(objective)
    if np.shape(inputs.shift) != (n_features,) or np.shape(inputs.scale) != (n_features,):
        raise ValueError(
            f"inputs have shape {np.shape(inputs.shift)}, but the model was made for "
            f"{n_features} columns"
        )
    if refit is None:
        return None
    if not isinstance(refit, Refit):
        raise TypeError(f"refit must be a dagmm.Refit or None, got {refit!r}")
    checks.count(refit.n_components, "refit.n_components")
    checks.reg_covar(refit.ridge, n_features)
    n_normal = n_rows if flags is None else n_rows - int(np.asarray(flags).sum())
    affordable = max(1, n_normal // ROWS_A_COMPONENT)
    return dataclasses.replace(refit, n_components=min(refit.n_components, affordable))


def _checked(
    model: DAGMM, x: Any, labels: Any, batch_size: Any, optimizer: Any
) -> tuple[Array, Array | None]:
    """The table in the model's dtype, and which rows are labeled as anomalies."""
    checks.optimizer(optimizer)
    table = checks.finite_rows(of_model(model, x))
    if checks.count(batch_size, "batch_size") > table.shape[0]:
        raise ValueError(
            f"batch_size {batch_size} is larger than the data ({table.shape[0]} rows): "
            f"pass batch_size={table.shape[0]} or less"
        )
    if labels is None:
        return table, None
    flags = np.asarray(checks.labels(labels, table.shape[0]))
    if flags.all():
        raise ValueError("labels mark every row as an anomaly: no normal rows are left to fit")
    return table, on_device(flags, np.int8)
