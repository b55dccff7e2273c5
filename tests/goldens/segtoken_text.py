"""Golden prompts and clean-up of LISA and GLaMM: `python -m tests.goldens.runner lisa_glamm_text FOLDER`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pixcore_segtoken.text import (
    glamm_prompt,
    glamm_question,
    lisa_prompt,
    published_glamm_text,
    published_phrases,
)
from pixcore_segtoken.tokenizer import encode_with_image

from pixcore.errors import DataError
from tests.goldens.runner import Check, GoldenSet


def prepare(folder: Path) -> GoldenSet:
    """The set in a folder with `lisa.json`, `glamm.json` or both.

    Raises:
        DataError: It has neither.
    """
    expected: dict[str, Any] = {}
    checks: list[Check] = []
    keys: list[str] = []
    for system, examine in (("lisa", _lisa), ("glamm", _glamm)):
        file = folder / f"{system}.json"
        if file.is_file():
            keys.append(f"{system}/prompt_*")
            for name, value, want in examine(json.loads(file.read_text())):
                expected[f"{system}/{name}"] = want
                checks.append(Check(f"{system}/{name}", value))
    if not keys:
        raise DataError(f"{folder} has neither lisa.json nor glamm.json", hint="name the folder of one golden set")
    return GoldenSet(checks, keys, expected)


def _lisa(content: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    for index, row in enumerate(content.get("prompts", ())):
        yield f"prompt_{index}", lisa_prompt(row["question"]), row["prompt"]
    if row := content.get("tokenizer_image_token"):
        # The set's own tokenizer: a begin token, then one id for each character.
        ids = encode_with_image(lambda text: [1, *(3 + ord(character) for character in text)], row["prompt"])
        yield "tokenizer_image_token", ids, row["ids"]


def _glamm(content: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    for index, row in enumerate(content.get("prompts", ())):
        yield f"prompt_{index}", glamm_prompt(glamm_question(row["instruction"])), row["prompt"]
    for index, row in enumerate(content.get("postprocess", ())):
        yield f"cleaned_{index}", published_glamm_text(row["decoded"]), row["cleaned"]
        yield f"phrases_{index}", published_phrases(row["decoded"]), row["phrases"]
