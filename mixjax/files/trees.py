"""Trees as arrays by name, and back; digests of trees."""

import hashlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def named(tree: Any) -> dict[str, np.ndarray]:
    """The leaves of a tree by the names of their places."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(place): np.asarray(leaf) for place, leaf in leaves}


def filled(
    skeleton: Any, arrays: dict[str, np.ndarray], file: str, lanes: tuple[int, ...] = ()
) -> Any:
    """A tree like the skeleton, with the arrays as leaves; each has the leading axes ``lanes``."""
    places, structure = jax.tree_util.tree_flatten_with_path(skeleton)
    names = [jax.tree_util.keystr(place) for place, _ in places]
    if set(names) != set(arrays):
        odd = sorted(set(names) ^ set(arrays))
        raise ValueError(f"{file}: its arrays are not the expected ones: {', '.join(odd[:5])}")
    for name, (_, leaf) in zip(names, places, strict=True):
        found, expected = arrays[name], lanes + tuple(leaf.shape)
        if found.shape != expected or found.dtype != leaf.dtype:
            raise ValueError(
                f"{file}: {name} has shape {found.shape} of {found.dtype}, expected {expected} "
                f"of {leaf.dtype}" + (" (set jax_enable_x64)" if found.dtype == np.float64 else "")
            )
    return jax.tree.unflatten(structure, [jnp.asarray(arrays[name]) for name in names])


def digest_of(text: str, identity: Any) -> str:
    """A digest of a text and of a tree: its structure and the bytes of its leaves."""
    digest = hashlib.sha256((text + str(jax.tree.structure(identity))).encode())
    for leaf in jax.tree.leaves(identity):
        if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            leaf = jax.random.key_data(leaf)
        array = np.ascontiguousarray(leaf)
        digest.update(f"{array.shape}{array.dtype}".encode())
        digest.update(array.data)
    return digest.hexdigest()
