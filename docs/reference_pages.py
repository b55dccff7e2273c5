"""Write the reference pages from the code: hooks, kinds, config keys, commands, errors, words, the Python API.

`pages()` gives each page as Markdown under its path in the site; `docs/site_hooks.py` hands them to MkDocs, and
`tests/test_docs.py` holds them to the code.
"""

from __future__ import annotations

import importlib
import inspect
import re
import tomllib
from enum import Enum
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import click
import yaml
from pixcore_testing.schema import attribute_texts, json_schema
from pydantic import AliasChoices

import pixcore
from pixcore import errors, hookspecs, records
from pixcore.config import RunConfig
from pixcore.plugins import GuestKind, Kind, Registration, Registry, registry

EXAMPLES: dict[str, str] = {
    "benchmark": "benchmark: {name: folder, root: mine}",
    "model": """model:
  name: transformers
  checkpoint: Qwen/Qwen2.5-VL-3B-Instruct
  text: {server: "http://localhost:8000/v1", model: Qwen/Qwen2.5-VL-3B-Instruct}  # without: its own""",
    "extractor": "extractor: {name: mean, layers: [14, 15]}",
    "transforms": "transforms: [subtract-mean, {name: smooth, sigma: 1.0}]",
    "grouper": "grouper: noun-phrases",
    "points": "points: {name: peaks, k: 3}",
    "masks": "masks: {name: sam-transformers, checkpoint: facebook/sam-vit-huge}",
    "selections": "selections: [oracle, {name: embedding, label: by meaning}]",
    "control": "control: [{points: random, selection: oracle}, {points: other-images, selection: oracle}]",
    "judge": "judge: {name: openai, model: gpt-4o}",
    "letter_judge": "letter_judge: exact-match",
    "protocols": 'protocols: [question, segment, {name: describe, template: "Describe {expression}."}]',
    "prompts": 'prompts: {segment: "Please segment {expression}."}',
    "fidelity": "fidelity: published",
    "seed": "seed: 1",
    "seeds": "seeds: [1, 2, 3]",
    "s_of": "s_of: [A†, M]",
    "batch_size": "batch_size: 4",
    "merge_iou": "merge_iou: 0.9",
    "budget": "budget: {usd: 5, calls: 2000}",
    "prices": "prices: {my-model: {input: 0.5, output: 1.5}}",
    "on_error": "on_error: record",
    "executor": "executor: {name: processes, n: 2}",
    "writers": "writers: [predictions, report]",
    "output": "output: runs/mine",
    "store": "store: ~/pixcore-store",
}
"""An example of each key of a config; a test holds that every key has one and that it is valid YAML."""

API = {
    "pixcore.records": "What flows between stages.",
    "pixcore.components": "What a plugin implements.",
    "pixcore.geometry": "Visual tokens and image pixels.",
    "pixcore.masks": "Run lengths, IoU, polygons.",
    "pixcore.protocols": "The probings.",
    "pixcore.config": "One run's config, read and resolved.",
    "pixcore.runs.plan": "A run: its samples, stages and results.",
    "pixcore.runs.writers": "What a finished run leaves behind.",
    "pixcore.figures.columns": "The table of figures.",
    "pixcore.figures.rows": "Summaries as plain data.",
    "pixcore.services": "What paid services cost.",
    "pixcore.predictions.format": "One line of `predictions.jsonl`.",
}
"""Modules that a plugin's author or a notebook imports from, each a page."""


_GIVEN = ("table.FigureTable", "runs.Samples", "runs.SampleView", "lines.Lines")
"""What `pixcore.Run` hands out."""


def pages() -> dict[str, str]:
    """Every generated page: its path below `docs/`, and its Markdown."""
    found = registry()
    result = {
        "reference/hooks.md": hooks(),
        "reference/config.md": config(found),
        "reference/cli.md": commands(found),
        "reference/errors.md": error_classes(),
        "reference/glossary.md": glossary(),
        "reference/kinds/index.md": kinds(found),
        "reference/api/index.md": api(),
        "reference/api/pixcore.md": face(),
        "plugins/index.md": packages(found),
    }
    result |= {f"reference/kinds/{kind.value}.md": kind_page(kind, found) for kind in Kind}
    result |= {f"reference/api/{module}.md": module_page(module) for module in API}
    return result


_GLOSSARY = """\
# Glossary

A benchmark's samples are asked under several *probings*, which files and configs call protocols: `question` (its
question, freely), `segment` (its expression) and `letter` (its question with lettered options). A model answers; where
it looked while it spoke is read by the *tap*, which sees single rows of attention as they are computed and changes
nothing. Where the text is from elsewhere, *replay* shows it to a local checkpoint in one pass, whose attention is read
instead. The attention of what belongs together becomes points, points become candidates, and strategies choose among
these.

A *pair* is two samples that differ in one visual detail; it counts as right where both answers are. The figures with a
*dagger*, A† and M†, are of `question`: the answer in words, and the masks that nobody asked for; A and M are of
`letter` and `segment`. The *oracle* is the strategy that chooses with the ground truth in hand, so that what it reaches
is an upper bound. A *matched control* is what a row's own strategy reaches with as many candidates from points that no
attention chose: what the row has beyond it is what attention adds. The *fidelity* says whose rules hold: `corrected`
what is right, `published` and `paper` what the last and the first release of the paper's code did.

The words, one for a thing:

| word | what it is |
|---|---|
"""


def glossary() -> str:
    """The words at the head of `pixcore.records`, after how they hang together."""
    listed = [line.strip() for line in (records.__doc__ or "").splitlines() if line.startswith("    ")]
    rows = [re.split(r"\s{2,}", line, maxsplit=1) for line in listed]
    return _GLOSSARY + "".join(f"| {word} | {_cell(meaning)} |\n" for word, meaning in rows)


def hook_names() -> list[str]:
    """The hooks of the contract, in their order."""
    return [name for name, value in vars(hookspecs).items() if hasattr(value, f"{hookspecs.PROJECT}_spec")]


def hooks() -> str:
    """A section for each hook, and for what a registering hook is handed."""
    handed = ("Register", "RegisterCommand")
    names = [*hook_names(), *handed]
    parts = ["# Hooks\n\n" + inspect.cleandoc(hookspecs.__doc__ or "").partition("\n\n")[2]]
    parts += [_documented(f"pixcore.hookspecs.{name}", level=2) for name in names]
    return "\n\n".join(parts) + "\n"


def kinds(found: Registry) -> str:
    """The kinds of components in the order in which data flows."""
    rows = [
        f"| [`{kind.value}`]({kind.value}.md) | {kind.noun} | `{kind.interface.__name__}` | "
        f"{', '.join(f'`{one.name}`' for one in _ours(found, kind))} |"
        for kind in Kind
    ]
    head = "# Kinds of components\n\nEach section of a config names a component of one kind.\n\n"
    return head + "| section | kind | interface | what ships |\n|---|---|---|---|\n" + "\n".join(rows) + "\n"


def kind_page(kind: Kind, found: Registry) -> str:
    """One kind: its interface, its hook, and the components of this repository with their options."""
    title = kind.noun[0].upper() + kind.noun[1:]
    parts = [
        f"# {title}\n\nRegistered by the hook [`{kind.hook}`](../hooks.md#pixcore.hookspecs.{kind.hook}), "
        f"named under `{kind.value}:` in a [config](../config.md).",
        f"## The interface\n\n{_documented(f'pixcore.components.{kind.interface.__name__}', level=3)}",
        "## What ships",
    ]
    parts += [_component(one) for one in _ours(found, kind)]
    return "\n\n".join(parts) + "\n"


def _component(one: Registration) -> str:
    lines = [f"### `{one.name}`\n", f"{_cell(_sentence(one.summary))} From `{one.distribution}`."]
    if one.default:
        lines.append("Serves where a config says nothing.")
    options = _options(one)
    if options:
        lines += ["", "| option | default | what it does |", "|---|---|---|", *options]
    return "\n".join(lines)


def _options(one: Registration) -> list[str]:
    texts = attribute_texts(one.config_class)
    rows = []
    for name, field in one.config_class.model_fields.items():
        default = "needed" if field.is_required() else f"`{_shown(field.get_default(call_default_factory=True))}`"
        text = texts.get(name, "")
        allowed = _allowed(field.annotation)
        if any(one not in text for one in allowed):
            text += f" One of: {', '.join(f'`{one}`' for one in allowed)}."
        if isinstance(field.validation_alias, AliasChoices):
            text += f" Also called {', '.join(f'`{one}`' for one in field.validation_alias.choices if one != name)}."
        rows.append(f"| `{name}` | {default} | {_cell(text)} |")
    return rows


def _allowed(annotation: Any) -> list[str]:
    """The values that an option may have, where they are few and known; empty where it may have others."""
    if get_origin(annotation) is Literal:
        return [_shown(one) for one in get_args(annotation)]
    if inspect.isclass(annotation) and issubclass(annotation, Enum):
        return [_shown(one) for one in annotation]
    parts = [one for one in get_args(annotation) if one is not type(None)]
    return _allowed(parts[0]) if len(parts) == 1 and len(get_args(annotation)) == 2 else []


def config(found: Registry) -> str:
    """Every key of a config: what it is, its default, an example."""
    schema = json_schema(found)
    parts = [
        "# Config keys\n\nA config is one YAML file. A component's section is its name, or a mapping with `name`, its "
        "own options, and `label` where the table is to call it otherwise. `pixcore schema` prints the same as a JSON "
        "schema, for an editor's completion; `--set key=value` changes any key from the command line."
    ]
    fields = RunConfig.model_fields
    for key, value in schema["properties"].items():
        own = fields.get(key)  # a kind of component has none: it stands in the table of kinds
        default = None if own is None or own.is_required() else own.get_default(call_default_factory=True)
        said = f"Default: `{_shown(default)}`." if default not in (None, ()) else "Default: see below."
        if key in {kind.value for kind in Kind} | {"letter_judge"}:
            kind = Kind.JUDGE if key == "letter_judge" else Kind(key)
            names = ", ".join(f"`{one.name}`" for one in found.defaults(kind)) or "none; it has to be named"
            said = f"{_article(kind.noun)} [{kind.noun}](kinds/{kind.value}.md). Default: {names}."
        elif default in (None, ()):
            said = _DEFAULTS.get(key, "Default: none.")
        parts.append(f"## `{key}`\n\n{value['description']}\n\n{said}\n\n```yaml\n{EXAMPLES[key]}\n```")
    return "\n\n".join(parts) + "\n"


_DEFAULTS = {
    "control": "One or a list. Default: what plugins offer for `control.points` and `control.selection`; `null`: none.",
    "writers": "Default: the writers that plugins offer as default.",
    "output": "Default: a folder below `runs/` that is named after benchmark and model.",
    "merge_iou": "Default: `null`, nothing is merged.",
    "budget": "Default: `null`, no limit.",
    "seeds": "Default: none, one run with `seed`.",
    "s_of": "Default: `null`, the better accuracy and the better mean IoU, as in the paper.",
}


def commands(found: Registry) -> str:
    """Every command with its arguments and options."""
    parts = [
        "# Commands\n\n`pixcore COMMAND --help` says the same. Every command takes `--traceback`, which shows where an "
        "error came from. Exit status: 0 when a command did what was asked, 2 for a user's mistake, 1 for a failure of "
        "ours, 130 when it was stopped."
    ]
    for guest in sorted(found.guests(GuestKind.COMMAND), key=lambda one: one.name):
        if guest.distribution in OURS:
            parts.append(_command(guest.name, guest.loaded, guest.distribution))
    return "\n\n".join(parts) + "\n"


def _command(name: str, command: click.Command, distribution: str) -> str:
    context = click.Context(command, info_name=f"pixcore {name}")
    usage = " ".join(command.collect_usage_pieces(context))
    lines = [f"## `pixcore {name}`\n", f"From `{distribution}`.\n", f"```\npixcore {name} {usage}\n```\n"]
    lines.append(inspect.cleandoc(command.help or ""))
    options = [one for one in command.params if isinstance(one, click.Option)]
    if options:
        lines += ["", "| option | what it does |", "|---|---|"]
        lines += [f"| `{' / '.join((*one.opts, *one.secondary_opts))}` | {_cell(one.help or '')} |" for one in options]
    return "\n".join(lines)


def error_classes() -> str:
    """Every error that a user can meet."""
    names = [
        name
        for name, value in vars(errors).items()
        if inspect.isclass(value) and issubclass(value, errors.PixcoreError) and value.__module__ == errors.__name__
    ]
    head = (
        "# Errors\n\nAn error is one line: what is wrong, and in parentheses what is allowed or what to do. A user's "
        "mistake ends a command with status 2, a failure of pixcore or of a plugin with 1; what was computed is kept "
        "in any case."
    )
    return "\n\n".join([head, *(_documented(f"pixcore.errors.{name}", level=2) for name in names)]) + "\n"


def api() -> str:
    """The modules that have a page."""
    rows = "\n".join(f"| [`{module}`]({module}.md) | {text} |" for module, text in API.items())
    head = (
        "# Python API\n\nWhat a plugin or a notebook imports. Most of it is a name of [`pixcore`](pixcore.md) itself."
        "\n\n| module | |\n|---|---|\n"
    )
    return f"{head}{rows}\n"


def face() -> str:
    """What `import pixcore` gives: the functions for notebooks, and where every other name comes from."""
    rows = []
    for name in dir(pixcore):
        place = pixcore._PLACES.get(name)
        if place is None or place.partition(".")[0] != "pixcore":
            continue
        value = getattr(pixcore, name)
        told = (
            inspect.getdoc(value)
            if inspect.isclass(value) or inspect.isroutine(value) or inspect.ismodule(value)
            else ""
        )
        where = f"[`{place}`]({place}.md)" if place in API else f"`{place}`"
        rows.append(f"| `{name}` | {where} | {_cell((told or '').partition(chr(10))[0])} |")
    own = pixcore._FACE["pixcore_notebook"].split()
    parts = [
        "# `pixcore`\n\nEverything here is a name of `pixcore` itself. It is looked up where it stands when it is "
        "first asked for: `import pixcore` loads nothing.",
        "## For notebooks\n\nFrom `pixcore-notebook`; a [tutorial](../../tutorials/notebook.md) shows them at work.",
        *(_documented(f"pixcore_notebook.{name}", level=3) for name in sorted(own, key=lambda name: name[0].isupper())),
        "### What a run gives\n\nNone of these is made by hand.",
        *(_documented(f"pixcore_notebook.{name}", level=4) for name in _GIVEN),
        "## For plugins\n\n| name | from | |\n|---|---|---|\n" + "\n".join(rows),
    ]
    return "\n\n".join(parts) + "\n"


def module_page(module: str) -> str:
    """One module's public names."""
    kinds = {kind.interface.__name__ for kind in Kind}  # these have pages of their own
    names = [
        name
        for name, value in vars(importlib.import_module(module)).items()
        if getattr(value, "__module__", "") == module and not name.startswith("_") and name not in kinds
    ]
    return f"# `{module}`\n\n{_documented(module, level=2, root=False, members=names)}\n"


def packages(found: Registry) -> str:
    """What ships: the packages of this repository with their components, commands and writers."""
    offers: dict[str, list[str]] = {name: [] for name in sorted(OURS)}
    for one in found:
        if one.distribution in offers:
            offers[one.distribution].append(f"[`{one.name}`](../reference/kinds/{one.kind.value}.md)")
    for kind in GuestKind:
        for guest in found.guests(kind):
            if guest.distribution in offers:
                offers[guest.distribution].append(f"{kind.value} `{guest.name}`")
    called = pixcore._FACE["pixcore_notebook"].split()
    offers["pixcore-notebook"] += [f"[`pixcore.{name}`](../reference/api/pixcore.md)" for name in called]
    rows = "\n".join(f"| `{name}` | {_cell(OURS[name])} | {', '.join(given)} |" for name, given in offers.items())
    head = (
        "# What ships\n\nEach is a package of its own, which `pip install NAME` adds. How to make one more is a "
        "[tutorial](../tutorials/model-adapter.md); which name to give it is said [here](naming.md).\n\n"
    )
    return f"{head}| package | what it is | what it offers by name |\n|---|---|---|\n{rows}\n"


ROOT = Path(__file__).parents[1]
_PROJECTS = [
    tomllib.loads(path.read_text(encoding="utf-8"))["project"]
    for pattern in ("pyproject.toml", "plugins/*/pyproject.toml", "benchmarks/*/pyproject.toml")
    for path in ROOT.glob(pattern)
]
OURS: dict[str, str] = {project["name"]: project["description"] for project in _PROJECTS}
"""The packages of this repository, each with what it is."""


def _ours(found: Registry, kind: Kind) -> list[Registration]:
    return [one for one in found.all(kind) if one.distribution in OURS]


def _documented(name: str, *, level: int, root: bool = True, members: list[str] | None = None) -> str:
    options: dict[str, Any] = {"heading_level": level, "show_root_heading": root}
    if members is not None:
        options["members"] = members
    return f"::: {name}\n" + "\n".join(f"    {line}" for line in yaml.safe_dump({"options": options}).splitlines())


def _shown(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        return "[" + ", ".join(_shown(one) for one in value) + "]"
    if isinstance(value, Path):
        return value.as_posix()
    if hasattr(value, "value"):
        return str(value.value)
    if hasattr(value, "name"):
        return str(value.name)
    return "null" if value is None else str(value)


def _cell(text: str) -> str:
    """A text in a table; what looks like a tag (`<seg>`) stays to be seen."""
    parts = re.sub(r"\s+", " ", text).replace("|", "\\|").split("`")
    return "`".join(part if number % 2 else part.replace("<", "&lt;") for number, part in enumerate(parts))


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"


def _article(noun: str) -> str:
    return "An" if noun[0] in "aeiou" else "A"
