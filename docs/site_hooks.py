"""What MkDocs is told beyond `mkdocs.yml`: the generated pages, and `llms.txt`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

sys.path.insert(0, str(Path(__file__).parent))

import reference_pages


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are written from the code, and an index of the site for machines."""
    for path, text in reference_pages.pages().items():
        files.append(File.generated(config, path, content=text))
    files.append(File.generated(config, "llms.txt", content=_index(config)))
    return files


def _index(config: MkDocsConfig) -> str:
    lines = [f"# {config.site_name}", "", f"> {config.site_description}", ""]
    for section in config.nav or []:
        lines += _lines(section, config.site_url or "", 2)
    return "\n".join(lines) + "\n"


def _lines(entry: Any, address: str, level: int) -> list[str]:
    """A page, or a section with its pages, as Markdown."""
    if isinstance(entry, str):
        entry = {"Overview": entry}
    lines: list[str] = []
    for title, value in entry.items():
        if isinstance(value, str):
            page = value.removesuffix(".md").removesuffix("index").rstrip("/")
            lines.append(f"- [{title}]({address}{page}{'/' if page else ''})")
        else:
            lines += ["", f"{'#' * level} {title}", ""]
            lines += [line for inner in value for line in _lines(inner, address, level + 1)]
    return lines
