"""The pages are held to the code: what they show runs, and what there is has a page."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from click import Option
from pixcore_testing.schema import json_schema

import pixcore
from pixcore import components, errors, records
from pixcore.plugins import GuestKind, Kind, registry
from tests.scripts import loaded
from tests.workplace import layered

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
FENCE = re.compile(r"^```(\w*)(?: title=\"([^\"]+)\")?\n(.*?)^```$", re.M | re.S)
FOLLOWED = sorted(
    path for path in DOCS.rglob("*.md") if any(language == "sh" for language, _, _ in FENCE.findall(path.read_text()))
)


def walked(page: Path) -> Any:
    """A page to follow; the two by which people come in always, the others in `make test-long`."""
    marks = () if page.stem in ("first-run", "model-adapter") else (pytest.mark.long,)
    return pytest.param(page, id=page.stem, marks=marks)


@pytest.fixture(scope="module")
def written() -> tuple[ModuleType, dict[str, str]]:
    """The module that writes the reference pages, and what it writes."""
    module = loaded(DOCS / "reference_pages.py")
    return module, module.pages()


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which pages may install, on top of the one that runs the tests."""
    return layered(tmp_path_factory.mktemp("environment"))


@pytest.mark.parametrize("page", map(walked, FOLLOWED))
def test_a_page_can_be_followed(page: Path, tmp_path: Path, environment: dict[str, str]) -> None:
    pytest.importorskip("pixcore_mini")
    for language, title, text in FENCE.findall(page.read_text()):
        if title:
            target = tmp_path / title
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
        elif language == "sh":
            done = subprocess.run(
                ["sh", "-ec", text], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"


def test_the_page_for_notebooks_runs_as_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("pixcore_notebook", "pixcore_mini", "pixcore_mini_world", "pandas"):
        pytest.importorskip(package)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for language, _, text in FENCE.findall((DOCS / "tutorials" / "notebook.md").read_text()):
        if language == "python":
            exec(compile(text, "notebook.md", "exec"), names)
    assert (tmp_path / "grounded.png").stat().st_size > 10_000


def blocks() -> Iterator[tuple[str, str, str]]:
    for path in sorted(DOCS.rglob("*.md")):
        for language, _, text in FENCE.findall(path.read_text()):
            yield path.relative_to(DOCS).as_posix(), language, text


def test_yaml_and_python_in_pages_parse() -> None:
    for page, language, text in blocks():
        if language == "yaml":
            assert isinstance(yaml.safe_load(text), (dict, list)), page
        if language == "python" and ">>>" not in text:
            compile(text, page, "exec")


def test_configs_on_pages_and_in_files_fit_the_schema() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = json_schema(registry())
    check = jsonschema.Draft202012Validator(schema)
    found = [(page, yaml.safe_load(text)) for page, language, text in blocks() if language == "yaml"]
    files = [ROOT / "demo.yaml", *(ROOT / "benchmarks").rglob("*.yaml")]
    found += [(str(path.relative_to(ROOT)), yaml.safe_load(path.read_text())) for path in files]
    configs = [
        (place, one)
        for place, one in found
        if isinstance(one, dict) and one.keys() <= schema["properties"].keys()
        if not place.startswith("tutorials/")  # which make some of what they name
    ]
    assert len(configs) > 40
    for place, one in configs:
        assert not [error.message for error in check.iter_errors({"benchmark": "mini-world"} | one)], place


@pytest.mark.parametrize(
    ("model", "fits"),
    [
        ({"name": "transformers", "checkpoint": "x", "dtype": "float16", "kernel": "eager"}, True),
        ({"name": "transformers", "pretrained": "x", "torch_dtype": "float16", "attn_implementation": "eager"}, True),
        ({"name": "transformers", "pretrained": "x", "torch_dtype": "half"}, False),
        ({"name": "transformers", "torch_dtype": "float16"}, False),
        ({"name": "llava-1.5", "torch_dtype": "float16"}, True),
        ({"name": "served", "model": "x", "server": "http://localhost:8000/v1"}, True),
        ({"name": "replayed", "model": "mini", "text": "answers.jsonl"}, True),
    ],
)
def test_the_schema_knows_what_a_config_may_call_an_option(model: dict[str, str], fits: bool) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    check = jsonschema.Draft202012Validator(json_schema(registry()))
    assert check.is_valid({"benchmark": "mini-world", "model": model}) == fits


def test_every_page_is_in_the_navigation_and_there_are_enough(written: tuple[ModuleType, dict[str, str]]) -> None:
    class Loader(yaml.SafeLoader):
        pass

    Loader.add_multi_constructor("tag:yaml.org,2002:python/name:", lambda loader, suffix, node: suffix)
    nav = yaml.load((ROOT / "mkdocs.yml").read_text(), Loader)["nav"]

    def named(entry: object) -> Iterator[str]:
        if isinstance(entry, str):
            yield entry
        elif isinstance(entry, list):
            for one in entry:
                yield from named(one)
        elif isinstance(entry, dict):
            for one in entry.values():
                yield from named(one)

    pages = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")} | set(written[1])
    assert set(named(nav)) == pages
    assert len(pages) >= 40


def test_every_hook_has_its_section(written: tuple[ModuleType, dict[str, str]]) -> None:
    module, pages = written
    names = module.hook_names()
    assert len(names) >= 15
    assert not [name for name in names if f"::: pixcore.hookspecs.{name}\n" not in pages["reference/hooks.md"]]


@pytest.mark.parametrize("kind", Kind, ids=str)
def test_every_kind_has_its_page(kind: Kind, written: tuple[ModuleType, dict[str, str]]) -> None:
    page = written[1][f"reference/kinds/{kind.value}.md"]
    assert f"::: pixcore.components.{kind.interface.__name__}\n" in page
    assert kind.hook in page
    for one in registry().all(kind):
        if one.distribution in written[0].OURS:
            assert f"### `{one.name}`" in page
            assert all(f"| `{option}` |" in page for option in one.config_class.model_fields)
    assert not re.findall(r"^\|.*\bNone\b.*", page, re.M), "YAML's word is null: None is a text there"
    assert not re.findall(r"^[^`\n]*<\w.*", page, re.M), "a browser takes it for a tag"


def test_the_reference_says_what_an_option_may_be_and_how_else_it_is_called(
    written: tuple[ModuleType, dict[str, str]],
) -> None:
    models = written[1]["reference/kinds/model.md"]
    assert re.search(r"^\| `base_url` \|.* Also called `server`\.", models, re.M)
    assert re.search(r"^\| `quantization` \|.* One of: `8bit`, `4bit`\.", models, re.M)
    assert "Default: `runs/store`." in written[1]["reference/config.md"]


def test_every_package_is_in_the_list_of_what_ships(written: tuple[ModuleType, dict[str, str]]) -> None:
    shipped = {"pixcore", *(path.name for path in (ROOT / "plugins").glob("pixcore-*"))}
    assert not [name for name in shipped if f"| `{name}` | " not in written[1]["plugins/index.md"]]


def test_every_method_of_an_interface_says_what_it_does() -> None:
    for kind in Kind:
        methods = [value for name, value in vars(kind.interface).items() if not name.startswith("_")]
        assert all(inspect.getdoc(method) for method in methods if callable(method)), kind
    assert inspect.getdoc(components.Component)


def test_every_key_of_a_config_has_its_section_and_a_valid_example(written: tuple[ModuleType, dict[str, str]]) -> None:
    module, pages = written
    assert set(module.EXAMPLES) == json_schema(registry())["properties"].keys()
    for key, example in module.EXAMPLES.items():
        assert f"## `{key}`\n" in pages["reference/config.md"]
        assert list(yaml.safe_load(example)) == [key]


def test_every_command_and_option_has_its_line(written: tuple[ModuleType, dict[str, str]]) -> None:
    module, pages = written
    guests = [guest for guest in registry().guests(GuestKind.COMMAND) if guest.distribution in module.OURS]
    assert {"run", "score", "compare", "benchmarks fetch"} <= {guest.name for guest in guests}
    for guest in guests:
        _, _, section = pages["reference/cli.md"].partition(f"## `pixcore {guest.name}`\n")
        section = section.partition("\n## `pixcore ")[0]
        assert section
        for option in guest.loaded.params:
            if isinstance(option, Option):
                assert option.opts[0] in section, (guest.name, option.name)
                assert option.help, (guest.name, option.name)


def test_every_error_has_its_section(written: tuple[ModuleType, dict[str, str]]) -> None:
    ours = [name for name, value in vars(errors).items() if inspect.isclass(value) and issubclass(value, Exception)]
    named = [name for name in ours if getattr(errors, name).__module__ == errors.__name__]
    assert named
    assert not [name for name in named if f"::: pixcore.errors.{name}\n" not in written[1]["reference/errors.md"]]


def test_every_word_has_its_line(written: tuple[ModuleType, dict[str, str]]) -> None:
    page = written[1]["reference/glossary.md"]
    words = [line for line in (records.__doc__ or "").splitlines() if line.startswith("    ")]
    assert len(words) >= 20
    assert not [line for line in words if "| {} | {} |\n".format(*re.split(r"\s{2,}", line.strip())) not in page]


def test_every_name_of_the_face_has_its_line(written: tuple[ModuleType, dict[str, str]]) -> None:
    page = written[1]["reference/api/pixcore.md"]
    names = set(dir(pixcore)) - {"__version__"}
    assert not [name for name in names if f"| `{name}` |" not in page and f"::: pixcore_notebook.{name}\n" not in page]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built without a warning."""
    folder = tmp_path_factory.mktemp("site")
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def test_the_site_asks_nobody(site: Path) -> None:
    assert (site / "llms.txt").read_text().startswith("# pixcore\n")
    assert (site / "search" / "search_index.json").stat().st_size > 100_000
    fetched = re.compile(r'<(?:script|img)\b[^>]* src="?(?:https?:)?//|mermaid')  # the theme takes Mermaid from the net
    pages = site.rglob("*.html")
    assert not [str(page) for page in pages if fetched.search(page.read_text(encoding="utf-8"))]


def test_a_checklist_has_boxes(site: Path) -> None:
    page = (site / "howto" / "report-numbers" / "index.html").read_text(encoding="utf-8")
    assert page.count('type="checkbox"') > 8
    assert "<li>[ ]" not in page


@pytest.mark.parametrize("page", ["predictions", "architectures"])
def test_no_name_in_a_table_is_cut(page: str, site: Path, browser: Any) -> None:
    for width in (390, 1280):
        tab = browser.new_page(viewport={"width": width, "height": 800})
        tab.goto((site / "reference" / page / "index.html").as_uri())
        names = tab.locator("article td:first-child code")
        assert names.count() > 8
        words = names.filter(has_text=re.compile(r"^\w+$"))  # a hyphen may end a line
        cut = "all => all.filter(name => name.getClientRects().length > 1).map(name => name.textContent)"
        assert words.evaluate_all(cut) == []
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        tab.close()
