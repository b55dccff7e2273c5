"""What tests of several packages share.

One browser, because Playwright runs once in a process. No deadlines: a test never fails for the time that it took. And
the same examples each time, so that a failure is the change's own: `pytest --hypothesis-profile search` draws new ones.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from pixcore import plugins
from tests.workplace import TOY, Workplace

settings.register_profile("same", deadline=None, derandomize=True)
settings.register_profile("search", deadline=None)
settings.load_profile("same")


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A headless Chromium; without one these tests are skipped, and say so."""
    api = pytest.importorskip("playwright.sync_api", reason="the browser tests need `pip install playwright`")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium on the PATH: nothing is opened in a browser (Debian: apt install chromium)")
    with api.sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        running = playwright.chromium.launch(executable_path=chromium, args=options)
        yield running
        running.close()


@pytest.fixture
def workplace(tmp_path: Path) -> Workplace:
    """A folder of its own with the toy plugin."""
    return Workplace(tmp_path)


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[plugins.Registry]:
    """What is installed where the toy plugin alone is."""
    monkeypatch.syspath_prepend(str(TOY))
    monkeypatch.setenv("PIXCORE_PLUGINS", "toy")
    plugins.registry.cache_clear()
    yield plugins.registry()
    plugins.registry.cache_clear()


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with the benchmarks' annotations and published numbers, beside the project."""
    folder = Path(__file__).parents[1] / "shared"
    if not folder.is_dir():
        pytest.skip("the shared folder with annotations and goldens is absent")
    return folder


@pytest.fixture(scope="session")
def goldens(shared: Path) -> Path:
    """The released systems' own numbers."""
    return shared / "data/goldens"
