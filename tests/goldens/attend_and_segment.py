"""attend-and-segment's own numbers, recomputed with pixcore's parts.

    python -m tests.goldens.runner attend-and-segment FOLDER

From token ids and attention to spans, noun phrases, similarities, group maps, upsampled maps and points, as the
released code gives them, with its quirks. A folder may hold some of the files only.
"""

from __future__ import annotations

import json
from itertools import chain
from pathlib import Path
from typing import Any

from pixcore.errors import DataError
from tests.goldens.attend_and_segment_maps import compare_maps
from tests.goldens.attend_and_segment_text import Tokenizers, compare_similarities, compare_texts
from tests.goldens.runner import GoldenSet

_FILES = ("texts.json", "texts_extra.json", "similarity_pairs.json", "attention_cases.json")


def attend_and_segment(folder: Path) -> GoldenSet:
    """Recompute everything that pixcore has a part for.

    Raises:
        DataError: A file can't be read, or there is nothing in the folder to compare.
    """
    texts, extra, pairs, cases = (_read(folder / name) for name in _FILES)
    if not (texts or extra or pairs or cases):
        raise DataError(
            f"{folder} holds nothing of {', '.join(_FILES)}", hint="name the folder of attend-and-segment's goldens"
        )
    tokenizers = Tokenizers(folder)
    parts = [
        compare_texts(texts, extra, tokenizers),
        compare_similarities(texts, pairs, folder),
        compare_maps(cases, folder, tokenizers),
    ]
    return GoldenSet(
        checks=chain.from_iterable(part.checks for part in parts),
        keys=[key for part in parts for key in part.keys],
        expected={name: value for part in parts for name, value in (part.expected or {}).items()},
        skipped={pattern: reason for part in parts for pattern, reason in part.skipped.items()},
    )


def _read(path: Path) -> list[dict[str, Any]]:
    """The entries of a file, none where it is absent."""
    if not path.exists():
        return []
    try:
        entries: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(
            f"can't read {path}: {error}", hint="name the folder of attend-and-segment's goldens"
        ) from error
    return entries
