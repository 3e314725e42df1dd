"""How strange the rows are that a row known in part may be."""

import jax.numpy as jnp
from jax import Array

from ..families.observing import Observing
from ..rows.blocks import map_rows
from .far import log_sum, shares
from .mixture import Mixture, joint_log_prob
from .questions import energy, width_of


def expected_energy(mixture: Mixture, x: Array) -> Array:
    r"""The energy (N,) of each row; of one with holes, the mean energy of the rows it may be.

    $-\log p(x_o) + \sum_k r_k\,\mathrm H_k(x_m \mid x_o)$, with the responsibilities and the
    entropies given the known values $x_o$. So it can be compared with energies of complete rows,
    which a density of fewer values cannot. What the values would say about the component is left
    out: it is exact for one component, and for components that lie apart if $x_o$ tells them.
    """
    if not isinstance(mixture.components, Observing):
        return energy(mixture, x)

    def block(rows: Array) -> Array:
        joint = joint_log_prob(mixture, rows)
        each = mixture.components.missing_entropy(rows)
        resp = shares(joint, mixture.log_weights)
        return jnp.sum(resp.T * each, axis=1) - log_sum(joint)

    return map_rows(block, x, width_of(mixture))
