"""The suite names the files that compile too many programs."""

import counting
import jax
import jax.numpy as jnp
import numpy as np
from counting import FEWEST_TESTS, MOST, Tally


def test_a_file_that_compiles_too_many_is_named():
    tally = Tally()
    for _ in range(FEWEST_TESTS):
        tally.add("tests/test_lean.py", MOST)
        tally.add("tests/test_waste.py", MOST + 1)
        tally.add("tests/test_debug_nans.py", MOST + 1)
    tally.add("tests/test_single.py", 10 * MOST)
    (line,) = tally.too_many()
    assert line.startswith(f"test_waste.py: {FEWEST_TESTS * (MOST + 1)} programs")


def test_programs_are_counted():
    before = counting.n_compiled
    x = np.ones(7, "float32")
    once = jax.jit(lambda x: jnp.sum(x) + 3.25)
    once(x), once(x)
    assert counting.n_compiled == before + 1
