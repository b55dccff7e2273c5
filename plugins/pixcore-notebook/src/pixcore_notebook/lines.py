"""Lines of a table: for pandas where it is installed, and to look at where it is not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, overload

from pixcore.errors import PluginError
from pixcore_notebook.html import rendered

if TYPE_CHECKING:
    import pandas

_SHOWN = 20


class Lines(Sequence[Mapping[str, Any]]):
    """Lines of one table, each a mapping from column to value.

    Args:
        lines: The lines; those that lack a column of another's have None there.
    """

    def __init__(self, lines: Iterable[Mapping[str, Any]]) -> None:
        self._lines = list(lines)

    @property
    def columns(self) -> list[str]:
        """The columns, in the order in which lines name them."""
        return list(dict.fromkeys(name for line in self._lines for name in line))

    def to_pandas(self) -> pandas.DataFrame:
        """Make a data frame.

        Raises:
            PluginError: pandas is not installed.
        """
        return frame(self._lines, self.columns)

    def __len__(self) -> int:
        return len(self._lines)

    @overload
    def __getitem__(self, place: int) -> Mapping[str, Any]: ...
    @overload
    def __getitem__(self, place: slice) -> Lines: ...
    def __getitem__(self, place: int | slice) -> Mapping[str, Any] | Lines:
        return Lines(self._lines[place]) if isinstance(place, slice) else self._lines[place]

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        return iter(self._lines)

    def __repr__(self) -> str:
        return f"{len(self)} lines of {', '.join(self.columns)}"

    def _repr_html_(self) -> str:
        return rendered("lines", columns=self.columns, lines=self._lines[:_SHOWN], count=len(self))


def frame(lines: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> pandas.DataFrame:
    """Make a data frame of lines.

    Raises:
        PluginError: pandas is not installed.
    """
    try:
        import pandas
    except ImportError:
        raise PluginError("pandas is not installed", hint="pip install pandas") from None
    return pandas.DataFrame([dict(line) for line in lines], columns=list(columns))
