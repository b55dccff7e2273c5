"""Where every command starts: the help screen that was made before is shown without an import of what makes it."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from pixcore.entries import recalled


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and exit: 0 when it did what was asked, 2 for a user's mistake, 1 for a failure of ours."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given in (["--help"], ["-h"]) and (text := recalled()) is not None:
        try:
            print(text, flush=True)
            sys.exit(0)
        except (OSError, ValueError):  # nobody reads it, or its letters can't be written: what follows tells
            pass
    from pixcore.commands.line import main as work

    work(given)
