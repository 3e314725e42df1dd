import itertools

import chex
import jax
import jax.numpy as jnp
import pytest
from conftest import FAMILIES
from problems import random_mixture

import mixjax
from mixjax.pytrees import static


def test_no_two_families_share_a_structure():
    """Equal structures would let one family run with a program compiled for another."""
    structures = [jax.tree.structure(family.standard(3, 2, "float32")) for family in FAMILIES]
    for a, b in itertools.combinations(structures, 2):
        assert a != b


def test_each_field_is_a_named_leaf_and_comes_back(family, rng):
    mixture = random_mixture(family, rng, 3, 2, "float32")
    leaves, structure = jax.tree_util.tree_flatten_with_path(mixture)
    assert jax.tree_util.keystr(leaves[0][0]) == ".log_weights"
    again = jax.tree.unflatten(structure, [leaf for _, leaf in leaves])
    assert type(again.components) is family
    chex.assert_trees_all_equal(again, mixture)


def test_a_static_field_is_structure():
    @mixjax.pytree
    class Scaled:
        value: jax.Array
        power: int = static()

    one, two = Scaled(jnp.ones(2), power=1), Scaled(jnp.ones(2), power=2)
    assert len(jax.tree.leaves(one)) == 1
    assert jax.tree.structure(one) != jax.tree.structure(two)
    traced = jax.jit(lambda tree: tree.value * tree.power)
    chex.assert_trees_all_equal((traced(one), traced(two)), (jnp.ones(2), 2 * jnp.ones(2)))
    with pytest.raises(AttributeError):
        one.value = jnp.zeros(2)
