"""The page in the package is what its sources make, small, and of nothing but the public registry's packages."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from pixcore_explorer.server import PAGE

WEB = Path(__file__).parents[1] / "web"


def test_the_bundle_is_small_and_asks_nobody() -> None:
    parts = {name: (PAGE / name).read_text(encoding="utf-8") for name in ("app.js", "app.css")}
    assert sum(len(text.encode()) for text in parts.values()) < 500_000
    addresses = set(re.findall(r"https?://[^\s\"'`)\\]+", "".join(parts.values())))
    assert {one.split("/")[2] for one in addresses} <= {"www.w3.org", "github.com"}  # namespaces, a library's own hints


def test_the_lock_file_names_no_other_registry() -> None:
    lock = json.loads((WEB / "package-lock.json").read_text(encoding="utf-8"))
    places = {one["resolved"] for one in lock["packages"].values() if "resolved" in one}
    assert all(place.startswith("https://registry.npmjs.org/") for place in places)
    assert all("integrity" in one for name, one in lock["packages"].items() if name)


def test_the_bundle_is_what_its_sources_make(tmp_path: Path) -> None:
    vite = WEB / "node_modules/.bin/vite"
    if shutil.which("node") is None or not vite.exists():
        pytest.skip("the page is not built again: no node, or no `npm ci` in plugins/pixcore-explorer/web")
    command = [str(vite), "build", "--outDir", str(tmp_path), "--logLevel", "error"]
    subprocess.run(command, cwd=WEB, check=True, timeout=600)
    for name in ("app.js", "app.css"):
        assert (tmp_path / name).read_bytes() == (PAGE / name).read_bytes(), f"{name}: npm run build"
