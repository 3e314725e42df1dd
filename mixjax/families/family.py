"""The protocol of a family of components, built in or your own."""

import abc
import re
from collections.abc import Callable
from typing import Any, ClassVar, Self

import jax.numpy as jnp
from jax import Array

from ..describing.summary import Described, Summary
from ..rows.blocks import Rows
from .known import register
from .old_names import keep_old_names
from .outline import Outline
from .preparation import Preparation
from .refinements import Refinements
from .summary import summary_of_components

Responsibilities = Callable[[Array, Array], Array]


class Family(Refinements, Preparation, Described, abc.ABC):
    """K components of one kind, in one pytree.

    Decorate a subclass with `mixjax.pytree`. Every method sees all N rows and all K
    components at once. The M-step is two calls: ``statistics`` returns sums, which are added up
    over blocks of rows, files or devices, and ``from_statistics`` turns them into new
    components. Both are methods of the *current* components, so the sums can be relative to
    them, which keeps float32 accurate.

    No other file of the package lists the families: all it needs to know is a member here.
    The abstract methods are required. The others have defaults; a function that needs one
    which is missing says so. `mixjax.Observed` rows need `observed_log_prob_and_statistics`, and
    ``impute`` needs `observed_means`. Stepwise EM needs `expected_statistics`, `centers` and
    `standard_deviations`; ``predict`` needs `marginal`, `conditional`, `centers` and
    `covariances`; explanations need `coordinate_log_prob`; outlines in pictures and in the
    explorer need `outline`, `marginal`, `centers` and `covariances`. Once its class is
    defined, commands and estimators accept the family's word, and ``load`` reads its files.

    Attributes:
      scaling: which affine maps `affine` can apply; ``fit`` standardizes the table
        accordingly. `Scaling.NONE`, the default, leaves the table as it is.
      needs_sorted_rows: whether `m_step` needs the sort order of each column.
      independent_columns: whether the columns of a component are independent.
      word: what commands and estimators call the family. By default the name of the class,
        in lower case with hyphens; not inherited.
      tried_up_to: the number of columns up to which `select` and ``detect.fit`` try the
        family unasked. By default 0, never; not inherited.
      noise_axes: how many axes the noise of `mixjax.Observed` rows may have: 0 for none, 2 for
        variances (N, D), 3 for covariances.
      appearance: what its components look like, in everyday words; "" says nothing.

    Example:
      >>> import jax, jax.numpy as jnp, mixjax
      >>> @mixjax.pytree
      ... class Exponential(mixjax.Family):
      ...     rates: jax.Array                                       # (K, D)
      ...     @property
      ...     def shape(self):
      ...         return self.rates.shape[-2:]
      ...     def log_prob(self, x):                                 # (N, D) -> (N, K)
      ...         return jnp.log(self.rates).sum(1)[None] - x @ self.rates.T
      ...     def statistics(self, x, resp):                         # sums over rows
      ...         return mixjax.Moments(resp.sum(0), resp.T @ x, ())
      ...     def from_statistics(self, stats, reg_covar):
      ...         empty = stats.count[:, None] <= 0
      ...         rates = stats.count[:, None] / jnp.where(empty, 1, stats.first)
      ...         return Exponential(jnp.where(empty, self.rates, rates))
      ...     @classmethod
      ...     def standard(cls, n_components, n_features, dtype):
      ...         return cls(jnp.ones((n_components, n_features), dtype))
      ...     def sample(self, key, labels):
      ...         unit = jax.random.exponential(key, (len(labels), self.shape[1]))
      ...         return unit / self.rates[labels]
      ...     def unconstrain(self):
      ...         return jnp.log(self.rates)
      ...     @classmethod
      ...     def constrain(cls, leaves):
      ...         return cls(jnp.exp(leaves))
      ...     @property
      ...     def n_parameters(self): return self.rates.size
      >>> x = jax.random.exponential(jax.random.key(0), (500, 1))
      >>> fit = mixjax.fit(jax.random.key(1), x, 1, family=Exponential)
      >>> bool(jnp.isclose(fit.mixture.components.rates[0, 0], 1 / x.mean(), rtol=1e-4))
      True
    """

    needs_sorted_rows: ClassVar[bool] = False
    independent_columns: ClassVar[bool] = False
    word: ClassVar[str]
    tried_up_to: ClassVar[float] = 0
    appearance: ClassVar[str] = ""

    def __init_subclass__(cls, *, hidden: bool = False, **options: Any) -> None:
        """Make the family known by its name, unless it is ``hidden``."""
        super().__init_subclass__(**options)
        keep_old_names(cls)
        if "word" not in vars(cls):
            cls.word = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", cls.__name__).lower()
        if "tried_up_to" not in vars(cls):
            cls.tried_up_to = 0
        if not hidden:
            register(cls)

    @classmethod
    def defines(cls, name: str) -> bool:
        """Whether the family has this optional method or property of its own."""
        return getattr(cls, name) is not getattr(Family, name)

    @classmethod
    def m_step_is_sums(cls) -> bool:
        """Whether the M-step is `from_statistics` of `statistics`, and no other."""
        return not cls.defines("m_step")

    @classmethod
    def cost(cls, n_features: int) -> int:
        """About how many products an iteration takes for each row and component."""
        return 4 * n_features

    @classmethod
    def bulk(cls, n_features: int) -> int:
        """How many times D numbers an iteration holds for each row and component."""
        return 1

    @classmethod
    def by_maximum_likelihood(cls) -> "type[Family]":
        """The family of the same density whose M-step maximizes the likelihood."""
        return cls

    @property
    @abc.abstractmethod
    def shape(self) -> tuple[int, ...]:
        """(K, D): the number of components and of features."""

    @property
    def dtype(self) -> Any:
        """The floating type of the parameters."""
        return jnp.result_type(*vars(self).values())

    @abc.abstractmethod
    def log_prob(self, x: Array) -> Array:
        """Log-density of each row under each component: (N, D) -> (N, K), in nats."""

    @abc.abstractmethod
    def statistics(self, x: Array, resp: Array) -> Any:
        """Sums over rows for the M-step, from x (N, D) and resp (N, K).

        The result has an attribute ``count`` (K,), the sum of the responsibilities.
        """

    def log_prob_and_statistics(self, x: Array) -> tuple[Array, Callable[[Array], Any]]:
        """`log_prob`, and `statistics` as a function of resp.

        EM needs both for the same rows. Override it if they share work.
        """
        return self.log_prob(x), lambda resp: self.statistics(x, resp)

    @abc.abstractmethod
    def from_statistics(self, stats: Any, reg_covar: Array) -> Self:
        """New components from sums taken relative to these.

        Args:
          stats: the results of `statistics`, summed over blocks.
          reg_covar: (D,) variance to add to each feature of each component.

        Returns:
          New components; a component of count zero keeps its parameters.
        """

    @classmethod
    @abc.abstractmethod
    def standard(cls, n_components: int, n_features: int, dtype: Any) -> Self:
        """Standard components at the origin; the first M-step is relative to them."""

    def located(self, centers: Array) -> Self:
        """These components moved to ``centers`` (K, D); by default they stay.

        Sums relative to components among the rows lose no digits. Override it if the sums of
        `statistics` are relative.
        """
        return self

    @abc.abstractmethod
    def sample(self, key: Array, labels: Array) -> Array:
        """One row for each label (n,): (n, D)."""

    @abc.abstractmethod
    def unconstrain(self) -> Any:
        """A pytree of real leaves, in which any values are valid."""

    @classmethod
    @abc.abstractmethod
    def constrain(cls, leaves: Any) -> Self:
        """The inverse of `unconstrain`."""

    @property
    @abc.abstractmethod
    def n_parameters(self) -> int:
        """The number of free parameters of all components, without the weights."""

    def affine(self, scale: Array, shift: Array) -> Self:
        """The components of ``scale * x + shift``; both are (D,)."""
        raise NotImplementedError(
            f"{type(self).__name__} sets scaling = {self.scaling}, so it needs affine()"
        )

    def expected_statistics(self, count: Array, reg_covar: Array | None = None) -> Any:
        """The expected statistics of ``count`` (K,) rows drawn from each component.

        ``from_statistics(expected_statistics(count, reg_covar), reg_covar)`` gives these
        components again; None stands for a ridge of 0. Stepwise EM keeps these statistics, and
        cannot fit families without them.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define expected_statistics")

    def extent(self) -> tuple[Array, Array] | None:
        """Where each component lies: centers and widths (K, D), in the units of x.

        A deviation of one width in one column is at most sqrt(D) standard deviations of the
        component, given the other columns. It gives responsibilities to
        rows so far away that squares overflow. With None, the default, such rows get the
        weights.
        """
        return None

    def coordinate_log_prob(self, x: Array) -> Array:
        """Log-density of each value given the others of its row: (N, D) -> (N, K, D)."""
        raise NotImplementedError(f"{type(self).__name__} does not define coordinate_log_prob")

    def marginal(self, columns: Any) -> Self:
        """The marginal components of these columns (C,)."""
        raise NotImplementedError(f"{type(self).__name__} does not define marginal")

    def conditional(self, rest: Any, columns: Any, values: Array) -> Self:
        """The components of the columns ``rest`` given ``values`` (C,) of ``columns`` (C,)."""
        raise NotImplementedError(f"{type(self).__name__} does not define conditional")

    def take(self, index: Any) -> Self:
        """Some of the components, by an index of the leading axis."""
        return type(self)(**{name: value[index] for name, value in vars(self).items()})

    @property
    def covariances(self) -> Array:
        """The covariance of each component: (K, D, D); diagonal unless overridden."""
        variances = self.variances
        eye = jnp.eye(variances.shape[-1], dtype=variances.dtype)
        return variances[..., None] * jnp.broadcast_to(eye, (*variances.shape, eye.shape[0]))

    @property
    def standard_deviations(self) -> Array:
        """The roots of `variances`: (K, D). Override it if they are known without squares."""
        return jnp.sqrt(self.variances)

    @property
    def variances(self) -> Array:
        """The variance of each feature in each component: (K, D)."""
        raise NotImplementedError(f"{type(self).__name__} does not define variances")

    @property
    def centers(self) -> Array:
        """The mean of each component, or where it lies if it has none: (K, D)."""
        raise NotImplementedError(f"{type(self).__name__} does not define centers")

    @property
    def outline(self) -> Outline | None:
        """The level sets of two columns, or None: then pictures leave the outlines out.

        They are drawn about `centers`, by the `covariances` of `marginal`.
        """
        return None

    @property
    def sharpness(self) -> Array:
        """One over the width of each component in each feature, given the others: (K, D).

        It is one over the scale if columns are independent; a narrow component is sharp.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define sharpness")

    def m_step(self, rows: Rows, responsibilities: Responsibilities, reg_covar: Array) -> Self:
        """The M-step over blocks of rows. Override it if it is not made of finite sums.

        Args:
          rows: the table in blocks.
          responsibilities: (x (D, n), index (n,)) -> (K, n), weights not included.
          reg_covar: (D,) variance to add to each feature of each component.

        Returns:
          New components.
        """

        def block(x: Array, weights: Array, index: Array) -> Any:
            return self.statistics(x.T, (responsibilities(x, index) * weights[None]).T)

        return self.from_statistics(rows.sum(block), reg_covar)

    def _summary(self) -> Summary:
        return summary_of_components(self)


keep_old_names(Family)
