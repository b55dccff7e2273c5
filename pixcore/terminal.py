"""Write to a terminal: texts from models, files and configs never steer it.

A control character, half a surrogate pair or a mark that turns the direction of writing is shown as its escape.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import rich.console
from rich.console import ConsoleOptions, RenderableType
from rich.measure import Measurement
from rich.segment import Segment
from rich.table import Table

from pixcore.files import STEERS, printable

_PLAIN = str.maketrans({"†": "'", "–": "-", "▲": "^", "◇": "o", "·": "-", "≥": ">", "…": "~", "→": ">"})
"""What ASCII has in place of the marks of our tables."""


class Console(rich.console.Console):
    """A console of rich's, in which a renderable's own text is printable; colours are rich's and stay.

    Where no terminal ends, no table is cut. Brackets or colons in a text are its own, and name no style or emoji.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"markup": False, "emoji": False, **options})

    def print(self, *objects: Any, **options: Any) -> None:
        """Print, after making room for tables where there is any."""
        if not self.is_terminal:
            room = self.options.update(max_width=10_000)  # columns: more than any table has
            tables = (each for each in objects if isinstance(each, Table))
            self.width = max(self.width, *(Measurement.get(self, room, table).maximum for table in tables), 0)
        super().print(*objects, **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render, and escape what would steer the terminal."""
        plain = (options or self.options).ascii_only
        for segment in super().render(renderable, options):
            text = segment.text
            if plain:
                text = text.translate(_PLAIN).encode(self.encoding, "backslashreplace").decode(self.encoding)
            changed = not segment.control and (plain or STEERS.search(text))
            yield Segment(printable(text), segment.style) if changed else segment
