"""What a component's numbers stand on, read from real package metadata on the path."""

from __future__ import annotations

from pathlib import Path

import pytest

from pixcore.versions import foundations


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Leave a package's metadata where pip would."""
    monkeypatch.syspath_prepend(str(tmp_path))
    foundations.cache_clear()

    def installed(name: str, version: str, *requirements: str) -> None:
        folder = tmp_path / f"{name.replace('-', '_')}-{version}.dist-info"
        folder.mkdir()
        lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
        lines += [f"Requires-Dist: {requirement}" for requirement in requirements]
        (folder / "METADATA").write_text("\n".join(lines) + "\n")

    yield installed
    foundations.cache_clear()


def test_numerical_libraries_and_the_family_count_and_nothing_else(install):
    install("toy-adapter", "1.0", "pixcore", "toy-shared>=0.1", "httpx", 'timm>=1; extra == "vision"')
    install("toy-shared", "0.3", "pixcore>=0.1", "Torch>=2", "regex")
    install("torch", "9.1.0+cpu")
    install("timm", "7.0")
    install("httpx", "99")
    assert foundations("toy-adapter") == {"timm": "7.0", "torch": "9.1.0", "toy-shared": "0.3"}


def test_an_extra_may_name_its_own_package(install):
    install("toy-adapter", "1.0", "pixcore", 'toy-adapter[all]; extra == "test"', "toy-shared")
    install("toy-shared", "0.3", "pixcore>=0.1", "toy-adapter")
    assert foundations("toy-adapter") == {"toy-shared": "0.3"}


def test_what_is_not_installed_counts_for_nothing(install):
    install("toy-adapter", "1.0", "pixcore", 'segment-anything-of-no-one; extra == "sam"')
    assert foundations("toy-adapter") == {}
    assert foundations("no-such-package") == {}
