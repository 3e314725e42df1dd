"""How a family wants the rows of a table: in blocks, scaled, and as a start sees them."""

from typing import Any, ClassVar

from ..rows.blocks import Rows, Table
from ..rows.host_table import HostTable
from ..rows.scaling import Scale, Scaling, scale_of, standardized


class Preparation:
    """What becomes of rows before they are fitted; a family may override each step."""

    scaling: ClassVar[Scaling] = Scaling.NONE

    @classmethod
    def scale_from(cls, shift: Any, spread: Any, constant: Any) -> Scale:
        """The scale of columns with these centers and spreads (D,)."""
        return scale_of(shift, spread, constant, cls.scaling)

    @classmethod
    def scale_of_known(cls, shift: Any, spread: Any, constant: Any, shares: Any) -> Scale:
        """The same, if only these shares (D,) of the rows are known in each column."""
        return cls.scale_from(shift, spread, constant)

    @classmethod
    def scaled_rows(cls, table: Table | HostTable, sort: bool = False) -> tuple[Rows, Scale]:
        """The rows of a table in blocks, scaled as `scaling` says."""
        return standardized(table, cls.scaling, sort)

    @classmethod
    def rows_in_scale(cls, table: Table | HostTable, scale: Scale) -> Rows:
        """The rows of a table in blocks, in a scale that is known."""
        return table.standardized(scale.shift, scale.scale)

    @classmethod
    def rows_for_start(cls, table: Table | HostTable, rows: Rows) -> Rows:
        """The rows of a table as a start sees them: all columns scaled; ``rows`` are ours."""
        own = cls.scaling is Scaling.COLUMNS
        return rows if own else standardized(table, Scaling.COLUMNS)[0]

    @classmethod
    def n_columns(cls, width: int) -> int:
        """The number of values in a row, from its width."""
        return width

    @classmethod
    def columns_for_start(cls, rows: Rows, known: Any) -> Rows:
        """Scaled rows as a start sees them, if it sees other columns."""
        return rows

    @classmethod
    def start_is_in_scale(cls) -> bool:
        """Whether the centers of a start are in the scale of the scaled rows."""
        return cls.scaling is Scaling.COLUMNS and not cls.shows_other_columns()

    @classmethod
    def shows_other_columns(cls) -> bool:
        """Whether a start sees other columns than the scaled ones."""
        return getattr(cls.columns_for_start, "__func__", None) is not _plain

    @classmethod
    def values_for_start(cls, x: Any) -> Any:
        """The rows (N, D) of a table as a start of the user sees them."""
        return x

    @classmethod
    def informed(cls, x: Any, assignment: Any, k: int) -> Any:
        """What a start gives, and what the rows x (N, D) say themselves."""
        return assignment


_plain = Preparation.columns_for_start.__func__  # type: ignore[attr-defined]
