"""Families for wider rows: beside the values of a row stands something about it."""

from typing import Any, ClassVar, Self, TypeVar

from jax import Array

from ..pytrees import pytree
from .family import Family

F = TypeVar("F", bound="Widened")


class Widened(Family, hidden=True):
    """Components of another family, for rows that are wider than theirs.

    To all that fits or asks, the rows are rows like others, and this is a family like others.

    Attributes:
      components: the components.
      inner: their family.
    """

    components: Any
    inner: ClassVar[type[Family]]

    @classmethod
    def n_columns(cls, width: int) -> int:
        """The width of the rows of the inner family, from the width of the rows."""
        raise NotImplementedError

    @classmethod
    def around(cls, components: Any) -> Self:
        """This family for components of the innermost one."""
        return cls(cls.inner.around(components))  # type: ignore[call-arg]

    def released(self) -> Any:
        """The components of the innermost family."""
        return self.components.released()

    @classmethod
    def start_is_in_scale(cls) -> bool:
        """As for the inner family."""
        return cls.inner.start_is_in_scale()

    @classmethod
    def categories(cls, n_features: int) -> tuple[int, ...]:
        """Those of the inner family."""
        return cls.inner.categories(cls.n_columns(n_features))

    @property
    def dtype(self) -> Any:
        """That of the components."""
        return self.components.dtype

    def log_prob(self, x: Array) -> Array:
        """Log-density (N, K) of what is known of each row."""
        return self.log_prob_and_statistics(x)[0]

    def statistics(self, x: Array, resp: Array) -> Any:
        """Sums over rows of what is expected of them, given what is known."""
        return self.log_prob_and_statistics(x)[1](resp)

    @classmethod
    def standard(cls, n_components: int, n_features: int, dtype: Any) -> Self:
        """Standard components for rows of ``n_features`` columns."""
        own = cls.inner.standard(n_components, cls.n_columns(n_features), dtype)
        return cls(own)  # type: ignore[call-arg]

    def located(self, centers: Array) -> Self:
        """The components moved to centers (K, D), or to the first columns of wider ones."""
        return self._with(self.components.located(centers[:, : self.components.shape[1]]))

    def sample(self, key: Array, labels: Array) -> Array:
        """Rows of the components alone: (n, D)."""
        rows: Array = self.components.sample(key, labels)
        return rows

    def unconstrain(self) -> Any:
        """Of the components."""
        return self.components.unconstrain()

    @classmethod
    def constrain(cls, leaves: Any) -> Self:
        """The inverse of `unconstrain`."""
        return cls(cls.inner.constrain(leaves))  # type: ignore[call-arg]

    @property
    def n_parameters(self) -> int:
        """Of the components."""
        n: int = self.components.n_parameters
        return n

    def affine(self, scale: Array, shift: Array) -> Self:
        """The components of ``scale * x + shift``, (D,) or wider."""
        d = self.components.shape[1]
        return self._with(self.components.affine(scale[:d], shift[:d]))

    def take(self, index: Any) -> Self:
        """Some of the components."""
        return self._with(self.components.take(index))

    @classmethod
    def center_name(cls) -> str | None:
        """That of the components."""
        return cls.inner.center_name()

    def held(self, old: Self, names: tuple[str, ...]) -> Self:
        """With parameters of other components."""
        return self._with(self.components.held(old.components, names))

    def _with(self, components: Any) -> Self:
        return type(self)(components)  # type: ignore[call-arg]


def widened(base: type[F], name: str, inner: type[Family], **more: Any) -> type[F]:
    """A class of this base for an inner family."""
    members = {
        "__annotations__": {"components": Any}, "__module__": __name__, "__doc__": base.__doc__,
        "inner": inner, "scaling": inner.scaling, **more,
    }  # fmt: skip
    kind: Any = type(base)
    made: type[F] = pytree(kind(name, (base,), members, hidden=True))
    return made
