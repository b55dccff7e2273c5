"""The command `pixcore schema`: the config's JSON schema, with what docstrings say of every key and option."""

from __future__ import annotations

import inspect
import json
import re
from typing import Any

import click
from pydantic import AliasChoices, BaseModel

from pixcore.config import Control, ProbingSection, RunConfig
from pixcore.errors import PluginError
from pixcore.plugins import PLACES, SECTIONS, GuestKind, Kind, Registry, registry
from pixcore.protocols import PROBINGS


@click.command()
def schema() -> None:
    """Print the config's JSON schema, covering the installed plugins.

    Put `# yaml-language-server: $schema=pixcore.schema.json` on a config's first line.
    """
    click.echo(json.dumps(json_schema(registry()), indent=1))


def json_schema(registry: Registry) -> dict[str, Any]:
    """Make the config's JSON schema, covering every installed component: for an editor's completion."""
    definitions: dict[str, Any] = {}
    properties: dict[str, Any] = {}
    base = described(RunConfig)
    definitions.update(base.get("$defs", {}))
    for kind in Kind:
        alternatives: list[dict[str, Any]] = []
        for registration in registry.all(kind):
            try:
                schema = described(registration.config_class)
            except PluginError:
                continue
            definitions.update(schema.pop("$defs", {}))
            schema.setdefault("properties", {})["name"] = {"const": registration.name}
            schema["properties"]["label"] = {"type": "string", "description": "what tables call it"}
            if kind is Kind.MODEL and registry.default_for("model.text"):
                schema["properties"].setdefault("text", _TEXT)
            schema["required"] = sorted({"name", *schema.get("required", [])})
            schema["title"] = f"{kind.noun}: {registration.name}"
            schema["description"] = registration.summary
            schema["additionalProperties"] = False
            definition = f"{kind.value}-{registration.name}"
            definitions[definition] = schema
            alternatives += [{"const": registration.name}, {"$ref": f"#/$defs/{definition}"}]
        definitions[f"{kind.value}-section"] = {"anyOf": alternatives} if alternatives else {}
    for key, kind in SECTIONS.items():
        reference: dict[str, Any] = {"$ref": f"#/$defs/{kind.value}-section"}
        if kind.listed:
            reference = {"type": "array", "items": reference}
        elif kind.nullable:
            reference = {"anyOf": [reference, {"type": "null"}]}
        properties[key] = {"description": kind.sections[key], **reference}
    properties.update(base["properties"])
    definitions["ProbingSection"] = described(ProbingSection) | {"required": ["name", "template"]}
    offered = [guest.name for guest in registry.guests(GuestKind.PROBING)]
    properties["protocols"]["items"] = {"anyOf": [{"enum": [*PROBINGS, *offered]}, {"$ref": "#/$defs/ProbingSection"}]}
    writers = [guest.name for guest in registry.guests(GuestKind.WRITER)]
    properties["writers"]["anyOf"][0]["items"] = {"enum": writers}
    properties["budget"]["anyOf"].insert(0, {"type": "number", "exclusiveMinimum": 0})  # US dollars
    texts = attribute_texts(Control)
    definitions["Control"] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            key: {"$ref": f"#/$defs/{PLACES[f'control.{key}'].value}-section", "description": texts[key]}
            for key in Control.model_fields
        },
    }
    control = [{"$ref": "#/$defs/Control"}, {"type": "array", "items": {"$ref": "#/$defs/Control"}}, {"type": "null"}]
    properties["control"] = {"description": properties["control"]["description"], "anyOf": control}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "pixcore run",
        "type": "object",
        "additionalProperties": False,
        "required": ["benchmark"],
        "properties": properties,
        "$defs": definitions,
    }


_TEXT = {
    "description": "where its text is from, in place of its own: a file, {server:, model:}, or another model",
    "anyOf": [{"type": "string"}, {"type": "object"}],
}


def described(model: type[BaseModel]) -> dict[str, Any]:
    """Make a model's JSON schema, in which each property has its docstring's text as description."""
    schema = model.model_json_schema(ref_template="#/$defs/{model}")
    texts = attribute_texts(model)
    for name, value in schema.get("properties", {}).items():
        if name in texts:
            value["description"] = texts[name]
    for field in model.model_fields.values():
        if isinstance(field.validation_alias, AliasChoices):
            _call_alike(schema, [str(name) for name in field.validation_alias.choices])
    return schema


def _call_alike(schema: dict[str, Any], names: list[str]) -> None:
    """Let a property, which stands there by the first of its names, be called by the others too."""
    own, properties = names[0], schema["properties"]
    properties.update({name: properties[own] | {"description": f"another name of {own}"} for name in names[1:]})
    if own in schema.get("required", ()):
        schema["required"].remove(own)
        schema.setdefault("allOf", []).append({"anyOf": [{"required": [name]} for name in names]})


def attribute_texts(model: type[BaseModel]) -> dict[str, str]:
    """Collect what a model's docstring, and those it derives from, say under "Attributes:" (Google style)."""
    texts: dict[str, str] = {}
    for base in reversed(model.__mro__):
        section = re.search(r"^Attributes:\n(.*?)(?=^\S|\Z)", inspect.cleandoc(base.__doc__ or ""), re.M | re.S)
        if section:
            for name, text in re.findall(r"^    (\w+): (.*?)(?=^    \w|\Z)", section[1], re.M | re.S):
                texts[name] = " ".join(text.split())
    return texts
