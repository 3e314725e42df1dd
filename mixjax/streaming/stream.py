"""EM on data larger than memory: every iteration is one exact pass over a stream."""

import dataclasses
import functools
import os
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh

from .. import checks
from ..families.family import Family
from ..families.gaussian import Gaussian
from ..files import check_outputs, digest_of
from ..fitting.em import EM
from ..fitting.outcome import Fit
from ..fitting.problem import Problem, in_units, table_for
from ..fitting.recipe import check_solving, check_start
from ..fitting.solver import loop, on_host
from ..fitting.starts import KMeans, Start, as_value, name_of_start
from ..mixture.maximization import ridge, unscaled
from ..mixture.mixture import Mixture
from ..programs import jit, on_device
from ..progress import progress_bar
from ..rows.scaling import Scale
from .checkpoint import Checkpoint
from .passes import BLOCK, Streamed, begun, concluded, one_pass, total_of
from .processes import Team
from .sources import batches_of, files_of, mesh_of
from .survey import Survey, merged, surveyed

# Rows that the start uses.
SAMPLE = 2**16


def fit_stream(
    key: Array,
    batches: Any,
    n_components: int,
    *,
    family: type[Family] = Gaussian,
    start: Start | Mixture = KMeans(),  # noqa: B008 - frozen
    solver: EM = EM(),  # noqa: B008 - frozen
    tol: float = 1e-3,
    max_iter: int = 100,
    mesh: Mesh | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_seconds: float = 60.0,
    progress: bool = False,
) -> Fit:
    r"""Fit a mixture to rows that come in batches: each EM iteration is one exact pass.

    Up to rounding, the result is that of `fit` on all rows: the M-step needs only the sums
    $\sum_n r_{nk}$, $\sum_n r_{nk} x_n$, $\sum_n r_{nk} x_n x_n^\top$, and sums add up over
    batches. (The median of `Laplace` is not such a sum. Here it takes the step from sums, see its
    `statistics`, which also raises the likelihood.) The host reads the next block while the
    device works on this one. A first pass finds the scale of the columns and an even sample of
    65,536 rows for the start.

    With a mesh the blocks go to its devices in turn, and several processes (see
    `jax.distributed.initialize`) fit one mixture: each process reads its own rows, and their sums
    are added once an iteration, by one all-reduce of 1 + K + K D + K D² numbers. Batches may also
    be arrays whose rows are spread over a mesh.

    Args:
      key: a typed random key.
      batches: float rows (n_i, D) in batches of any lengths. It is a function that returns an
        iterator over them; an iterable that can be read again, such as a list or a data loader
        (its batches may be ``[x]`` or columns by name); an array, also a `numpy.memmap`; or the
        path of a .npy or .parquet file, or of a folder of them. A batch may also be
        `mixjax.Observed` rows, or a tuple of rows and a weight (n_i,) for each.
      n_components: K, a Python int.
      family: the class of the components.
      start: (key, x, K, weights) -> responsibilities (N, K), for the sample; or the
        mixture to start from.
      solver: `EM`, with its ``reg_covar``.
      tol: the change of the mean energy, in nats, below which the fit has converged.
      max_iter: the largest number of iterations.
      mesh: the devices of all processes that take part. None uses the mesh of the batches if
        they are spread over one, and otherwise the default device.
      checkpoint: a file for the progress. If it exists, the fit resumes from it and ends with
        the same mixture as an uninterrupted fit. (A larger ``max_iter`` continues the fit; a fit
        that has converged does not change.) With several processes, all but the first add their
        number to the name. A process without a file, or with other rows than before, takes
        the progress of the others and starts the current iteration again.
      checkpoint_seconds: how often the checkpoint is written, besides the end of every pass.
      progress: whether to show a progress bar (needs rich).

    Returns:
      The fit; see `mixjax.fit`.

    Raises:
      TypeError: batches is a generator, which can be read only once; batches are not floating;
        the solver is not `EM`.
      ValueError: the stream is empty; batches differ in width; there are NaN or infinity (batch
        and row are named), or fewer rows than components; rows changed between passes (with a
        checkpoint also their order); the checkpoint is of another fit, other rows, another shape
        or another version.
      RuntimeError: another process of the mesh failed.

    Example:
      >>> import jax, numpy as np, mixjax
      >>> x = np.random.default_rng(0).normal(size=(1000, 2)).astype("float32")
      >>> def batches():
      ...     yield from np.array_split(x, 7)
      >>> streamed = mixjax.fit_stream(jax.random.key(0), batches, 2)
      >>> in_memory = mixjax.fit(jax.random.key(0), x, 2)
      >>> bool(abs(streamed.energy - in_memory.energy) < 1e-4)
      True

    Source: Dempster, Laird and Rubin (1977), section 2; Neal and Hinton, A View of the EM
    Algorithm (1998), section 3, for sums over parts of the data.
    """
    checks.key(key)
    if not checks.is_concrete(key):
        raise TypeError(checks.HOST_ONLY.format("fit_stream", "mixjax.fit"))
    if not isinstance(solver, EM):
        raise TypeError(f"the solver of fit_stream must be mixjax.EM, got {solver!r}")
    family = checks.family(family)
    team = Team.of(mesh_of(batches) if mesh is None else mesh)
    source = batches_of(batches)
    seed = np.append(np.asarray(jax.random.key_data(key)), team.rank)
    with team.raise_on_all():
        if checkpoint is not None:  # before the first pass, which may be long
            own_file = Checkpoint.path_of(Path(checkpoint), team)
            check_outputs({"checkpoint": own_file}, files_of(batches))
        own = surveyed(source, seed, SAMPLE)
    survey = merged(own, team, SAMPLE)
    n_components = checks.n_components(n_components, survey.n_rows)
    given = start if isinstance(start, Mixture) else None
    rule = KMeans() if isinstance(start, Mixture) else start
    check_start(rule)
    check_solving(solver, tol, max_iter, survey.n_features)
    rule = as_value(rule)
    if given is not None:
        family = given.components.kind
        _check_start(given, survey, n_components)

    family, form = survey.fitted(family), survey.known_form
    own = own._replace(form=form)  # a process without rows does not know it
    scale, origin = survey.scale(family), survey.origin(family)
    if given is None:
        sample = on_device(survey.sample, survey.dtype)
        near = sample
        if (wide := form.lifted(origin)) is not None:
            near = on_device(survey.sample - wide.astype(np.float64), survey.dtype)
            sample = near if rule.relative else sample
        mixture = _first(key, sample, near, scale, rule, solver, n_components, family)
    else:
        begin = given if origin is None else _moved(given, -origin)
        begin = Mixture(begin.log_weights, family.around(begin.components))
        mixture = unscaled(begin, scale, family.scaling)
    reg = ridge(solver.reg_covar, scale)
    tolerance = jnp.asarray(tol, survey.dtype)
    length = min(max(1, BLOCK // form.width), max(own.n_rows, 1))
    state = begun(mixture, scale, (length, form.width), len(team.devices))
    file = None
    if checkpoint is not None:
        names = f"{family.__name__} {name_of_start(rule)}"
        what = f"{survey.n_rows} {survey.digest} {n_components} {names}"
        fit = digest_of(what, (key, survey.low, survey.high, solver, given, jax.tree.leaves(rule)))
        dealt = f"{own.n_rows} {own.checksum} {length} {len(team.devices)}"
        rows = digest_of(dealt, (own.low, own.high))
        file = Checkpoint(Path(checkpoint), fit, rows, checkpoint_seconds, team)
        saved = file.resumed(state.saved())
        state = Streamed(saved.common[0], saved.common[1], saved.own)

    n_blocks = -(-own.n_rows // length)
    shown = progress and team.rank == 0
    with progress_bar("fitting", "pass", int(max_iter) + 1, 0, shown) as show:

        def seen(state: Streamed, block: int) -> None:
            show(int(state.progress.n_iter) + 1, f"block {block} of {n_blocks}")
            if file is not None and file.due:
                file.write(state.saved())

        def once(state: Streamed) -> Streamed:
            with team.raise_on_all():
                state = one_pass(
                    state, source, own, origin, length, scale, team, seen, file is not None
                )
            total = team.all_reduce(total_of(state.sums))
            after, candidate = concluded(state.progress, state.candidate, total, reg, tolerance)
            state = Streamed(after, candidate, jax.tree.map(jnp.zeros_like, state.sums))
            if file is not None:
                file.write(state.saved())
            return state

        state = loop(once, state, max_iter, on_host)
    result = in_units(state.progress.solution(), scale, family)
    released = result.mixture.components.released()
    result = dataclasses.replace(result, mixture=Mixture(result.mixture.log_weights, released))
    if origin is None:
        return result
    return dataclasses.replace(result, mixture=_moved(result.mixture, origin))


@jit
def _moved(mixture: Mixture, shift: Array) -> Mixture:
    """The mixture of the rows moved by ``shift`` (D,)."""
    return Mixture(mixture.log_weights, mixture.components.affine(jnp.ones_like(shift), shift))


def _check_start(mixture: Mixture, survey: Survey, n_components: int) -> None:
    found = (mixture.n_components, mixture.n_features, mixture.log_weights.dtype)
    expected = (n_components, survey.n_features, survey.dtype)
    if found != expected:
        raise ValueError(
            "the mixture to start from has (components, columns, dtype) = "
            f"({', '.join(map(str, found))}), the fit needs ({', '.join(map(str, expected))})"
        )


@functools.partial(jit, static_argnums=(6, 7))
def _first(
    key: Array,
    sample: Array,
    near: Array,
    scale: Scale,
    start: Any,
    solver: EM,
    k: int,
    family: type[Family],
) -> Mixture:
    """The mixture that a start makes from the sample, or from the sample minus its origin."""
    d = len(scale.shift)
    weights = sample[:, d] if sample.shape[1] > d else None
    some = Problem.in_scale(table_for(family, near[:, :d], weights, k), scale, k, family)
    return some.maximized(some.assignment(key, sample[:, :d], weights, start), solver)
