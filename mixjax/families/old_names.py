"""Members of `Family` that had other names: the old ones warn, and are gone in mixjax 0.2."""

from typing import Any

from ..describing.renamed import warn_renamed

NEW_NAMES = {
    "maximise": "m_step",
    "reference": "standard",
    "evaluate": "log_prob_and_statistics",
    "own_statistics": "expected_statistics",
    "order_statistics": "needs_sorted_rows",
}


class _OldName:
    """A member of a class under its old name."""

    def __init__(self, member: Any, old: str, new: str) -> None:
        self.member, self.old, self.new = member, old, new

    def __get__(self, instance: Any, owner: type) -> Any:
        warn_renamed(self.old, self.new)
        bind = getattr(self.member, "__get__", None)
        return self.member if bind is None else bind(instance, owner)


def keep_old_names(family: type) -> None:
    """Let what a class defines under an old name, or under a new one, have both."""
    for old, new in NEW_NAMES.items():
        own = vars(family)
        if old in own and new not in own:
            # The caller is the class statement: this, __init_subclass__ and ABCMeta are between.
            warn_renamed(f"{family.__name__}.{old}", new, stacklevel=5)
            setattr(family, new, own[old])
        if new in own:
            setattr(family, old, _OldName(vars(family)[new], old, new))
