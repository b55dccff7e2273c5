"""What the tests of planted mistakes share."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from pixcore_testing.findings import DOCS, Finding


@pytest.fixture
def told() -> Callable[[Sequence[Finding], str, str], None]:
    """One mistake is one line, which says what was promised, what was seen, and where the documentation is."""

    def hold(findings: Sequence[Finding], promise: str, seen: str) -> None:
        lines = [str(finding) for finding in findings]
        assert len(lines) == 1, lines
        (line,) = lines
        assert "\n" not in line
        assert promise in findings[0].promise, line
        assert seen in findings[0].seen, line
        assert f"promised: {findings[0].promise}; seen: {findings[0].seen}" in line
        assert f"; see {DOCS}" in line

    return hold
