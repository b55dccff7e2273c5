"""Write self-contained HTML pages: one file, no request to anywhere, and nothing in it runs that we did not write.

Templates live in `templates/`: `base.html` is the frame, `macros.html` has the table and the run's particulars, the
`.css` and `.js` files are put into the page. Model output reaches the page in two ways only: through Jinja2 with
autoescape, or as packed JSON in a `<script>` of a type that no browser runs, whose texts scripts put on the page with
`textContent`.
The page's Content-Security-Policy allows no script and no style but those whose hashes it names.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup
from pixcore_statistics.wording import plural
from pixcore_table import reading, table

from pixcore.figures.columns import main_columns
from pixcore.figures.rows import Row, shown
from pixcore.files import printable, replacing

if TYPE_CHECKING:
    from jinja2 import Environment

_BASE_STYLES = ("base.css",)
_BASE_SCRIPTS = ("base.js",)


def packed_json(data: Any) -> str:
    """Write JSON that a page's script unpacks (`unpack` in `report.js`): deflated, in base64."""
    return "".join(packed([page_json(data)]))


def packed(pieces: Iterable[str]) -> Iterator[str]:
    """Deflate text of ASCII, in base64, piece by piece: what comes out, joined, is one block."""
    press, left = zlib.compressobj(), b""
    for piece in pieces:
        left += press.compress(piece.encode("ascii"))
        whole = len(left) // 3 * 3  # base64 writes three bytes at a time
        yield base64.b64encode(left[:whole]).decode("ascii")
        left = left[whole:]
    yield base64.b64encode(left + press.flush()).decode("ascii")


def page_json(data: Any) -> str:
    """Write JSON in ASCII, to be packed; NaN and infinities, which JSON lacks, become null."""
    try:
        return json.dumps(data, allow_nan=False, separators=(",", ":"))
    except ValueError:
        return json.dumps(_finite(data), allow_nan=False, separators=(",", ":"))


def plain(data: Any) -> Any:
    """Turn any mapping into JSON data: paths, dates and enums become text."""
    return json.loads(json.dumps(_finite(data), default=str))


def write_page(
    path: Path,
    template: str,
    *,
    styles: Sequence[str] = (),
    scripts: Sequence[str] = (),
    rules: str = "",
    context: Mapping[str, Any],
) -> None:
    """Render a page that extends `base.html`, piece by piece, and put it in place at once when it is whole.

    Args:
        path: The file; its folder exists.
        template: Name of the template in `templates/`.
        styles: Names of further style sheets there.
        scripts: Names of further scripts there, run in this order after `base.js`.
        rules: Further rules of style, of whoever draws what the page shows.
        context: The template's variables. Generators are consumed while the page is written.

    Raises:
        StoreError: The file can't be written.
    """
    css = "\n".join((*(_source(name) for name in (*_BASE_STYLES, *styles)), rules))
    code = "\n".join(_source(name) for name in (*_BASE_SCRIPTS, *scripts))
    frame = {"css": Markup(css), "code": Markup(code), "css_hash": _hash(css), "code_hash": _hash(code)}
    pieces = _environment().get_template(template).generate(**context, **frame)
    # a lone surrogate in a model's output has no UTF-8; the reference that replaces it shows as U+FFFD
    with replacing(path, errors="xmlcharrefreplace", newline="\n") as file:
        file.writelines(pieces)


def rendered(template: str, context: Mapping[str, Any]) -> str:
    """Render a part of a page: whatever is put into it is escaped."""
    return _environment().get_template(template).render(**context)


@lru_cache(maxsize=1)
def _environment() -> Environment:
    return environment_of("pixcore_report")


def environment_of(package: str) -> Environment:
    """Make what renders a package's templates: text is escaped, a name that is missing is an error, tables can be told.

    Args:
        package: The package, whose templates lie in `templates/`.
    """
    # a run whose report stands as it is renders nothing
    from jinja2 import Environment, PackageLoader, StrictUndefined

    from pixcore_report.compiled import Compiled

    environment = Environment(
        loader=PackageLoader(package),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
        bytecode_cache=Compiled(package),
    )
    environment.filters["value"] = table.value
    environment.filters["interval"] = table.interval
    environment.filters["count"] = reading.count
    environment.filters["few"] = reading.is_few
    environment.filters["plural"] = plural
    environment.filters["sentence"] = lambda pair: table.sentence(*pair)
    environment.globals.update(
        main_columns=main_columns,
        meaning=reading.meaning,
        common_count=reading.common_count,
        distinct_rows=distinct_rows,
        further_figures=reading.further_figures,
        is_bound=reading.is_bound,
        own_control=own_control,
        ranking=reading.ranking,
        shown=shown,
    )
    return environment


def _visible(value: Any) -> Any:
    """Make control characters visible, and marks that turn the direction of writing, which reach beyond their text."""
    return printable(value) if type(value) is str else value


def _source(name: str) -> str:
    return files("pixcore_report").joinpath("templates", name).read_text("utf-8")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _finite(data: Any) -> Any:
    if isinstance(data, float):
        return data if math.isfinite(data) else None
    if isinstance(data, Mapping):
        return {str(key): _finite(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [_finite(value) for value in data]
    return data


def own_control(row: Row, rows: tuple[Row, ...]) -> Row | None:
    """Find a strategy's matched control: the row in which it picks among the first control's candidates."""
    return next((other for other in rows if other.control_of == row.key), None)


def distinct_rows(breakdown: Mapping[str, tuple[Row, ...]], column: str) -> tuple[str, ...]:
    """List the rows that a breakdown has to show for one figure: the first alone where all rows say the same."""
    tables = list(breakdown.values())
    keys = tuple(row.key for row in shown(tables[0])) if tables else ()
    alike = all(row.figures.get(column) == rows[0].figures.get(column) for rows in tables for row in rows)
    return keys[:1] if alike else keys
