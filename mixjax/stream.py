"""EM on data larger than memory: every iteration is one exact pass over a stream."""

import functools
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from . import checks
from .batches import Batches, batches_of, blocks_of, read_ahead
from .em import EM, EMState, e_step, m_step_of
from .families.family import Family
from .families.gaussian import Gaussian
from .files import digest_of, filled, named, read_arrays, require_folder, write_arrays
from .fit import check_options, first_mixture, in_units
from .mixture import Mixture, ridge, unscaled
from .outcome import Fit
from .progress import progress_bar
from .pytree import pytree
from .rows import Table
from .scaling import Scale
from .solver import RUNNING, Progress, accepted
from .start import Start, kmeans
from .survey import Survey, surveyed

# Rows that the start looks at, and numbers in a block on the device.
SAMPLE = 2**16
BLOCK = 2**21
FORM, VERSION = "mixjax stream", 1


@pytree
class Sums:
    """Sums over the blocks of a pass so far, each with the digits that it has lost.

    Attributes:
      total: the sums of the energies, of the statistics and of the rows.
      lost: what is to be subtracted from them.
      n_blocks: () blocks seen.
    """

    total: tuple[Array, Any, Array]
    lost: tuple[Array, Any, Array]
    n_blocks: Array

    def plus(self, more: tuple[Array, Any, Array]) -> "Sums":
        """With one block more; compensated, as thousands of blocks may come."""
        exact = jax.tree.map(jnp.subtract, more, self.lost)
        total = jax.tree.map(jnp.add, self.total, exact)
        lost = jax.tree.map(lambda new, old, x: (new - old) - x, total, self.total, exact)
        return Sums(total, lost, self.n_blocks + 1)


@pytree
class Streamed:
    """A fit under way: what the last whole pass gave, and the pass that is not done.

    Attributes:
      progress: the mixture of the last pass, its energy and its statistics.
      candidate: the mixture of the pass under way.
      sums: of that pass.
    """

    progress: Progress
    candidate: Mixture
    sums: Sums


def fit_stream(
    key: Array,
    batches: Any,
    n_components: int,
    *,
    family: type[Family] = Gaussian,
    start: Start | Mixture = kmeans,
    solver: EM = EM(),  # noqa: B008 - frozen
    tol: float = 1e-3,
    max_iter: int = 100,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_seconds: float = 60.0,
    progress: bool = False,
) -> Fit:
    r"""Fit a mixture to rows that come in batches: each EM iteration is one exact pass.

    The result is that of `fit` on all rows at once, to rounding: the M-step needs only
    the sums $\sum_n r_{nk}$, $\sum_n r_{nk} x_n$, $\sum_n r_{nk} x_n x_n^\top$, and sums
    add up over batches. (`Laplace` has no such sums for its median: here it takes the
    step from sums, see its `statistics`, which raises the likelihood as well.) The host
    reads the next block while the device works on this one. A first pass takes the scale
    of the columns and an even sample of 65,536 rows, from which the start is made.

    Args:
      key: a typed random key.
      batches: float rows (n_i, D) in batches of any lengths: a function that returns an
        iterator over them; an iterable that can be gone through again, such as a list
        or a data loader (its batches may be ``[x]`` or columns by name); an array, also
        a `numpy.memmap`; or the path of a .npy or .parquet file, or of a folder of them.
      n_components: K, a Python int.
      family: the class of the components.
      start: (key, x, K, weights) -> responsibilities (N, K), for the sample; or the
        mixture to begin with.
      solver: `EM`, with its ``reg_covar``.
      tol: the change of the mean energy, in nats, below which the fit has converged.
      max_iter: the most iterations.
      checkpoint: a file in which to keep what is done. If it is there, the fit goes on
        from it, and ends with the same mixture as if it had not been interrupted. (With
        a larger ``max_iter`` it goes on; a fit that has converged stays as it is.)
      checkpoint_seconds: how often it is written, beside the end of every pass.
      progress: whether to show a progress bar (needs rich).

    Returns:
      The fit; see `mixjax.fit`.

    Raises:
      TypeError: a generator that can be gone through only once; batches that are not
        floating; a solver other than `EM`.
      ValueError: an empty stream, batches of different widths, NaN or infinity (batch and
        row are named), fewer rows than components, rows that changed between passes, a
        checkpoint of another fit, shape or version.

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
        raise TypeError(f"fit_stream fits by mixjax.EM, got {solver!r}")
    family = checks.family(family)
    source = batches_of(batches)
    survey = surveyed(source, np.asarray(jax.random.key_data(key)), SAMPLE)
    n_components = checks.n_components(n_components, survey.n_rows)
    given = start if isinstance(start, Mixture) else None
    rule = kmeans if isinstance(start, Mixture) else start
    check_options(rule, solver, survey.n_features, tol, max_iter)
    if given is not None:
        family = type(given.components)
        _check_start(given, survey, n_components)

    scale = survey.scale(family.scaling)
    if given is None:
        sample = jnp.asarray(survey.sample)
        mixture = _first(key, sample, scale, solver, n_components, family, rule)
    else:
        mixture = unscaled(given, scale, family.scaling)
    reg = ridge(solver.reg_covar, scale)
    tolerance = jnp.asarray(tol, survey.dtype)
    length = min(max(1, BLOCK // survey.n_features), survey.n_rows)
    state = _begun(mixture, scale, length)
    file = None
    if checkpoint is not None:
        what = f"{survey.n_rows} {length} {n_components} {family.__name__} {_name_of(rule)}"
        identity = (key, survey.low, survey.high, survey.mean, survey.variance, solver, given)
        file = _Checkpoint(Path(checkpoint), digest_of(what, identity), checkpoint_seconds)
        state = file.read(state)

    n_blocks = -(-survey.n_rows // length)
    with progress_bar("fitting", "pass", int(max_iter) + 1, 0, progress) as show:
        while _goes_on(state.progress, max_iter):

            def seen(state: Streamed, block: int) -> None:
                show(int(state.progress.n_iter) + 1, f"block {block} of {n_blocks}")
                if file is not None:
                    file.write_now_and_then(state)

            state = _one_pass(state, source, survey, length, scale, seen)
            state = _concluded(state, reg, tolerance)
            if file is not None:
                file.write(state)
    return in_units(state.progress.solution(), scale, family)


def _check_start(mixture: Mixture, survey: Survey, n_components: int) -> None:
    found = (mixture.n_components, mixture.n_features, mixture.log_weights.dtype)
    expected = (n_components, survey.n_features, survey.dtype)
    if found != expected:
        raise ValueError(
            "the mixture to start from has (components, columns, dtype) = "
            f"({', '.join(map(str, found))}), the fit asks for ({', '.join(map(str, expected))})"
        )


def _name_of(start: Any) -> str:
    """What tells a start from others in another process, where its address differs."""
    return f"{start.__module__}.{getattr(start, '__qualname__', type(start).__qualname__)}"


def _goes_on(progress: Progress, max_iter: Any) -> bool:
    return int(progress.status) == RUNNING and int(progress.n_iter) < max_iter


@functools.partial(jax.jit, static_argnums=(4, 5, 6))
def _first(
    key: Array,
    sample: Array,
    scale: Scale,
    solver: EM,
    k: int,
    family: type[Family],
    start: Start,
) -> Mixture:
    rows = Table.of(sample, None, k).standardized(scale.shift, scale.scale)
    if family.order_statistics:
        rows = rows.sorted(sample)
    return first_mixture(key, sample, None, rows, scale, solver, k, family, start)


def _sums_of_block(mixture: Mixture, scale: Scale, x: Array, n: Array) -> tuple[Array, Any, Array]:
    weights = (jnp.arange(x.shape[0], dtype=n.dtype) < n).astype(x.dtype)
    rows = Table.of(x, weights, mixture.n_components).standardized(scale.shift, scale.scale)
    return *e_step(mixture, rows), rows.total


@jax.jit
def _added(sums: Sums, mixture: Mixture, scale: Scale, x: Array, n: Array) -> Sums:
    return sums.plus(_sums_of_block(mixture, scale, x, n))


@functools.partial(jax.jit, static_argnums=2)
def _begun(mixture: Mixture, scale: Scale, length: int) -> Streamed:
    """Before the first pass, after which 0 iterations are done."""
    dtype = scale.shift.dtype
    x = jax.ShapeDtypeStruct((length, scale.shift.shape[0]), dtype)
    shapes = jax.eval_shape(_sums_of_block, mixture, scale, x, jax.ShapeDtypeStruct((), jnp.int32))
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    before = EMState(mixture, jnp.asarray(jnp.inf, dtype), zeros[1])
    progress = Progress(before, jnp.int32(-1), jnp.int32(RUNNING))
    return Streamed(progress, mixture, Sums(zeros, zeros, jnp.int32(0)))


def _one_pass(
    state: Streamed,
    source: Batches,
    survey: Survey,
    length: int,
    scale: Scale,
    seen: Callable[[Streamed, int], None],
) -> Streamed:
    """The state with the sums of all blocks, those that are in it already left out."""
    n_seen = int(state.sums.n_blocks)
    n_rows = 0

    # The thread that reads touches no JAX: its settings would not be those of the caller.
    blocks_to_come = blocks_of(source, length, survey.n_features, survey.dtype)
    with read_ahead(blocks_to_come) as blocks:
        for i, block in enumerate(blocks):
            n_rows += block.n
            if i < n_seen:
                continue
            sums = _added(state.sums, state.candidate, scale, block.rows, np.int32(block.n))
            # The device is at most one block behind: what waits in its queue takes memory.
            jax.block_until_ready(state.sums)
            state = Streamed(state.progress, state.candidate, sums)
            seen(state, i + 1)
    if n_rows != survey.n_rows:
        raise ValueError(
            f"the first pass over batches gave {survey.n_rows} rows, a later one {n_rows}: give "
            "a source that can be gone through again and again with the same rows"
        )
    return state


@jax.jit
def _concluded(state: Streamed, reg: Array, tol: Array) -> Streamed:
    """After a whole pass: whether its mixture is kept, and the mixture of the next one."""
    energy, stats, n_rows = state.sums.total
    progress = accepted(state.progress, EMState(state.candidate, energy / n_rows, stats), tol)
    kept = progress.state
    zeros = jax.tree.map(jnp.zeros_like, state.sums)
    return Streamed(progress, m_step_of(kept.mixture.components, kept.stats, reg), zeros)


class _Checkpoint:
    """The file of an unfinished fit, and the digest of what that fit is."""

    def __init__(self, path: Path, digest: str, seconds: float) -> None:
        require_folder(path)
        self.path, self.digest, self.seconds = path, digest, seconds
        self.last = time.monotonic()

    def read(self, begun: Streamed) -> Streamed:
        """The state to go on from: that of the file, or where there is none the one given."""
        if not self.path.exists():
            return begun
        header, arrays = read_arrays(self.path, FORM, VERSION)
        if header["digest"] != self.digest:
            raise ValueError(
                f"{self.path.name} is the checkpoint of another fit (another key, stream, number "
                "of components, family, start or solver): give this one a file of its own, or "
                "delete that one"
            )
        return filled(begun, arrays, self.path.name)

    def write(self, state: Streamed) -> None:
        write_arrays(
            self.path, {"format": FORM, "version": VERSION, "digest": self.digest}, named(state)
        )
        self.last = time.monotonic()

    def write_now_and_then(self, state: Streamed) -> None:
        if time.monotonic() - self.last >= self.seconds:
            self.write(state)
