"""What the README shows works as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from pixcore.config import resolve
from pixcore.plugins import registry

README = (Path(__file__).parents[1] / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def test_the_plugin_in_thirty_lines(workplace):
    """Installed the way pip would leave it: a package and its metadata on the path."""
    site = workplace.folder / "site"
    for code in blocks("python"):
        name = re.match(r"# (\S+\.py)", code)[1]
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_text(code)
    (toml,) = blocks("toml")
    metadata = site / "pixcore_compact-0.1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: pixcore-compact\nVersion: 0.1\n")
    entry = re.search(r"^compact = \"(.*)\"$", toml, flags=re.MULTILINE)[1]
    (metadata / "entry_points.txt").write_text(f"[pixcore]\ncompact = {entry}\n")
    workplace.environment["PYTHONPATH"] += f":{site}"
    workplace.environment["PIXCORE_PLUGINS"] = "toy,compact"
    workplace("run", str(workplace.config(selections=["toy-best", "compact"])))
    rows = {row["name"]: row["figures"]["M"]["value"] for row in workplace.summary()["rows"]}
    assert 0 < rows["compact"] <= rows["toy-best"]
    lines = "\n".join([toml, *blocks("python")]).splitlines()
    assert len([line for line in lines if line.strip() and not line.startswith("#")]) <= 34


def test_the_config_names_what_is_installed():
    (text,) = blocks("yaml")
    resolved = resolve(yaml.safe_load(text), registry())
    assert resolved.components.one("model").name == "mini"


def test_the_demo_is_a_config():
    demo = Path(__file__).parents[1] / "demo.yaml"
    assert resolve(yaml.safe_load(demo.read_text()), registry()).components["benchmark"] is not None
