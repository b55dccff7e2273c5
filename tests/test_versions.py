"""What a component's numbers stand on, read from real package metadata on the path."""

from __future__ import annotations

from pathlib import Path

import pytest

from pixcore import versions
from pixcore.versions import foundations


def forget() -> None:
    """What is installed is looked up once a process."""
    for remembered in (foundations, versions._requirements, versions.installed, versions.version_of):
        remembered.cache_clear()


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Leave a package's metadata where pip would."""
    monkeypatch.syspath_prepend(str(tmp_path))
    forget()

    def installed(name: str, version: str, *requirements: str) -> None:
        folder = tmp_path / f"{name.replace('-', '_')}-{version}.dist-info"
        folder.mkdir()
        lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
        lines += [f"Requires-Dist: {requirement}" for requirement in requirements]
        (folder / "METADATA").write_text("\n".join(lines) + "\n")

    yield installed
    forget()


def test_numerical_libraries_and_the_family_count_and_nothing_else(install):
    install("toy-adapter", "1.0", "pixcore", "toy-shared>=0.1", "httpx", "timm>=1")
    install("toy-shared", "0.3", "pixcore>=0.1", "Torch>=2", "regex")
    install("torch", "9.1.0+cpu")
    install("timm", "7.0")
    install("httpx", "99")
    assert foundations("toy-adapter") == {"timm": "7.0", "torch": "9.1.0", "toy-shared": "0.3"}


def test_an_extra_may_name_its_own_package(install):
    install("toy-adapter", "1.0", "pixcore", 'toy-adapter[all]; extra == "test"', 'toy-shared; extra == "all"')
    install("toy-shared", "0.3", "pixcore>=0.1", "toy-adapter")
    assert foundations("toy-adapter", "test") == {"toy-shared": "0.3"}


def test_an_extra_that_nobody_asks_for_is_no_requirement(install):
    install("toy-phrases", "1.0", "pixcore", 'toy-adapter; extra == "test"', 'timm; extra == "vision"', "numpy")
    install("numpy", "8.8")
    install("timm", "7.0")
    assert foundations("toy-phrases") == {"numpy": "8.8"}
    assert foundations("toy-phrases", "vision") == {"numpy": "8.8", "timm": "7.0"}


def test_an_extra_that_a_requirement_asks_for_counts(install):
    install("toy-adapter", "1.0", "pixcore", "toy-shared[gpu]")
    install("toy-shared", "0.3", "pixcore", 'torch; extra == "gpu"', 'timm; extra == "cpu"')
    install("torch", "9.1")
    install("timm", "7.0")
    assert foundations("toy-adapter") == {"torch": "9.1", "toy-shared": "0.3"}


def test_a_marker_is_evaluated_and_a_line_that_is_none_passed_over(install):
    markers = ("timm; python_version < '3'", "torch; python_version > '3'", "no requirement at all")
    install("toy-adapter", "1.0", "pixcore", *markers)
    install("torch", "9.1")
    install("timm", "7.0")
    assert foundations("toy-adapter") == {"torch": "9.1"}


def test_a_stranger_changes_nothing(install):
    """The noun phrases' package names others in an extra for its goldens: installing those moves no key."""
    spacy, selection = foundations("pixcore-spacy"), foundations("pixcore-selection")
    assert "spacy" in spacy
    assert not {"torch", "pixcore-sam", "pixcore-cambrian"} & spacy.keys()
    install("toy-stranger", "1.0", "pixcore", "pixcore-spacy", "torch")
    for name in ("pixcore-sam", "pixcore-cambrian", "pixcore-points"):
        install(name, "99", "pixcore", "toy-stranger")
    forget()
    assert (foundations("pixcore-spacy"), foundations("pixcore-selection")) == (spacy, selection)


def test_what_is_not_installed_counts_for_nothing(install):
    install("toy-adapter", "1.0", "pixcore", 'segment-anything-of-no-one; extra == "sam"')
    assert foundations("toy-adapter") == {}
    assert foundations("no-such-package") == {}


def test_a_library_counts_by_its_release_wherever_it_is_from(install, tmp_path):
    """None of its thousands of files is read: a wheel that was downloaded by hand is the release that it says."""
    install("toy-adapter", "1.0", "pixcore", "torch")
    install("torch", "9.1.0+cpu")
    folder = tmp_path / "torch-9.1.0+cpu.dist-info"
    (folder / "direct_url.json").write_text('{"url": "file:///torch.whl", "archive_info": {}}')
    (folder / "RECORD").write_text("torch/not_there.py,,\n")
    assert foundations("toy-adapter") == {"torch": "9.1.0"}
